"""The pulses of an experiment: a spectrum, a direction and a number of photons for every image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from cctbx import factor_ev_angstrom
from dxtbx import flumpy
from dxtbx.model import Beam, BeamFactory
from dxtbx.model import Spectrum as SpectrumModel

from nanobragg_kokkos.models.beam.sources import Sources

# Energies (eV), ascending, and relative weights.
Spectrum = tuple[np.ndarray, np.ndarray]

# eV. Pulses whose energies move may have any in a range, which is told at distances that are no longer than this.
LONGEST_STEP_EV = 1.0


@dataclass(frozen=True)
class Polarization:
    """The polarization of a beam that comes from +z.

    Args:
        normal: vector perpendicular to the electric field and to the beam, (3,), as in dxtbx.
        fraction: 1 for a fully polarized beam, 0.5 for an unpolarized one.
    """

    normal: tuple[float, float, float] = (0.0, 1.0, 0.0)
    fraction: float = 0.999

    @classmethod
    def of(cls, beam: Beam) -> Polarization:
        """Returns the polarization of a dxtbx beam."""
        return cls(tuple(beam.get_polarization_normal()), beam.get_polarization_fraction())


# The default of dxtbx's beams.
ALONG_X = Polarization()


@dataclass(frozen=True, eq=False)
class Pulse:
    """The beam of one image.

    Args:
        beam: dxtbx model with the pulse's mean wavelength.
        energies_eV: energies of the spectrum, (n,); an array, because dxtbx 3.11 cannot pickle its Spectrum.
        weights: relative weights of the energies, (n,).
        photons: number of photons, all energies together; NaN: unknown.
    """

    beam: Beam
    energies_eV: np.ndarray
    weights: np.ndarray
    photons: float = math.nan

    @property
    def shares(self) -> np.ndarray:
        """Shares (n,) of the energies in the photons; they sum to 1."""
        return self.weights / self.weights.sum()

    @property
    def spectrum(self) -> SpectrumModel:
        """The spectrum as a dxtbx model."""
        energies, weights = (np.ascontiguousarray(values, float) for values in (self.energies_eV, self.weights))
        return SpectrumModel(flumpy.from_numpy(energies), flumpy.from_numpy(weights))

    @property
    def sources(self) -> Sources:
        """The plane waves that fall on the crystals, one for each energy."""
        return Sources.from_beam(self.beam, self.spectrum)


def pulse_of(spectrum: Spectrum, photons: float, polarization: Polarization = ALONG_X) -> Pulse:
    """Returns a pulse that comes from +z.

    Its beam has the wavelength of the weighted mean energy, like dxtbx's Spectrum.
    """
    energies, weights = spectrum
    beam = BeamFactory.simple(factor_ev_angstrom / mean_energy(spectrum))
    beam.set_polarization_normal(polarization.normal)
    beam.set_polarization_fraction(polarization.fraction)
    return Pulse(beam, energies, weights, photons)


def mean_energy(spectrum: Spectrum) -> float:
    """Returns the weighted mean of the energies, eV."""
    energies, weights = spectrum
    # Differences give the middle of an even spectrum to the last digit.
    return float(energies[0] + weights @ (energies - energies[0]) / weights.sum())


class Pulses(Protocol):
    """The pulses of all images of an experiment."""

    @property
    def mean_eV(self) -> float:
        """Mean energy of all images, eV."""

    @property
    def energies_eV(self) -> np.ndarray:
        """Energies (n,) in eV, ascending, from the lowest to the highest that any image is expected to have."""

    def pulse(self, image: int, seed: int) -> Pulse:
        """Returns the pulse of an image, counted from 0; it depends on the two arguments only."""


@dataclass(frozen=True, eq=False)
class EqualPulses:
    """The same pulse for all images.

    Args:
        shared: the pulse.
    """

    shared: Pulse

    @property
    def mean_eV(self) -> float:
        """Mean energy of all images, eV."""
        return factor_ev_angstrom / self.shared.beam.get_wavelength()

    @property
    def energies_eV(self) -> np.ndarray:
        """Energies (n,) in eV, ascending, from the lowest to the highest of all images."""
        return self.shared.energies_eV

    def pulse(self, image: int, seed: int) -> Pulse:
        """Returns the pulse of an image, counted from 0."""
        return self.shared


@dataclass(frozen=True, eq=False)
class RecordedPulses:
    """A spectrum of a list for each image, all with as many photons; after the last, the first one comes again.

    Args:
        spectra: at least one.
        photons: number of photons in each pulse.
        polarization: of all pulses.
    """

    spectra: Sequence[Spectrum]
    photons: float
    polarization: Polarization = ALONG_X

    @property
    def mean_eV(self) -> float:
        """Mean energy of all images, with equal weights, eV."""
        return float(np.mean([mean_energy(spectrum) for spectrum in self.spectra]))

    @property
    def energies_eV(self) -> np.ndarray:
        """Energies in eV, ascending, from the lowest to the highest of all images.

        They are those of each image if all images have the same, else evenly spaced.
        """
        first = self.spectra[0][0]
        if all(energies is first or np.array_equal(energies, first) for energies, _ in self.spectra):
            return first
        lowest = min(energies[0] for energies, _ in self.spectra)
        highest = max(energies[-1] for energies, _ in self.spectra)
        return stepped(lowest, highest, min(mean_step(energies) for energies, _ in self.spectra))

    def pulse(self, image: int, seed: int) -> Pulse:
        """Returns the pulse of an image, counted from 0."""
        return pulse_of(self.spectra[image % len(self.spectra)], self.photons, self.polarization)


def mean_step(energies: np.ndarray) -> float:
    """Returns the mean distance of ascending energies, eV, as far as it is no longer than LONGEST_STEP_EV."""
    return min(LONGEST_STEP_EV, float(np.ptp(energies)) / (len(energies) - 1)) if len(energies) > 1 else LONGEST_STEP_EV


def stepped(lowest: float, highest: float, step: float) -> np.ndarray:
    """Returns energies at even distances, no longer than a step, from the lowest to the highest."""
    return np.linspace(lowest, highest, math.ceil((highest - lowest) / step - 1e-6) + 1)


def even_energies(mean_energy: float, nchannels: int, channel_width: float) -> np.ndarray:
    """Returns energies (eV) at even distances around a mean."""
    return mean_energy + channel_width * (np.arange(nchannels) - 0.5 * (nchannels - 1))


def gaussian_spectrum(mean_energy: float, nchannels: int, channel_width: float, fwhm: float) -> Spectrum:
    """Returns energies (eV) at even distances around a mean, and their weights on a Gaussian, which sum up to 1."""
    energies = even_energies(mean_energy, nchannels, channel_width)
    exponents = -4.0 * np.log(2.0) * ((energies - mean_energy) / fwhm) ** 2
    weights = np.exp(exponents - exponents.max())
    return energies, weights / weights.sum()


def tophat_spectrum(mean_energy: float, nchannels: int, channel_width: float, fwhm: float) -> Spectrum:
    """Returns energies (eV) at even distances around a mean, and their weights on a rectangle, which sum up to 1.

    The rectangle is fwhm wide. A channel counts as far as it lies inside; those outside are left out. If none is
    inside, those nearest to the middle stay.
    """
    energies = even_energies(mean_energy, nchannels, channel_width)
    beyond = np.abs(energies - mean_energy) + 0.5 * channel_width - 0.5 * fwhm
    weights = np.clip(1.0 - beyond / channel_width, 0.0, 1.0)
    if not weights.any():
        weights[beyond <= beyond.min() + 1e-6 * channel_width] = 1.0
    lit = weights > 0
    return energies[lit], weights[lit] / weights.sum()
