"""Makes the pulses of an experiment from the parameters beam and spectrum."""

from __future__ import annotations

import math

import libtbx.phil
import numpy as np
from cctbx import factor_ev_angstrom
from dxtbx.model import Beam
from libtbx.utils import Sorry

from nanobragg_kokkos.models.beam.jitter import JitteringPulses
from nanobragg_kokkos.models.beam.parameters import MEAN_EV, check_energies, check_jitter
from nanobragg_kokkos.models.beam.pulses import (
    ALONG_X,
    EqualPulses,
    Polarization,
    Pulses,
    RecordedPulses,
    gaussian_spectrum,
    pulse_of,
    tophat_spectrum,
)
from nanobragg_kokkos.models.beam.sase import SasePulses, spike_width_eV
from nanobragg_kokkos.models.beam.spectrum_file import LEAST_EV, MOST_EV, read_spectra


def pulses(params: libtbx.phil.scope_extract, reference: Beam | None = None) -> Pulses:
    """Returns the pulses that the parameters beam and spectrum describe.

    Args:
        reference: of detector.reference, from +z; it decides the polarization and, if neither beam.mean_energy nor
            spectrum.file does, the mean energy.

    Raises:
        Sorry: spectrum.file is missing or damaged, or does not go with beam.mean_energy; the energies are none that
            can be simulated.
    """
    given, photons = params.spectrum, params.beam.total_flux
    polarization = ALONG_X if reference is None else Polarization.of(reference)
    mean = _mean_energy(params, reference)
    if given.shape != "file":
        check_energies(params, mean)
    channels = (mean, given.nchannels, given.channel_width, given.fwhm)
    if given.shape == "file":
        made: Pulses = _recorded(given.file, params.beam.mean_energy, photons, polarization)
    elif given.shape == "sase":
        width = given.sase.spike_width_eV or spike_width_eV(given.sase.pulse_length_fs)
        made = SasePulses(*channels, width, photons, polarization)
    else:
        spectrum = {"gaussian": gaussian_spectrum, "tophat": tophat_spectrum}[given.shape](*channels)
        made = EqualPulses(pulse_of(spectrum, photons, polarization))
    if given.shape == "file":
        check_jitter(params, float(made.energies_eV[0]))
    if given.energy_jitter_eV == 0 and given.pulse_energy_jitter is None:
        return made
    return JitteringPulses(made, photons, given.energy_jitter_eV, given.pulse_energy_jitter)


def messages(params: libtbx.phil.scope_extract, reference: Beam | None) -> list[str]:
    """Returns a line that says what of the beam is taken from detector.reference, if anything is."""
    if reference is None:
        return []
    taken = []
    if params.beam.mean_energy is None and params.spectrum.shape != "file":
        taken.append(f"mean energy {_mean_energy(params, reference):.6g} eV (beam.mean_energy)")
    x, y, _ = np.cross(reference.get_polarization_normal(), reference.get_sample_to_source_direction())
    angle = math.degrees(math.atan2(y, x)) % 180
    fraction = reference.get_polarization_fraction()
    taken.append(f"polarization fraction {fraction:g}, electric field at {angle:.4g} degrees from x towards y")
    return [f"Beam, from detector.reference: {'; '.join(taken)}"]


def _mean_energy(params: libtbx.phil.scope_extract, reference: Beam | None) -> float:
    """Returns the mean energy, eV, if spectrum.file does not decide it."""
    if params.beam.mean_energy is not None:
        return params.beam.mean_energy
    if reference is None or params.spectrum.shape == "file":
        return MEAN_EV
    wavelength = reference.get_wavelength()
    if not factor_ev_angstrom / MOST_EV <= wavelength <= factor_ev_angstrom / LEAST_EV:
        raise Sorry(
            f"detector.reference={params.detector.reference}: expected a beam of {factor_ev_angstrom / MOST_EV:.3g} to "
            f"{factor_ev_angstrom / LEAST_EV:.3g} angstrom, not {wavelength:g}; or give beam.mean_energy"
        )
    return factor_ev_angstrom / wavelength


def _recorded(
    path: str, mean: float | None, photons: float, polarization: Polarization
) -> EqualPulses | RecordedPulses:
    spectra = read_spectra(path)
    lowest = min(energies[0] for energies, _ in spectra)
    highest = max(energies[-1] for energies, _ in spectra)
    if mean is not None and not lowest <= mean <= highest:
        raise Sorry(
            f"beam.mean_energy={mean:g}: expected an energy that spectrum.file={path} covers, "
            f"{lowest:g} to {highest:g} eV"
        )
    if len(spectra) == 1:
        return EqualPulses(pulse_of(spectra[0], photons, polarization))
    return RecordedPulses(spectra, photons, polarization)
