"""The pulses of an experiment: a spectrum, a direction and a number of photons for every image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nanobragg_kokkos.shot import Pulse


@dataclass(frozen=True, eq=False)
class EqualPulses:
    """The same pulse for all images."""

    pulse: Pulse

    def __call__(self, image: int, seed: int) -> Pulse:
        return self.pulse


def gaussian_spectrum(
    mean_energy: float, nchannels: int, channel_width: float, fwhm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Energies (eV) at even distances around a mean, and their weights on a Gaussian, which sum up to 1."""
    energies = mean_energy + channel_width * (np.arange(nchannels) - 0.5 * (nchannels - 1))
    exponents = -4.0 * np.log(2.0) * ((energies - mean_energy) / fwhm) ** 2
    weights = np.exp(exponents - exponents.max())
    return energies, weights / weights.sum()
