"""Arranges the pixels of a detector in a picture.

One panel is shown as it is stored (fast to the right, slow downwards); several are laid out as seen from the X-ray
source, projected along the beam. Large detectors are reduced by the maximum over blocks of pixels, so that a spot of
one pixel stays visible; small ones are enlarged by a whole number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dxtbx.model import Beam, Detector, Panel

from nanobragg_kokkos.models.detector.geometry import pixel_frame, resolution_along


@dataclass(frozen=True, eq=False)
class Layout:
    """The grid of a picture, with row 0 on top, and its contents.

    Attributes:
        values: (rows, columns) counts; NaN where nothing is measured.
        overloaded: (rows, columns) bool: some pixel is brighter than is trusted.
        resolution: (rows, columns) d in angstrom.
        region: left, top, right, bottom of the grid, in pixels from the upper left corner of all panels.
        enlarged: elements along each side of a pixel, 1 where pixels are not enlarged.
    """

    values: np.ndarray
    overloaded: np.ndarray
    resolution: np.ndarray
    region: tuple[float, float, float, float]
    enlarged: int
    _detector: Detector
    _axes: np.ndarray
    _first: np.ndarray
    _step: float

    def place(self, panel: int, fast: np.ndarray, slow: np.ndarray) -> np.ndarray:
        """Returns columns and rows (n, 2) of positions on a panel, pixels; fractions count from an element's edge."""
        frame = pixel_frame(self._detector[panel])
        lab = np.stack((fast, slow, np.ones_like(fast)), axis=-1) @ frame.T
        return (lab @ self._axes.T - self._first) / self._step

    def contains(self, places: np.ndarray) -> np.ndarray:
        """Returns which of some columns and rows (n, 2) are in the picture."""
        return ((places >= 0) & (places < self.values.shape[::-1])).all(axis=-1)

    def count(self, panels: np.ndarray, fast: np.ndarray, slow: np.ndarray) -> int:
        """Returns the number of positions on panels that are in the picture."""
        chosen = [panels == panel for panel in np.unique(panels)]
        return sum(int(self.contains(self.place(int(panels[c][0]), fast[c], slow[c])).sum()) for c in chosen)


