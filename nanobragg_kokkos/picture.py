"""A picture of a diffraction image, as image viewers show it: dark spots on a light background.

One panel is shown as it is stored (fast to the right, slow downwards); several are laid out as seen from the
X-ray source, projected along the beam. Large detectors are reduced by the maximum over blocks of pixels, so
that a spot of one pixel stays visible.
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
TILE = 20
N_GREYS = 40
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
        panels: one array (slow, fast) for each panel of the detector, counts or expected photons; negative
            and non-finite values are shown as masked.
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
    """Values and resolution (angstrom) on the picture's grid, row 0 on top; NaN where nothing is measured."""
    axes = _picture_axes(detector, beam)
    corners = [_corners(panel) @ axes.T for panel in detector]
    first, last = np.min(corners, axis=(0, 1)), np.max(corners, axis=(0, 1))
    pixel = min(min(panel.get_pixel_size()) for panel in detector)
    extent = max(last - first) / pixel
    # Whole numbers of pixels a block, or of picture elements a pixel: none is lost, and all have one size.
    block = math.ceil(extent / SIZE)
    step = pixel * block if block > 1 else pixel / math.floor(SIZE / extent)
    n_x, n_y = np.maximum(1, np.round((last - first) / step)).astype(int)
    values, resolution = np.full((2, n_y, n_x), np.nan)

    for i, panel in enumerate(detector):
        d = np.array(panel.get_d_matrix()).reshape(3, 3) * (*panel.get_pixel_size(), 1.0)
        to_picture = axes @ d[:, :2]
        if abs(np.linalg.det(to_picture)) < 1e-3 * math.prod(panel.get_pixel_size()):  # seen edge-on
            continue
        box = np.array([np.min(corners[i], axis=0), np.max(corners[i], axis=0)])
        (x0, y0), (x1, y1) = np.clip(np.rint((box - first) / step).astype(int) + [[-1], [1]], 0, (n_x, n_y))
        y, x = np.mgrid[y0:y1, x0:x1]
        place = np.stack((x + 0.5, y + 0.5), axis=-1) * step + first - axes @ d[:, 2]
        pixels = place @ np.linalg.inv(to_picture).T
        inside = ((pixels >= 0) & (pixels < panel.get_image_size())).all(axis=-1)
        pixels = pixels[inside]
        blocks = _block_maximum(panels[i], None if masks is None else masks[i], block)
        fast, slow = (pixels // block).astype(int).T
        values[y0:y1, x0:x1][inside] = blocks[slow, fast]
        resolution[y0:y1, x0:x1][inside] = _resolution(pixels @ d[:, :2].T + d[:, 2], beam)
    return values, resolution


def _picture_axes(detector: Detector, beam: Beam) -> np.ndarray:
    """Two unit vectors in the laboratory: to the picture's right and downwards."""
    if len(detector) == 1:
        return np.array((detector[0].get_fast_axis(), detector[0].get_slow_axis()))
    to_source = np.array(beam.get_sample_to_source_direction())
    vertical = np.array((0.0, 1.0, 0.0) if abs(to_source[1]) < 0.9 else (0.0, 0.0, 1.0))
    right = np.cross(vertical, to_source)
    right /= np.linalg.norm(right)
    return np.array((right, np.cross(right, to_source)))


def _corners(panel: Panel) -> np.ndarray:
    fast, slow = panel.get_image_size()
    return np.array([panel.get_pixel_lab_coord((f, s)) for f in (0, fast) for s in (0, slow)])


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
    """The values shown as white and as black: the background, however uneven, is to be light, a spot dark."""
    valid = values[np.isfinite(values)]
    if not valid.size:
        return 0.0, 1.0
    low, middle, above = np.percentile(valid, (1, 50, 84))
    background = _tile_medians(values)
    top = np.percentile(background, 99.5) if background.size else middle
    black = max(top + 2 * (top - low), middle + 6 * (above - middle))
    if black <= low:  # no background
        lit = valid[valid > low]
        black = np.median(lit) if lit.size else low + 1
    return low, black


def _tile_medians(values: np.ndarray) -> np.ndarray:
    """Medians of tiles that are larger than spots, which they hardly feel."""
    height, width = (n // TILE for n in values.shape)
    tiles = values[: height * TILE, : width * TILE].reshape(height, TILE, width, TILE)
    tiles = tiles.swapaxes(1, 2).reshape(-1, TILE * TILE)
    return np.median(tiles[np.isfinite(tiles).all(axis=1)], axis=1)


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
