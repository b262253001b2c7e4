"""How panels move, one by one or as a group."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from dxtbx.model import Detector

from nanobragg_kokkos.models.tangent import Tangent


def translation(detector: Detector, panels: Iterable[int], axis: Sequence[float]) -> Tangent:
    """Returns the tangent of a shift (mm) of some panels along an axis.

    Args:
        panels: their numbers.
        axis: (3,) unit vector in the laboratory.
    """
    moves = np.zeros((len(detector), 3))
    moves[list(panels)] = axis
    return Tangent(panel_translations=moves)


def rotation(detector: Detector, panels: Iterable[int], axis: Sequence[float], pivot_mm: Sequence[float]) -> Tangent:
    """Returns the tangent of a right-handed rotation (radians) of some panels about an axis through a pivot.

    Args:
        panels: their numbers.
        axis: (3,) unit vector in the laboratory.
        pivot_mm: (3,) a point of the axis.
    """
    turns, moves = np.zeros((2, len(detector), 3))
    turns[list(panels)] = axis
    moves[list(panels)] = -np.cross(axis, pivot_mm)  # what takes the axis from the sample to the pivot
    return Tangent(panel_translations=moves, panel_rotations=turns)


def centre(detector: Detector, panel: int) -> np.ndarray:
    """Returns the middle (3,) of a panel, mm: the pivot of its own rotations."""
    size = np.array(detector[panel].get_image_size())
    return np.array(detector[panel].get_pixel_lab_coord(tuple((size / 2).tolist())))
