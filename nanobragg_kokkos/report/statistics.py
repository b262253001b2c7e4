"""What the pixels of an image say: counts, background, and the spots that the true models predict."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dxtbx.model import Beam, Detector

from nanobragg_kokkos.files.reader import StoredImage
from nanobragg_kokkos.imaging.prediction import Spots
from nanobragg_kokkos.models.detector.geometry import pixel_frame, resolution_along
from nanobragg_kokkos.report.run import Scale

N_SHELLS = 40

# Of the surroundings of a spot, to know its background by.
FEWEST_BACKGROUND_PIXELS = 20


class Shells:
    """Shells of equal width in 1/d, and which of them each pixel of a detector is in.

    Attributes:
        edges: (shells + 1,) in 1/angstrom.
        middles: (shells,) in 1/angstrom.
        of_pixels: an array (slow, fast) of each panel.
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
        """The shells of some 1/d (1/angstrom)."""
        return np.minimum(inverse_d / self.edges[1], N_SHELLS - 1).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Measured:
    """Spots as they are in an image; arrays of n, in photons.

    Attributes:
        spots: as predicted.
        photons: of the whole spot, its background taken away.
        background: of a pixel.
        pixels: that were added up.
        overloaded: whether one of them is brighter than is trusted.
    """

    spots: Spots
    photons: np.ndarray
    background: np.ndarray
    pixels: np.ndarray
    overloaded: np.ndarray

    @property
    def signal_to_background(self) -> np.ndarray:
        """Photons of a spot by those of the background below it; NaN where there is no background."""
        below = self.background * self.pixels
        return np.divide(self.photons, below, out=np.full(len(below), np.nan), where=below > 0)


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of an image.

    Attributes:
        histogram: number of pixels that count 0, 1, 2 …, the last one what is as much or more.
        brightest: count.
        masked, overloaded: number of pixels.
        background: (shells,) photons a pixel; NaN where no pixel is.
        measured: the spots.
    """

    histogram: np.ndarray
    brightest: float
    masked: int
    overloaded: int
    background: np.ndarray
    measured: Measured


MOST_COUNTS = 2**16


def statistics(frame: StoredImage, spots: Spots, shells: Shells, scale: Scale, radius: int) -> Statistics:
    """Looks at an image.

    Args:
        spots: predicted for it, in any number.
        radius: of a box that holds a spot, pixels.
    """
    histogram = np.zeros(MOST_COUNTS + 1, np.int64)
    sums, numbers = np.zeros((2, len(shells.middles)))
    lit = [np.zeros(panel.shape, bool) for panel in frame.panels]
    for panel, x, y in _boxes(frame, spots, radius):
        lit[panel][y, x] = True
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


def _measure(frame: StoredImage, spots: Spots, lit: list[np.ndarray], scale: Scale, radius: int) -> Measured:
    rows = []
    for number, (panel, x, y) in enumerate(_boxes(frame, spots, radius)):
        around = tuple(slice(max(0, part.start - radius - 2), part.stop + radius + 2) for part in (y, x))
        dark = frame.masks[panel][around] & ~lit[panel][around]
        good = frame.masks[panel][y, x]
        if dark.sum() < FEWEST_BACKGROUND_PIXELS or not good.all() or min(x.stop - x.start, y.stop - y.start) <= radius:
            continue
        background = (float(frame.panels[panel][around][dark].mean()) - scale.offset) / scale.gain
        total = (float(frame.panels[panel][y, x].sum()) - scale.offset * good.size) / scale.gain
        overloaded = frame.overloads[panel][y, x].any()
        rows.append((number, total - background * good.size, background, good.size, overloaded))
    columns = [np.array(column) for column in zip(*rows)] or [np.zeros(0)] * 5
    return Measured(spots.select(columns[0].astype(int)), *columns[1:4], columns[4].astype(bool))


def _boxes(frame: StoredImage, spots: Spots, radius: int):
    """Panel and slices (fast, slow) of a box around each spot, cut where the panel ends."""
    for panel, fast, slow in zip(spots.panels, np.floor(spots.fast).astype(int), np.floor(spots.slow).astype(int)):
        height, width = frame.panels[panel].shape
        x, y = ((max(0, at - radius), min(size, at + radius + 1)) for at, size in ((fast, width), (slow, height)))
        yield panel, slice(*x), slice(*y)
