"""A picture of a diffraction image, as image viewers show it: dark spots on a light background.

One panel is shown as it is stored (fast to the right, slow downwards); several are laid out as seen from the X-ray
source, projected along the beam. Large detectors are reduced by the maximum over blocks of pixels, so that a spot
of one pixel stays visible.
"""

from __future__ import annotations

import io
import math
import os
from typing import Sequence

import numpy as np
from dxtbx.model import Beam, Detector, Panel
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from nanobragg_kokkos.atomic import whole_file

SIZE = 1200
N_GREYS = 64
MASKED_COLOUR = (220, 230, 240)
RING_COLOUR = (40, 110, 190)


def write_picture(
    path: str | os.PathLike,
    panels: Sequence[np.ndarray],
    detector: Detector,
    beam: Beam,
    masks: Sequence[np.ndarray] | None = None,
) -> None:
    """Write a PNG of about 1200 pixels a side.

    Args:
        path: of the file.
        panels: one array (slow, fast) for each panel of the detector, counts or expected photons; negative and
            non-finite values are shown as masked.
        detector, beam: for the layout and the resolution rings.
        masks: one bool array of the same shape for each panel, False where a pixel is to be shown as masked.

    Raises:
        ValueError: arrays of another number or shape.
        Sorry: the file cannot be written.
    """
    shapes = [tuple(panel.get_image_size()[::-1]) for panel in detector]
    for name, arrays in (("panels", panels), ("masks", masks)):
        if arrays is not None and [np.shape(a) for a in arrays] != shapes:
            raise ValueError(f"{name}: expected one array for each panel, of the shapes {_short(shapes)}.")
    values, resolution = _lay_out(panels, masks, detector, beam)
    contents = _draw(values, resolution)
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        file.write(contents)


def _short(shapes: Sequence[tuple[int, int]]) -> str:
    return ", ".join(map(str, shapes[:3])) + (", …" if len(shapes) > 3 else "")


