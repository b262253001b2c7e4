"""Measures an image: its counts, its background, and the spots that the true models predict."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from dxtbx.model import Beam, Detector

from nanobragg_kokkos.files.reader import StoredImage
from nanobragg_kokkos.imaging.prediction import Spots
from nanobragg_kokkos.models.detector.geometry import pixel_frame, resolution_along
from nanobragg_kokkos.report.run import Scale

N_SHELLS = 40

# A spot with fewer background pixels around it is not measured.
FEWEST_BACKGROUND_PIXELS = 20


class Shells:
    """Shells of equal width in 1/d, and the shell of each pixel of a detector.

    Attributes:
        edges: limits of the shells, (shells + 1,) in 1/angstrom.
        middles: middles of the shells, (shells,) in 1/angstrom.
        of_pixels: numbers of the pixels' shells, an array (slow, fast) for each panel.
    """

    def __init__(self, detector: Detector, beam: Beam) -> None:
        self.edges = np.linspace(0, 1 / detector.get_max_resolution(beam.get_s0()), N_SHELLS + 1)
        self.middles = 0.5 * (self.edges[1:] + self.edges[:-1])
        self.of_pixels = []
        for panel in detector:
            fast, slow = panel.get_image_size()
            frame = pixel_frame(panel)
            shells = np.empty((slow, fast), np.uint8)
            columns = (np.arange(fast) + 0.5)[:, None] * frame[:, 0] + frame[:, 2]
            for row in range(slow):
                shells[row] = self.containing(1 / resolution_along(columns + (row + 0.5) * frame[:, 1], beam))
            self.of_pixels.append(shells)

    def containing(self, inverse_d: np.ndarray) -> np.ndarray:
        """Returns the numbers of the shells that contain some 1/d (1/angstrom)."""
        return np.minimum(inverse_d / self.edges[1], N_SHELLS - 1).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Measured:
    """Spots measured in an image; arrays of n.

    Attributes:
        spots: the predictions.
        photons: photons of the whole spot without its background.
        background: background, photons per pixel.
        pixels: number of pixels that were summed.
        overloaded: whether one of these pixels is above the trusted range.
    """

    spots: Spots
    photons: np.ndarray
    background: np.ndarray
    pixels: np.ndarray
    overloaded: np.ndarray

    @property
    def signal_to_background(self) -> np.ndarray:
        """Returns the photons of each spot divided by those of its background; NaN without background."""
        below = self.background * self.pixels
        return np.divide(self.photons, below, out=np.full(len(below), np.nan), where=below > 0)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Statistics of one image.

    Attributes:
        histogram: numbers of pixels that count 0, 1, 2, …; the last one includes all higher counts.
        brightest: highest count.
        masked, overloaded: numbers of such pixels.
        background: mean background, (shells,) photons per pixel; NaN in a shell without pixels.
        measured: the measured spots.
    """

    histogram: np.ndarray
    brightest: float
    masked: int
    overloaded: int
    background: np.ndarray
    measured: Measured


MOST_COUNTS = 2**16


def statistics(frame: StoredImage, spots: Spots, shells: Shells, scale: Scale, radius: int) -> Statistics:
    """Measures an image and the spots predicted for it.

    Args:
        spots: predicted spots, in any number.
        radius: half the side of the box around a spot, pixels.
    """
    histogram = np.zeros(MOST_COUNTS + 1, np.int64)
    sums, numbers = np.zeros((2, len(shells.middles)))
    lit = [np.zeros(panel.shape, bool) for panel in frame.panels]
    for box in _boxes(frame, spots, radius):
        lit[box.panel][box.pixels] = True
    brightest = 0.0
    for values, good, spot, of_pixels in zip(frame.panels, frame.masks, lit, shells.of_pixels):
        counts = values[good]
        if counts.size:
            brightest = max(brightest, float(counts.max()))
        histogram += np.bincount(np.clip(counts, 0, MOST_COUNTS).astype(np.int64), minlength=MOST_COUNTS + 1)
        dark = good & ~spot
        shell = of_pixels[dark]
        sums += np.bincount(shell, values[dark], len(sums))
        numbers += np.bincount(shell, minlength=len(sums))
    background = np.divide(sums, numbers, out=np.full(len(sums), np.nan), where=numbers > 0)
    return Statistics(
        histogram,
        brightest,
        sum(int((~good).sum()) for good in frame.masks),
        sum(int(overload.sum()) for overload in frame.overloads),
        (background - scale.offset) / scale.gain,
        _measure(frame, spots, lit, scale, radius),
    )


@dataclass(frozen=True)
class _Box:
    """The pixels around a predicted spot, cut where the panel ends.

    Attributes:
        spot: number of the spot among the predictions.
        slow, fast: ranges of pixels on the panel.
    """

    spot: int
    panel: int
    slow: slice
    fast: slice

    @property
    def pixels(self) -> tuple[slice, slice]:
        return self.slow, self.fast

    @property
    def shorter_side(self) -> int:
        return min(self.slow.stop - self.slow.start, self.fast.stop - self.fast.start)

    def surroundings(self, margin: int) -> tuple[slice, slice]:
        """Returns the pixels of a box that extends farther by a margin on all sides."""
        slow, fast = (slice(max(0, part.start - margin), part.stop + margin) for part in self.pixels)
        return slow, fast


@dataclass(frozen=True)
class _Sum:
    """The photons of one spot, with the attributes of Measured."""

    spot: int
    photons: float
    background: float
    pixels: int
    overloaded: bool


def _measure(frame: StoredImage, spots: Spots, lit: list[np.ndarray], scale: Scale, radius: int) -> Measured:
    sums = [found for box in _boxes(frame, spots, radius) if (found := _sum(frame, box, lit[box.panel], scale, radius))]
    return Measured(
        spots.select(np.array([found.spot for found in sums], int)),
        np.array([found.photons for found in sums]),
        np.array([found.background for found in sums]),
        np.array([found.pixels for found in sums]),
        np.array([found.overloaded for found in sums], bool),
    )


def _sum(frame: StoredImage, box: _Box, lit: np.ndarray, scale: Scale, radius: int) -> _Sum | None:
    """Returns the photons of a spot; None if masked pixels, the panel's edge or other spots leave too few pixels."""
    values, mask = frame.panels[box.panel], frame.masks[box.panel]
    around = box.surroundings(radius + 2)
    dark, good = mask[around] & ~lit[around], mask[box.pixels]
    if dark.sum() < FEWEST_BACKGROUND_PIXELS or not good.all() or box.shorter_side <= radius:
        return None
    background = (float(values[around][dark].mean()) - scale.offset) / scale.gain
    total = (float(values[box.pixels].sum()) - scale.offset * good.size) / scale.gain
    overloaded = bool(frame.overloads[box.panel][box.pixels].any())
    return _Sum(box.spot, total - background * good.size, background, good.size, overloaded)


def _boxes(frame: StoredImage, spots: Spots, radius: int) -> Iterator[_Box]:
    """Yields the box around each spot."""
    places = zip(spots.panels, np.floor(spots.fast).astype(int), np.floor(spots.slow).astype(int))
    for number, (panel, fast, slow) in enumerate(places):
        height, width = frame.panels[panel].shape
        yield _Box(number, panel, _around(slow, radius, height), _around(fast, radius, width))


def _around(at: int, radius: int, size: int) -> slice:
    return slice(max(0, at - radius), min(size, at + radius + 1))