def lay_out(
    panels: Sequence[np.ndarray],
    masks: Sequence[np.ndarray] | None,
    detector: Detector,
    beam: Beam,
    size: int,
    overloads: Sequence[np.ndarray] | None = None,
    region: tuple[float, float, float, float] | None = None,
) -> Layout:
    """Returns the grid of a picture of about `size` elements along its longer side.

    Args:
        panels: one array (slow, fast) for each panel; negative and non-finite values are not measured.
        masks, overloads: one bool array of the same shape for each panel: what is measured, what is too bright.
        region: left, top, right, bottom, in pixels from the upper left corner of all panels. None: all of them.
    """
    axes = _picture_axes(detector, beam)
    corners = [_corners(panel) @ axes.T for panel in detector]
    origin, last = np.min(corners, axis=(0, 1)), np.max(corners, axis=(0, 1))
    pixel = min(min(panel.get_pixel_size()) for panel in detector)
    first = origin
    if region is not None:
        first, last = origin + np.array(region[:2]) * pixel, origin + np.array(region[2:]) * pixel
    extent = max(last - first) / pixel
    # Whole numbers of pixels a block, or of picture elements a pixel: none is lost, and all have one size.
    block = math.ceil(extent / size)
    enlarged = max(1, math.floor(size / extent))
    step = pixel * block / enlarged
    n_x, n_y = np.maximum(1, np.round((last - first) / step)).astype(int)
    values, resolution = np.full((2, n_y, n_x), np.nan)
    overloaded = np.zeros((n_y, n_x), bool)

    for i, panel in enumerate(detector):
        frame = pixel_frame(panel)
        to_picture = axes @ frame[:, :2]
        if abs(np.linalg.det(to_picture)) < 1e-3 * math.prod(panel.get_pixel_size()):  # seen edge-on
            continue
        box = np.array([np.min(corners[i], axis=0), np.max(corners[i], axis=0)])
        (x0, y0), (x1, y1) = np.clip(np.rint((box - first) / step).astype(int) + [[-1], [1]], 0, (n_x, n_y))
        if x0 >= x1 or y0 >= y1:
            continue
        y, x = np.mgrid[y0:y1, x0:x1]
        place = np.stack((x + 0.5, y + 0.5), axis=-1) * step + first - axes @ frame[:, 2]
        pixels = place @ np.linalg.inv(to_picture).T
        inside = ((pixels >= 0) & (pixels < panel.get_image_size())).all(axis=-1)
        pixels = pixels[inside]
        fast, slow = (pixels // block).astype(int).T
        blocks = _block_maximum(panels[i], None if masks is None else masks[i], block)
        values[y0:y1, x0:x1][inside] = blocks[slow, fast]
        if overloads is not None and overloads[i].any():
            overloaded[y0:y1, x0:x1][inside] = _in_blocks(overloads[i], block, False).any(axis=(1, 3))[slow, fast]
        resolution[y0:y1, x0:x1][inside] = resolution_along(pixels @ frame[:, :2].T + frame[:, 2], beam)
    start, end = (first - origin) / pixel, (first - origin) / pixel + np.array((n_x, n_y)) * step / pixel
    return Layout(values, overloaded, resolution, (*start, *end), enlarged, detector, axes, first, step)


def whole_region(detector: Detector, beam: Beam) -> tuple[float, float]:
    """Returns the width and height of all panels as they are laid out, pixels."""
    corners = np.array([_corners(panel) for panel in detector]) @ _picture_axes(detector, beam).T
    pixel = min(min(panel.get_pixel_size()) for panel in detector)
    width, height = (corners.max(axis=(0, 1)) - corners.min(axis=(0, 1))) / pixel
    return float(width), float(height)


def region_to_resolution(detector: Detector, beam: Beam, d_min: float) -> tuple[float, float, float, float] | None:
    """Returns the square around the circle of a resolution (angstrom), in pixels; None if no panel is within it."""
    axes = _picture_axes(detector, beam)
    pixel = min(min(panel.get_pixel_size()) for panel in detector)
    corners = np.array([_corners(panel) for panel in detector])
    origin = (corners @ axes.T).min(axis=(0, 1))
    sine = beam.get_wavelength() / (2 * d_min)
    if not sine < math.sin(math.radians(44.9)):  # beyond, the cone around the beam has no end on a flat detector
        return (0.0, 0.0, *whole_region(detector, beam))
    to_sample = np.array(beam.get_sample_to_source_direction())
    distance = float(np.median(-(corners @ to_sample)))
    radius = distance * math.tan(2 * math.asin(sine)) / pixel
    x, y = (-distance * to_sample @ axes.T - origin) / pixel
    width, height = whole_region(detector, beam)
    left, top, right, bottom = (
        max(0.0, x - radius),
        max(0.0, y - radius),
        min(width, x + radius),
        min(height, y + radius),
    )
    return (left, top, right, bottom) if left < right and top < bottom else None


def _picture_axes(detector: Detector, beam: Beam) -> np.ndarray:
    """Returns two unit vectors in the laboratory: to the picture's right and downwards."""
    if len(detector) == 1:
        return np.array((detector[0].get_fast_axis(), detector[0].get_slow_axis()))
    to_source = np.array(beam.get_sample_to_source_direction())
    vertical = np.array((0.0, 1.0, 0.0) if abs(to_source[1]) < 0.9 else (0.0, 0.0, 1.0))
    right = np.cross(vertical, to_source)
    right /= np.linalg.norm(right)
    return np.array((right, np.cross(right, to_source)))


def _corners(panel: Panel) -> np.ndarray:
    fast, slow = panel.get_image_size()
    return np.array([(f, s, 1) for f in (0, fast) for s in (0, slow)]) @ pixel_frame(panel).T


def _block_maximum(panel: np.ndarray, mask: np.ndarray | None, block: int) -> np.ndarray:
    """Returns the maximum of the valid pixels of each block; NaN where it has none."""
    good = np.isfinite(panel) & (panel >= 0)
    good = good if mask is None else good & mask
    values = _in_blocks(np.where(good, panel.astype(np.float32), np.float32(-1)), block, -1).max(axis=(1, 3))
    return np.where(values < 0, np.nan, values)


def _in_blocks(values: np.ndarray, block: int, padding: float) -> np.ndarray:
    """Returns the values as an array (blocks, block, blocks, block), padded at the far edges if need be."""
    slow, fast = (-(-n // block) for n in values.shape)
    widths = [(0, n * block - size) for n, size in zip((slow, fast), values.shape)]
    return np.pad(values, widths, constant_values=padding).reshape(slow, block, fast, block)
