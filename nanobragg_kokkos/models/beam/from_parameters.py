"""From the parameters beam and spectrum to the pulses of an experiment."""

from __future__ import annotations

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.models.beam.jitter import JitteringPulses
from nanobragg_kokkos.models.beam.parameters import MEAN_EV
from nanobragg_kokkos.models.beam.pulses import (
    EqualPulses,
    Pulses,
    RecordedPulses,
    gaussian_spectrum,
    pulse_of,
    tophat_spectrum,
)
from nanobragg_kokkos.models.beam.sase import SasePulses, spike_width_eV
from nanobragg_kokkos.models.beam.spectrum_file import read_spectra


def pulses(params: libtbx.phil.scope_extract) -> Pulses:
    """Returns the pulses that the parameters beam and spectrum describe.

    Raises:
        Sorry: spectrum.file is missing or damaged, or does not go with beam.mean_energy.
    """
    given, photons = params.spectrum, params.beam.total_flux
    mean = MEAN_EV if params.beam.mean_energy is None else params.beam.mean_energy
    channels = (mean, given.nchannels, given.channel_width, given.fwhm)
    if given.shape == "file":
        made: Pulses = _recorded(given.file, params.beam.mean_energy, photons)
    elif given.shape == "sase":
        width = given.sase.spike_width_eV or spike_width_eV(given.sase.pulse_length_fs)
        made = SasePulses(*channels, width, photons)
    else:
        spectrum = {"gaussian": gaussian_spectrum, "tophat": tophat_spectrum}[given.shape](*channels)
        made = EqualPulses(pulse_of(spectrum, photons))
    if given.energy_jitter_eV == 0 and given.pulse_energy_jitter is None:
        return made
    return JitteringPulses(made, photons, given.energy_jitter_eV, given.pulse_energy_jitter)


def _recorded(path: str, mean: float | None, photons: float) -> EqualPulses | RecordedPulses:
    spectra = read_spectra(path)
    lowest = min(energies[0] for energies, _ in spectra)
    highest = max(energies[-1] for energies, _ in spectra)
    if mean is not None and not lowest <= mean <= highest:
        raise Sorry(
            f"beam.mean_energy={mean:g}: expected None or an energy that spectrum.file={path} covers, "
            f"{lowest:g} to {highest:g} eV"
        )
    return EqualPulses(pulse_of(spectra[0], photons)) if len(spectra) == 1 else RecordedPulses(spectra, photons)
