"""Warnings about a detector's position: the beam misses it, or no reflection reaches it."""

from __future__ import annotations

import numpy as np
from cctbx import factor_ev_angstrom, miller
from dxtbx.model import Detector, Panel

# Points on each side of a panel, to find the one nearest to the beam.
POINTS = 65


def warnings(detector: Detector, energies_eV: np.ndarray, amplitudes: miller.array) -> list[str]:
    """Returns a sentence for each unusual fact; the beam comes from +z.

    Args:
        energies_eV: energies of the beam.
        amplitudes: amplitudes of the crystal.
    """
    found = []
    beside = beam_beside_mm(detector)
    if beside > 0:
        found.append(f"Detector: the beam passes {beside:.3g} mm beside it")
    lowest, highest = resolution_range(detector, energies_eV)
    largest, smallest = amplitudes.d_max_min()
    if highest > largest or lowest < smallest:
        known = (
            f"the crystal's largest d is {largest:.3g}" if highest > largest else f"amplitudes end at {smallest:.3g}"
        )
        found.append(
            f"Detector: no reflection reaches it; {known} angstrom, and the detector covers {lowest:.3g} to "
            f"{highest:.3g} angstrom"
        )
    return found


def beam_beside_mm(detector: Detector) -> float:
    """Returns the distance of the beam from the upright rectangle around all panels; 0 if it passes inside."""
    corners = np.concatenate([_outline(panel, 2)[:, :2] for panel in detector])
    outside = np.maximum(np.maximum(corners.min(axis=0), -corners.max(axis=0)), 0)
    return float(np.hypot(*outside))


def resolution_range(detector: Detector, energies_eV: np.ndarray) -> tuple[float, float]:
    """Returns the largest and the smallest d (angstrom) that reach a panel at these energies; inf: the beam itself."""
    smallest_angle, largest_angle = np.pi, 0.0
    for panel in detector:
        points = _outline(panel, POINTS)
        angles = np.arctan2(np.hypot(points[:, 0], points[:, 1]), -points[:, 2])
        largest_angle = max(largest_angle, angles.max())
        smallest_angle = min(smallest_angle, 0.0 if _is_hit(panel) else angles.min())
    longest, shortest = factor_ev_angstrom / min(energies_eV), factor_ev_angstrom / max(energies_eV)
    lowest = longest / (2 * np.sin(smallest_angle / 2)) if smallest_angle > 0 else np.inf
    return float(lowest), float(shortest / (2 * np.sin(largest_angle / 2)))


def _outline(panel: Panel, points: int) -> np.ndarray:
    """Returns points (n, 3) on the outline, corners among them, in the laboratory's frame (mm)."""
    along = np.linspace(0, 1, points)
    ends = (np.zeros(points), np.ones(points))
    unit = np.concatenate([np.column_stack(side) for end in ends for side in ((along, end), (end, along))])
    origin, fast, slow = (np.array(v) for v in (panel.get_origin(), panel.get_fast_axis(), panel.get_slow_axis()))
    return origin + (unit * panel.get_image_size_mm()) @ np.array((fast, slow))


def _is_hit(panel: Panel) -> bool:
    """Returns whether the beam meets the panel."""
    try:
        fast, slow = panel.get_ray_intersection((0.0, 0.0, -1.0))
    except RuntimeError:  # its plane is upstream, or parallel to the beam
        return False
    return 0 <= fast <= panel.get_image_size_mm()[0] and 0 <= slow <= panel.get_image_size_mm()[1]
