"""The parameters beam and spectrum: their text, valid values, and which exclude each other."""

from __future__ import annotations

import math

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.models.beam.jitter import FARTHEST
from nanobragg_kokkos.models.beam.sase import SAMPLES_A_SPIKE, spike_width_eV
from nanobragg_kokkos.models.beam.spectrum_file import LEAST_EV, MOST_ENERGIES, MOST_EV
from nanobragg_kokkos.util.value_rules import between, file_or_none, finite, from_0, given, or_none, positive, up_to

MEAN_EV = 9500.0

# photons/mm^2; a billion times what any source has, and the numbers computed from it stay finite.
MOST_FLUENCE = 1e30

# Millimetres and eV: beyond what any beam has, and far from where numbers lose their meaning.
LEAST_SIZE_MM, MOST_SIZE_MM = 1e-12, 1e3
LEAST_WIDTH_EV = 1e-6

# Of the random field of a pulse (spectrum.shape=sase), 16 bytes each.
MOST_SAMPLES = 10**7

# Photons in a pulse, below which an image is dark.
DARK = 1.0

TEXT = """
beam
  .help = "The beam comes from +z and is polarized along x, or as the beam of detector.reference."
{
  mean_energy = None
    .type = float
    .help = "Mean photon energy, eV. None: 9500, or that of the beam of detector.reference, or the mean of the spectra"
            "of spectrum.file, which are never shifted. It decides anomalous scattering and absorption."
  total_flux = 1e11
    .type = float
    .help = "Photons in a pulse, all energies together."
  size_mm = 0.01
    .type = float
    .help = "Side of the beam's square cross-section, mm."
}
spectrum
  .help = "Spectrum of a pulse around beam.mean_energy."
{
  shape = *gaussian tophat file sase
    .type = choice
    .help = "gaussian, tophat: the same for all images. file: read spectrum.file. sase: random spikes under a Gaussian,"
            "different in each image, as a free-electron laser that starts from noise produces them."
  nchannels = 100
    .type = int
    .help = "Number of energies. 1: a monochromatic beam. With shape=file, the file decides."
  channel_width = 1
    .type = float
    .help = "Distance between energies, eV. With shape=file, the file decides."
  fwhm = 40
    .type = float
    .help = "Full width at half maximum, eV. It is the width of the Gaussian, of the rectangle (tophat), or of the mean"
            "of many pulses (sase)."
  file = None
    .type = path
    .help = "Spectra for shape=file. Text: a column of energies (eV), and a column of weights for each spectrum. Or an"
            "NXmx file, or another file in which dxtbx finds a spectrum for each image. After the last spectrum, images"
            "take the first again. Weights are relative: each pulse has beam.total_flux photons."
  energy_jitter_eV = 0
    .type = float
    .help = "Standard deviation of the photon energy from pulse to pulse, eV: all energies of a pulse move together."
  pulse_energy_jitter = None
    .type = float
    .help = "Relative standard deviation of the number of photons from pulse to pulse, 0 to 1; its distribution is a"
            "Gamma distribution. None: no jitter; with shape=sase, the spikes decide."
  sase
    .help = "Give one of the two with shape=sase. They are equivalent: a pulse of 1 fs has spikes of 1.825 eV."
  {
    pulse_length_fs = None
      .type = float
      .help = "Duration of a pulse, full width at half maximum, fs: the longer, the narrower the spikes."
    spike_width_eV = None
      .type = float
      .help = "Full width at half maximum of the spikes, eV."
  }
}
"""

RULES = {
    "beam.mean_energy": or_none(
        (lambda value: finite(value) and LEAST_EV <= value <= MOST_EV, f"{LEAST_EV:.0f} to {MOST_EV:.0f} eV")
    ),
    "beam.total_flux": from_0("photons"),
    "beam.size_mm": positive("mm", LEAST_SIZE_MM, MOST_SIZE_MM),
    "spectrum.shape": given("gaussian, tophat, file or sase"),
    "spectrum.nchannels": (
        lambda value: isinstance(value, int) and 1 <= value <= MOST_ENERGIES,
        f"a whole number, 1 to {MOST_ENERGIES}",
    ),
    "spectrum.channel_width": positive("eV", LEAST_WIDTH_EV, MOST_EV),
    "spectrum.fwhm": positive("eV", LEAST_WIDTH_EV, MOST_EV),
    "spectrum.file": file_or_none(),
    "spectrum.energy_jitter_eV": up_to("eV", MOST_EV),
    "spectrum.pulse_energy_jitter": or_none(between(0, 1, "")),
    "spectrum.sase.pulse_length_fs": or_none(between(0.1, 1000, " fs")),
    "spectrum.sase.spike_width_eV": or_none(between(1e-3, 100, " eV")),
}