def _lay_out(
    panels: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None, detector: Detector, beam: Beam
) -> tuple[np.ndarray, np.ndarray]:
    """Values and resolution (angstrom) on the picture's grid, row 0 at the top; NaN where nothing was measured."""
    right, up = _picture_axes(detector, beam)
    corners = np.array([panel.get_pixel_lab_coord(xy) for panel in detector for xy in _corners(panel)])
    x, y = corners @ right, corners @ -up
    pixel = min(min(panel.get_pixel_size()) for panel in detector)
    extent = max(np.ptp(x), np.ptp(y)) / pixel
    # Whole numbers of pixels a block, or of picture elements a pixel: nothing is lost, nor of uneven size.
    block = math.ceil(extent / SIZE)
    step = pixel * block if extent > SIZE else pixel / max(1, math.floor(SIZE / max(extent, 1)))
    shape = tuple(max(1, round(np.ptp(v) / step)) for v in (y, x))
    values, resolution = np.full((2, *shape), np.nan)

    for i, panel in enumerate(detector):
        fast_mm, slow_mm = panel.get_pixel_size()
        fast, slow = np.array(panel.get_fast_axis()) * fast_mm, np.array(panel.get_slow_axis()) * slow_mm
        origin = np.array(panel.get_origin())
        to_picture = np.array([[fast @ right, slow @ right], [fast @ -up, slow @ -up]])
        if abs(np.linalg.det(to_picture)) < 1e-3 * fast_mm * slow_mm:  # seen edge-on
            continue
        corner = [[panel_corner @ right, panel_corner @ -up] for panel_corner in corners[4 * i : 4 * i + 4]]
        first = np.floor((np.min(corner, axis=0) - (x.min(), y.min())) / step).astype(int).clip(0)
        last = np.ceil((np.max(corner, axis=0) - (x.min(), y.min())) / step).astype(int) + 1
        rows, columns = slice(first[1], min(last[1], shape[0])), slice(first[0], min(last[0], shape[1]))
        grid_y, grid_x = np.mgrid[rows, columns]
        place = np.stack(
            ((grid_x + 0.5) * step + x.min() - origin @ right, (grid_y + 0.5) * step + y.min() - origin @ -up), -1
        )
        f, s = np.moveaxis(place @ np.linalg.inv(to_picture).T, -1, 0)
        n_slow, n_fast = panels[i].shape
        inside = (f >= 0) & (f < n_fast) & (s >= 0) & (s < n_slow)
        blocks = _block_maximum(panels[i], None if masks is None else masks[i], block)
        f, s = f[inside], s[inside]
        values[rows, columns][inside] = blocks[(s // block).astype(int), (f // block).astype(int)]
        rays = origin + f[:, None] * fast + s[:, None] * slow
        resolution[rows, columns][inside] = _resolution(rays, beam)
    return values, resolution


def _picture_axes(detector: Detector, beam: Beam) -> tuple[np.ndarray, np.ndarray]:
    if len(detector) == 1:
        return np.array(detector[0].get_fast_axis()), -np.array(detector[0].get_slow_axis())
    to_source = np.array(beam.get_sample_to_source_direction())
    vertical = np.array((0.0, 1.0, 0.0) if abs(to_source[1]) < 0.9 else (0.0, 0.0, 1.0))
    right = np.cross(vertical, to_source)
    right /= np.linalg.norm(right)
    return right, np.cross(to_source, right)


def _corners(panel: Panel) -> list[tuple[int, int]]:
    fast, slow = panel.get_image_size()
    return [(0, 0), (fast, 0), (0, slow), (fast, slow)]


def _block_maximum(panel: np.ndarray, mask: np.ndarray | None, block: int) -> np.ndarray:
    """Maximum of the valid pixels of each block; NaN where it has none."""
    good = np.isfinite(panel) & (panel >= 0)
    good = good if mask is None else good & mask
    values = np.where(good, panel, -1).astype(np.float32)
    slow, fast = (-(-n // block) for n in values.shape)
    padding = [(0, n * block - size) for n, size in zip((slow, fast), values.shape)]
    values = np.pad(values, padding, constant_values=-1)
    values = values.reshape(slow, block, fast, block).max(axis=(1, 3))
    return np.where(values < 0, np.nan, values)


def _resolution(rays: np.ndarray, beam: Beam) -> np.ndarray:
    """d = lambda / |s1 - s0| for unit vectors s1 along the rays and s0 along the beam."""
    unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
    distance = np.linalg.norm(unit + np.array(beam.get_sample_to_source_direction()), axis=1)
    return beam.get_wavelength() / np.maximum(distance, 1e-6)


def _grey_range(values: np.ndarray) -> tuple[float, float]:
    """The values shown as white and as black: the background is to stay light, however uneven it is."""
    valid = values[np.isfinite(values)]
    if not valid.size:
        return 0.0, 1.0
    low, middle, high, top = np.percentile(valid, (1, 50, 99, 99.9))
    black = max(high + 2 * (high - middle), min(top, high + 6 * (high - middle)))
    return (low, black) if black > low else (low, low + 1.0)


def _rings(resolution: np.ndarray) -> list[float]:
    """Up to four resolutions, evenly spaced in 1/d, of two digits, in descending order."""
    edge = np.nanmin(resolution) if np.isfinite(resolution).any() else math.inf
    if not math.isfinite(edge):
        return []
    rings = {float(f"{edge * 4.6 / j:.2g}") for j in (1, 2, 3, 4)}
    return sorted((d for d in rings if edge < d < np.nanmax(resolution)), reverse=True)


def _draw(values: np.ndarray, resolution: np.ndarray) -> bytes:
    height, width = values.shape
    dpi = 100
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor=_hex(MASKED_COLOUR))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.axis("off")
    low, black = _grey_range(values)
    axes.imshow(values, cmap="gray_r", vmin=low, vmax=black, interpolation="nearest", aspect="auto")
    for d in _rings(resolution):
        ring = axes.contour(resolution, levels=[d], colors=_hex(RING_COLOUR), linewidths=0.8, alpha=0.45)
        _label(axes, ring, f"{d:g} Å")
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    image = image.quantize(palette=_palette(), dither=Image.Dither.NONE)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _palette() -> Image.Image:
    """Greys, and rings of every strength over them: a file several times smaller than in full colour."""
    greys = np.linspace(0, 255, N_GREYS)[:, None].repeat(3, axis=1)
    rings = [a * np.array(RING_COLOUR) + (1 - a) * greys[::8] for a in (0.2, 0.4, 0.6, 0.8, 1.0)]
    colours = np.concatenate((greys, *rings, [MASKED_COLOUR]))
    image = Image.new("P", (1, 1))
    image.putpalette(colours.round().astype(np.uint8).tobytes())
    return image


def _hex(colour: tuple[int, int, int]) -> str:
    return "#%02x%02x%02x" % colour


def _label(axes, ring, text: str) -> None:
    """Write `text` at the top of the ring's longest piece."""
    pieces = [piece for level in ring.allsegs for piece in level]
    if pieces:
        piece = max(pieces, key=len)
        x, y = piece[np.argmin(piece[:, 1])]
        axes.text(x, y + 4, text, color=_hex(RING_COLOUR), fontsize=9, ha="center", va="top", clip_on=True)
