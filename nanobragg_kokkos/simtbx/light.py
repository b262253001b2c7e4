"""The light that falls on the sample, as the engine takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nanobragg_kokkos import Sources
from nanobragg_kokkos.simtbx.arithmetic import Vector
from nanobragg_kokkos.simtbx.state import State


@dataclass(frozen=True)
class Light:
    """Any number n of plane waves.  Equal ones are the same light.

    Args:
        directions: (n, 3) from the sample to the sources; need not be unit vectors.
        wavelengths: (n,) metres.
        weights: (n,) 0 or more.
        fluence: photons/m² of a wave with the weight 1.
        polar_vector: (3,) direction of the electric field.
        polarization: Kahn factor, -1 to 1.

    Raises:
        ValueError: a Kahn factor that cannot be.
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
        """Photons/mm² of all waves together."""
        return self.fluence * 1e-6 * sum(self.weights)

    def sources(self, channels: Sequence[int] | None = None) -> Sources:
        """The engine's sources, which see these channels of the structure factors."""
        return Sources(
            wavelengths=[wavelength * 1e10 for wavelength in self.wavelengths],
            weights=self.weights,
            directions=self.directions,
            channels=channels,
            electric_vector=self.polar_vector,
            polarization_fraction=(self.polarization + 1.0) / 2.0,
        )

    def scaled(self, factor: float) -> Light:
        """The same waves with another number of photons."""
        return replace(self, fluence=self.fluence * factor)


def light_of(s: State, weights: Sequence[float] | None = None) -> Light:
    """The light of all sources: weighted by their intensities, or by other numbers.

    They add up, each with the whole fluence, instead of being averaged.
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
    """The light of one source that stands for all; of all sources, if its number is negative.

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
