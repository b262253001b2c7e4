"""Draws a diffraction image as image viewers do, with dark spots on a light background.

Where what goes is up to picture_layout. The scale of greys follows the background, so that weak spots are dark, too;
overloads are red. Around the picture there may be a frame that tells the scale, the place and the resolution.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dxtbx.model import Beam, Detector
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import EllipseCollection
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from PIL import Image

from nanobragg_kokkos.files.picture_layout import Layout, lay_out
from nanobragg_kokkos.util.whole_files import whole_file

SIZE = 1200
DPI = 100
TILE = 20
N_GREYS = 40
MASKED_COLOUR = (220, 230, 240)
RING_COLOUR = (40, 110, 190)
SPOT_COLOUR = (225, 95, 0)
OVERLOAD_COLOUR = (200, 0, 40)

# Elements around the picture for a frame: left, top, right, bottom. They grow with the size of the letters.
MARGINS = np.array((4.2, 2.2, 6.2, 2.4))


@dataclass(frozen=True, eq=False)
class Marks:
    """Positions on the detector to circle: panels (n), and fast and slow (n), pixels."""

    panels: np.ndarray
    fast: np.ndarray
    slow: np.ndarray


def write_picture(
    path: str | os.PathLike,
    panels: Sequence[np.ndarray],
    detector: Detector,
    beam: Beam,
    masks: Sequence[np.ndarray] | None = None,
) -> None:
    """Writes a PNG of about 1200 pixels a side.

    Args:
        path: path of the file.
        panels: one array (slow, fast) for each panel of the detector, counts or expected photons; negative
            and non-finite values are shown as masked.
        detector, beam: models for the layout and the resolution rings.
        masks: one bool array of the same shape for each panel, False where a pixel is to be shown as masked.

    Raises:
        ValueError: arrays of another number or shape.
        Sorry: the file cannot be written.
    """
    shapes = [tuple(panel.get_image_size()[::-1]) for panel in detector]
    for name, arrays in (("panels", panels), ("masks", masks)):
        if arrays is not None and [np.shape(a) for a in arrays] != shapes:
            raise ValueError(f"{name}: expected one array for each panel, of the shapes {_short(shapes)}.")
    contents = draw(lay_out(panels, masks, detector, beam, SIZE))
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        file.write(contents)


def draw(
    layout: Layout,
    marks: Marks | None = None,
    title: str | None = None,
    limits: tuple[float, float] | None = None,
    mark_radius: float | None = None,
) -> bytes:
    """Returns the contents of a PNG file of the picture.

    Args:
        layout: grid of the picture.
        marks: points to circle.
        title: title of a frame with the scale of the greys in counts and of positions in pixels. None: no frame.
        limits: counts shown as white and as black. None: follow the background.
        mark_radius: radius of the circles, elements of the layout's grid. None: 1 % of the picture's longer side.
    """
    height, width = layout.values.shape
    letter = max(12.0, 0.028 * max(width, height))  # elements
    left, top, right, bottom = np.rint(MARGINS * letter) if title is not None else np.zeros(4)
    full_width, full_height = width + left + right, height + top + bottom
    background = "white" if title is not None else _hex(MASKED_COLOUR)
    figure = Figure(figsize=(full_width / DPI, full_height / DPI), dpi=DPI, facecolor=background)
    canvas = FigureCanvasAgg(figure)
    box = (left / full_width, bottom / full_height, width / full_width, height / full_height)
    axes = figure.add_axes(box, facecolor=_hex(MASKED_COLOUR))
    points = letter * 72 / DPI
    low, black = limits or _grey_range(layout.values[:: layout.enlarged, :: layout.enlarged])
    x0, y0, x1, y1 = layout.region
    shown = axes.imshow(
        # From 0, so that what is the same but for an offset looks the same to the last digit.
        layout.values - low,
        cmap="gray_r",
        vmin=0,
        vmax=black - low,
        interpolation="nearest",
        aspect="auto",
        extent=(x0, x1, y1, y0),
    )
    if layout.overloaded.any():
        red = np.zeros((height, width, 4))
        red[layout.overloaded] = (*np.array(OVERLOAD_COLOUR) / 255, 1)
        axes.imshow(red, interpolation="nearest", aspect="auto", extent=(x0, x1, y1, y0))
    scale = (x1 - x0) / width
    if np.isfinite(layout.resolution).any():
        x = x0 + (np.arange(width) + 0.5) * scale
        y = y0 + (np.arange(height) + 0.5) * scale
        for d in _rings(layout.resolution):
            ring = axes.contour(
                x, y, layout.resolution, levels=[d], colors=_hex(RING_COLOUR), linewidths=0.06 * points, alpha=0.5
            )
            _label(axes, ring, f"{d:g} Å", points)
    if marks is not None:
        radius = (mark_radius or 0.01 * max(width, height)) * scale
        _circle(axes, layout, marks, radius, 0.1 * points)
    axes.set_xlim(x0, x1)
    axes.set_ylim(y1, y0)
    if title is None:
        axes.axis("off")
    else:
        _frame(axes, title, points)
        bar = figure.add_axes((box[0] + box[2] + 0.6 * letter / full_width, box[1], letter / full_width, box[3]))
        _scale(figure.colorbar(shown, cax=bar, extend="max"), low, black, points)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())
    image = image.quantize(palette=_palette(), dither=Image.Dither.NONE)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _short(shapes: Sequence[tuple[int, int]]) -> str:
    return ", ".join(map(str, shapes[:3])) + (", …" if len(shapes) > 3 else "")


def _grey_range(values: np.ndarray) -> tuple[float, float]:
    """Returns the values shown as white and as black: the background, however uneven, is to be light, a spot dark."""
    valid = values[np.isfinite(values)]
    if not valid.size:
        return 0.0, 1.0
    # Values that occur: an offset of all counts then shifts the range by just as much.
    low, middle, above = np.percentile(valid, (1, 50, 84), method="nearest")
    background = _tile_medians(values)
    top = np.percentile(background, 99.5, method="nearest") if background.size else middle
    black = max(top + 2 * (top - low), middle + 6 * (above - middle))
    if black <= low:  # no background
        lit = valid[valid > low]
        black = np.median(lit) if lit.size else low + 1
    return low, black


def _tile_medians(values: np.ndarray) -> np.ndarray:
    """Returns the medians of tiles that are larger than spots, which hardly change them."""
    height, width = (n // TILE for n in values.shape)
    tiles = values[: height * TILE, : width * TILE].reshape(height, TILE, width, TILE)
    tiles = tiles.swapaxes(1, 2).reshape(-1, TILE * TILE)
    return np.median(tiles[np.isfinite(tiles).all(axis=1)], axis=1)


def _rings(resolution: np.ndarray) -> list[float]:
    """Returns up to four resolutions, evenly spaced in 1/d, of two digits (three where two do not tell them apart)."""
    farthest, nearest = 1 / np.nanmin(resolution), 1 / np.nanmax(resolution)
    # Just short of the corner, so that the last ring is long enough to be seen.
    span = (farthest - nearest) / 4.6
    for digits in (2, 3, 4):
        tried = {float(f"{1 / (nearest + span * j):.{digits}g}") for j in (1, 2, 3, 4)}
        rings = sorted((d for d in tried if nearest < 1 / d < farthest), reverse=True)
        if len(rings) >= 3:
            break
    return rings


def _circle(axes, layout: Layout, marks: Marks, radius: float, line: float) -> None:
    """Draws circles of a radius (pixels) around the marks that are in the picture."""
    columns, rows = layout.values.shape[::-1]
    x0, y0, x1, y1 = layout.region
    for panel in np.unique(marks.panels):
        chosen = marks.panels == panel
        places = layout.place(int(panel), marks.fast[chosen], marks.slow[chosen])
        places = places[layout.contains(places)] * ((x1 - x0) / columns, (y1 - y0) / rows) + (x0, y0)
        size = np.full(len(places), 2 * radius)
        axes.add_collection(
            EllipseCollection(
                size, size, np.zeros(len(places)), units="xy", offsets=places, transOffset=axes.transData,
                facecolors="none", edgecolors=_hex(SPOT_COLOUR), linewidths=line,
            )
        )  # fmt: skip


def _frame(axes, title: str, points: float) -> None:
    """Draws the title, and the axes in pixels."""
    axes.set_title(title, fontsize=1.1 * points, loc="left", pad=0.5 * points, parse_math=False)
    axes.tick_params(labelsize=0.9 * points, length=0.3 * points, width=0.06 * points)
    axes.locator_params(nbins=6, prune="both")
    for label in axes.get_yticklabels():
        label.set(rotation=90, va="center")
    for spine in axes.spines.values():
        spine.set_linewidth(0.06 * points)


def _scale(bar: Colorbar, low: float, black: float, points: float) -> None:
    """Labels the colour bar with the counts that are white and black."""
    ticks = MaxNLocator(nbins=6).tick_values(low, black)
    ticks = ticks[(ticks >= low) & (ticks <= black)]
    bar.set_ticks(ticks - low, labels=[f"{tick:g}" for tick in ticks])
    bar.set_label("counts", fontsize=0.9 * points)
    bar.ax.tick_params(labelsize=0.9 * points, length=0.3 * points, width=0.06 * points)
    bar.outline.set_linewidth(0.06 * points)


def _palette() -> Image.Image:
    """Returns a palette of greys, and of lines of every strength over them, which makes files several times smaller."""
    greys = np.linspace(0, 255, N_GREYS)[:, None].repeat(3, axis=1)
    lines = [
        a * np.array(colour) + (1 - a) * greys[::8]
        for colour in (RING_COLOUR, SPOT_COLOUR)
        for a in (0.2, 0.4, 0.6, 0.8, 1.0)
    ]
    colours = np.concatenate((greys, *lines, [MASKED_COLOUR, OVERLOAD_COLOUR]))
    image = Image.new("P", (1, 1))
    image.putpalette(colours.round().astype(np.uint8).tobytes())
    return image


def _hex(colour: tuple[int, int, int]) -> str:
    return "#%02x%02x%02x" % colour


def _label(axes, ring, text: str, points: float) -> None:
    """Writes `text` at the top of the ring's longest piece, away from the sides."""
    pieces = [piece for level in ring.allsegs for piece in level]
    if pieces:
        piece = max(pieces, key=len)
        left, right = axes.get_xlim()
        margin = 0.08 * (right - left)
        inner = piece[(piece[:, 0] > left + margin) & (piece[:, 0] < right - margin)]
        piece = inner if len(inner) else piece
        place = piece[np.argmin(piece[:, 1])]
        axes.annotate(
            text,
            place,
            xytext=(0, -0.2 * points),
            textcoords="offset points",
            color=_hex(RING_COLOUR),
            fontsize=points,
            ha="center",
            va="top",
            clip_on=True,
            zorder=5,
            path_effects=[withStroke(linewidth=0.2 * points, foreground="white")],
        )
