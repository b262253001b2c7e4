"""How the incident beam changes with its direction, wavelengths, weights, polarization and fluence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nanobragg_kokkos.models.beam.sources import Sources
from nanobragg_kokkos.models.tangent import Tangent


def rotation(axis: Sequence[float]) -> Tangent:
    """Returns the tangent of a right-handed rotation (radians) of all sources and their polarization.

    It is dxtbx's rotate_around_origin of a Beam.

    Args:
        axis: (3,) unit vector in the laboratory.
    """
    return Tangent(beam_rotation=np.asarray(axis, float))


def wavelength_shift() -> Tangent:
    """Returns the tangent of a length (angstrom) that is added to all wavelengths."""
    return Tangent(wavelength=1.0)


def wavelength_scale() -> Tangent:
    """Returns the tangent of a factor of all wavelengths, where it is 1."""
    return Tangent(log_wavelength=1.0)


def weight(sources: Sources, number: int) -> Tangent:
    """Returns the tangent of the weight of one source, in the unit of the weights; the fluence of all sources stays."""
    total = float(sources.weights.sum())
    share = -sources.weights / total**2
    share[number] += 1 / total
    return Tangent(weights=share)


def fluence(photons_per_mm2: float) -> Tangent:
    """Returns the tangent of the fluence (photons/mm²) of all sources together, where it is that."""
    return Tangent(log_spots=1 / photons_per_mm2, log_background=1 / photons_per_mm2)


def polarization_fraction() -> Tangent:
    """Returns the tangent of the polarization fraction, by which the Kahn factor changes twice as fast."""
    return Tangent(kahn_factor=2.0)
