"""The light that falls on the sample, in the form that the engine takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nanobragg_kokkos import Sources
from nanobragg_kokkos.simtbx.arithmetic import Vector
from nanobragg_kokkos.simtbx.state import State


@dataclass(frozen=True)
class Light:
    """Any number n of plane waves; objects with equal values are equal.

    Args:
        directions: directions from the sample to the sources, (n, 3), of any length.
        wavelengths: wavelengths, (n,) in metres.
        weights: weights, (n,), 0 or more.
        fluence: photons/m² of a wave with the weight 1.
        polar_vector: direction of the electric field, (3,).
        polarization: Kahn factor, -1 to 1.

    Raises:
        ValueError: the Kahn factor is outside its range.
    """

    directions: tuple[Vector, ...]
    wavelengths: tuple[float, ...]
    weights: tuple[float, ...]
    fluence: float
    polar_vector: Vector
    polarization: float

    def __post_init__(self) -> None:
        if not -1.0 <= self.polarization <= 1.0:
            raise ValueError(f"polarization, the Kahn factor, must lie between -1 and 1, not {self.polarization}")

    @property
    def total_fluence(self) -> float:
        """Returns the photons/mm² of all waves together."""
        return self.fluence * 1e-6 * sum(self.weights)

    def sources(self, channels: Sequence[int] | None = None) -> Sources:
        """Returns the engine's sources with their channels of the structure factors."""
        return Sources(
            wavelengths=np.array([wavelength * 1e10 for wavelength in self.wavelengths]),
            weights=np.array(self.weights),
            directions=np.array(self.directions),
            channels=None if channels is None else np.array(channels),
            electric_vector=self.polar_vector,
            polarization_fraction=(self.polarization + 1.0) / 2.0,
        )

    def scaled(self, factor: float) -> Light:
        """Returns the same waves with another number of photons."""
        return replace(self, fluence=self.fluence * factor)


def light_of(s: State, weights: Sequence[float] | None = None) -> Light:
    """Returns the light of all sources, weighted by their intensities or by other numbers.

    The sources add up, each with the whole fluence; their mean is not taken.
    """
    return Light(
        directions=tuple(s.source_XYZ),
        wavelengths=tuple(s.source_wavelengths),
        weights=tuple(s.source_intensities if weights is None else weights),
        fluence=s.fluence,
        polar_vector=s.polar_vector,
        polarization=s.polarization,
    )


def light_for_background(s: State, source: int) -> Light:
    """Returns the light of one source that replaces all, or of all sources if its number is negative.

    Raises:
        ValueError: there is no such source.
    """
    light, n = light_of(s), len(s.source_XYZ)
    if source < 0:
        return light
    if source >= n:
        raise ValueError(f"override_source must be one of the {n} sources, not {source}")
    return replace(
        light,
        directions=light.directions[source : source + 1],
        wavelengths=light.wavelengths[source : source + 1],
        weights=(float(n),),
    )
