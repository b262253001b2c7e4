"""Pulses that differ from shot to shot in energy and in number of photons."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nanobragg_kokkos.models.beam.pulses import Polarization, Pulse, Pulses, mean_step, pulse_of, stepped
from nanobragg_kokkos.util.random_streams import stream

# Standard deviations of the photon energy beyond which no pulse is expected.
FARTHEST = 5.0


@dataclass(frozen=True, eq=False)
class JitteringPulses:
    """The pulses of another object, each shifted in energy and with a varied number of photons.

    Args:
        pulses: the others.
        photons: mean number of a pulse.
        energy_eV: standard deviation of the normal distribution of shifts that are added to all energies of a pulse.
        relative: standard deviation of the number of photons, over the mean. The distribution is a Gamma distribution,
            as that of chaotic light with 1/relative² modes (Saldin, Schneidmiller & Yurkov, Opt. Commun. 148, 383
            (1998)). 0: none. None: as many as each pulse has.
    """

    pulses: Pulses
    photons: float
    energy_eV: float
    relative: float | None

    @property
    def mean_eV(self) -> float:
        """Mean energy of all images, eV."""
        return self.pulses.mean_eV

    @property
    def energies_eV(self) -> np.ndarray:
        """Energies (n,) in eV, ascending, from the lowest to the highest that any image is expected to have."""
        energies = self.pulses.energies_eV
        if self.energy_eV == 0:
            return energies
        step = mean_step(energies) if len(energies) > 1 else min(mean_step(energies), self.energy_eV)
        farthest = step * math.ceil(FARTHEST * self.energy_eV / step)
        return stepped(energies[0] - farthest, energies[-1] + farthest, step)

    def pulse(self, image: int, seed: int) -> Pulse:
        """Returns the pulse of an image, counted from 0."""
        pulse = self.pulses.pulse(image, seed)
        generator = stream(seed, "jitter", image)
        energies = pulse.energies_eV + self.energy_eV * generator.standard_normal()
        photons = pulse.photons
        if self.relative is not None:
            photons = self.photons
            # Below, its inverse squared is no number any more, and the photons are the mean to all digits.
            if self.relative > 1e-100:
                photons *= generator.gamma(self.relative**-2) * self.relative**2
        return pulse_of((energies, pulse.weights), photons, Polarization.of(pulse.beam))