def validate(params: libtbx.phil.scope_extract) -> None:
    """Refuses values that do not fit with each other.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    fluence = params.beam.total_flux / params.beam.size_mm / params.beam.size_mm
    if not fluence <= MOST_FLUENCE:
        raise Sorry(
            f"beam.total_flux={params.beam.total_flux:g}: expected at most {MOST_FLUENCE:g} photons/mm^2, but with "
            f"beam.size_mm={params.beam.size_mm:g} it is more"
        )
    given = params.spectrum
    if (given.shape == "file") != (given.file is not None):
        if given.file is None:
            raise Sorry("spectrum.shape=file requires spectrum.file")
        raise Sorry(f"spectrum.file={given.file} requires spectrum.shape=file")
    widths = {name: getattr(given.sase, name) for name in ("pulse_length_fs", "spike_width_eV")}
    if given.shape == "sase" and list(widths.values()).count(None) != 1:
        raise Sorry(
            "spectrum.shape=sase requires one of spectrum.sase.pulse_length_fs and spectrum.sase.spike_width_eV"
        )
    for name, width in widths.items():
        if given.shape != "sase" and width is not None:
            raise Sorry(f"spectrum.sase.{name}={width:g} requires spectrum.shape=sase")
    # A reference says more of the mean energy, which is known once it is read.
    if given.shape != "file" and (params.beam.mean_energy is not None or params.detector.reference is None):
        check_energies(params, MEAN_EV if params.beam.mean_energy is None else params.beam.mean_energy)


def check_energies(params: libtbx.phil.scope_extract, mean: float) -> None:
    """Refuses energies around a mean (eV) of which some cannot be simulated.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    given = params.spectrum
    if given.shape == "sase":
        spike = given.sase.spike_width_eV or spike_width_eV(given.sase.pulse_length_fs)
        samples = given.nchannels * math.ceil(SAMPLES_A_SPIKE * given.channel_width / spike)
        if samples > MOST_SAMPLES:
            raise Sorry(
                f"spectrum.nchannels={given.nchannels}: expected at most {MOST_SAMPLES // SAMPLES_A_SPIKE} spikes, but "
                f"with spectrum.channel_width={given.channel_width:g} and spikes of {spike:g} eV there are "
                f"{samples // SAMPLES_A_SPIKE}"
            )
    half = 0.5 * (given.nchannels - 1) * given.channel_width
    lowest = mean - half
    if lowest <= 0:
        raise Sorry(
            f"spectrum.nchannels={given.nchannels}: expected a spectrum above 0 eV, but with "
            f"spectrum.channel_width={given.channel_width:g} it begins at {lowest:g} eV"
        )
    if mean + half > 2 * MOST_EV:
        raise Sorry(
            f"spectrum.nchannels={given.nchannels}: expected a spectrum up to {2 * MOST_EV:g} eV, but with "
            f"spectrum.channel_width={given.channel_width:g} it ends at {mean + half:g} eV"
        )
    check_jitter(params, lowest)


def check_jitter(params: libtbx.phil.scope_extract, lowest: float) -> None:
    """Refuses a jitter that might leave nothing of a spectrum whose lowest energy (eV) this is.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    given = params.spectrum
    if lowest <= 2 * FARTHEST * given.energy_jitter_eV:
        raise Sorry(
            f"spectrum.energy_jitter_eV={given.energy_jitter_eV:g}: expected less than "
            f"{lowest / (2 * FARTHEST):g} eV with a spectrum that begins at {lowest:g} eV"
        )


def warnings(params: libtbx.phil.scope_extract) -> list[str]:
    """Returns a line for each way in which the energies fail to follow a spectrum of spectrum.fwhm."""
    given = params.spectrum
    if params.beam.total_flux < DARK:
        return [f"Warning: beam.total_flux={params.beam.total_flux:g}: the images are dark, for want of photons"]
    if given.shape == "file" or given.nchannels == 1:
        return []
    covered = given.nchannels * given.channel_width
    if covered < given.fwhm:
        return [
            f"Warning: spectrum.fwhm={given.fwhm:g} is more than spectrum.nchannels={given.nchannels} energies cover, "
            f"{covered:g} eV"
        ]
    if given.channel_width > given.fwhm:
        return [
            f"Warning: spectrum.fwhm={given.fwhm:g} is less than spectrum.channel_width={given.channel_width:g}, "
            "from one energy to the next"
        ]
    return []
