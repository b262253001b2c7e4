"""Exact sums over the images of a job: every order of images and ranks gives the same bits.

All sums are whole numbers. With counts below 2**31 and at most 2**31 images,

- a pixel's sum is below 2**62;
- a square is below 2**62; its two words are summed separately, the lower 32 bits (sum below 2**63) and the rest (below
  2**61). Counts of 16 bits have squares below 2**32, and no rest;

so no sum exceeds 64 bits with sign. Means and variances are calculated from these sums at the end.

A file of sums, which nexus.whole_hdf5 writes, contains (in parentheses: only on request)

    images                (n, 2) the images in the sums, counted from 0: first and last of each run of numbers
    mask                  (slow, fast) 1 for pixels without measurement; all else is 0 (mean, variance: NaN) there
    sum                   (slow, fast)
    (squares)             (2, slow, fast) the two words of the sum of squares
    (maximum)             (slow, fast)
    (histogram)           (65536,) numbers of pixels in all images with a count of 0, 1, ...; the last: 65535 or more
    (mean, variance)      (slow, fast) over the images; the variance divides by one less than their number
    (radial/...)          two_theta_deg (bins + 1,), edges of the bins; pixels (bins,), number of pixels in each; and
                          mean (bins,), counts per pixel and image

with panels one below the other as in the files of images. Pixels above the trusted range enter with their counts.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection
from typing import Any

import h5py
import numpy as np
from dxtbx.model import Detector

from nanobragg_kokkos.files import nexus
from nanobragg_kokkos.models.detector.counts import MASKED
from nanobragg_kokkos.mpi import ranks

QUANTITIES = ("sum", "mean", "variance", "maximum", "radial", "histogram")

HISTOGRAM_BINS = 2**16

RADIAL_BINS = 500

# Rows per step, so that a step needs little memory besides the sums.
ROWS = 256

WORD = 32


class Reduction:
    """Sums over images.

    Args:
        quantities: some of QUANTITIES.
        shape: (slow, fast) of a stored image.
        dtype: type of the counts, int32 or uint16.
    """

    def __init__(self, quantities: Collection[str], shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.quantities = tuple(name for name in QUANTITIES if name in quantities)
        self.dtype = np.dtype(dtype)
        self.images: set[int] = set()
        self._sums: dict[str, np.ndarray] = {
            name: np.zeros(size, kind)
            for name, size, kind in (
                ("mask", shape, np.uint8),
                ("sum", shape, np.int64),
                ("squares", (2, *shape), np.int64),
                ("maximum", shape, np.int32),
                ("histogram", (HISTOGRAM_BINS,), np.int64),
            )
            if name in ("mask", "sum") or name in quantities or (name == "squares" and "variance" in quantities)
        }

    def add(self, image: int, counts: np.ndarray) -> None:
        """Adds an image as it is stored, unless the sums contain it already."""
        if image in self.images:
            return
        sums = self._sums
        if not self.images:
            sums["mask"][:] = counts == MASKED[self.dtype]
        for first in range(0, len(counts), ROWS):
            rows = slice(first, first + ROWS)
            part = np.where(sums["mask"][rows], 0, counts[rows])
            sums["sum"][rows] += part
            if "squares" in sums:
                squares = np.square(part, dtype=np.int64)
                sums["squares"][0, rows] += squares & (2**WORD - 1)
                if self.dtype != np.uint16:
                    sums["squares"][1, rows] += squares >> WORD
            if "maximum" in sums:
                np.maximum(sums["maximum"][rows], part, out=sums["maximum"][rows])
            if "histogram" in sums:
                valid = part[sums["mask"][rows] == 0]
                sums["histogram"] += np.bincount(np.minimum(valid, HISTOGRAM_BINS - 1), minlength=HISTOGRAM_BINS)
        self.images.add(image)

    def add_sums(self, other: Reduction) -> None:
        """Adds sums over other images, which have the same quantities or more.

        Raises:
            ValueError: both contain the same image.
        """
        if self.images & other.images:
            raise ValueError("some images are in both sums")
        for name, values in self._sums.items():
            if name in ("mask", "maximum"):
                np.maximum(values, other._sums[name], out=values)
            else:
                values += other._sums[name]
        self.images |= other.images

    def over_ranks(self, comm: Any) -> None:
        """Adds the sums of all ranks to those of the first rank."""
        images = comm.gather(self.images)
        if comm.rank == 0:
            self.images = set().union(*images)
        for name in self._sums:
            total = ranks.largest if name in ("mask", "maximum") else ranks.added_up
            self._sums[name] = total(comm, self._sums[name])

    def save(self, path: str | os.PathLike, detector: Detector | None = None, job: str = "") -> None:
        """Writes a file of sums.

        Args:
            path: the file to write.
            detector: detector of the images; None: write the sums alone, with checksums, for this module to read.
            job: identifies the job in such a file.

        Raises:
            Sorry: the file cannot be written.
        """
        with nexus.whole_hdf5(path) as file:
            file.attrs["n_images"] = len(self.images)
            nexus.field(file, "images", np.array(runs(self.images), np.int64).reshape(-1, 2))
            for name, values in self._sums.items():
                _compressed(file, name, values)
            if detector is None:
                file.attrs["job"] = job
                for name, values in {"images": file["images"][()], **self._sums}.items():
                    file[name].attrs["sha256"] = _sha256(values)
            else:
                for name in ("mean", "variance"):
                    if name in self.quantities:
                        _compressed(file, name, getattr(self, name)())
                if "radial" in self.quantities:
                    edges, pixels, mean = self.radial(detector)
                    group = file.create_group("radial")
                    nexus.quantity(group, "two_theta_deg", edges, "deg")
                    nexus.field(group, "pixels", pixels)
                    nexus.field(group, "mean", mean)

    def can_use(self, file: h5py.File) -> bool:
        """Returns whether an open file has all sums that this object needs."""
        return all(name in file and file[name].shape == values.shape for name, values in self._sums.items())

    def load(self, path: str | os.PathLike) -> bool:
        """Adds the sums of a file that can_use has accepted.

        Returns:
            Whether the file could be read and agrees with its checksums, if it has any.
        """
        found = Reduction(self.quantities, self._sums["sum"].shape, self.dtype)
        try:
            with h5py.File(os.fspath(path), "r") as file:
                found.images = images_in(file)
                for name, values in found._sums.items():
                    file[name].read_direct(values)
                    if file[name].attrs.get("sha256", "") not in ("", _sha256(values)):
                        return False
                if file["images"].attrs.get("sha256", "") not in ("", _sha256(file["images"][()])):
                    return False
        except (OSError, KeyError, TypeError, ValueError):
            return False
        self.add_sums(found)
        return True

    def mean(self) -> np.ndarray:
        """Returns each pixel's mean over the images, (slow, fast); NaN where masked."""
        mean = self._sums["sum"] / max(len(self.images), 1)
        mean[self._sums["mask"] != 0] = np.nan
        return mean

    def variance(self) -> np.ndarray:
        """Returns each pixel's variance over the n images, divided by n - 1, (slow, fast); NaN where masked.

        With m the mean rounded down and r = sum - n m, the variance is (V - r**2 / n) / (n - 1), where V = sum of
        (x - m)**2 = squares - 2 m sum + n m**2. V is calculated modulo 2**64, where overflow does no harm, and in
        floating point, to within far less than 2**64; together these give V exactly.
        """
        n = len(self.images)
        if n < 2:
            return np.full(self._sums["sum"].shape, np.nan)
        variance = np.empty(self._sums["sum"].shape)
        for first in range(0, len(variance), ROWS):
            rows = slice(first, first + ROWS)
            total, (low, high) = self._sums["sum"][rows], self._sums["squares"][:, rows]
            m, r = np.divmod(total, n)
            t, u = total.astype(np.uint64), m.astype(np.uint64)
            modulo = (high.astype(np.uint64) << np.uint64(WORD)) + low.astype(np.uint64)
            modulo += np.uint64(n) * u * u - np.uint64(2) * u * t
            floating = high * 2.0**WORD + low - 2.0 * m * total + float(n) * m * m
            wraps = np.rint((floating - modulo) * 2.0**-64)
            variance[rows] = (modulo + wraps * 2.0**64 - r.astype(float) ** 2 / n) / (n - 1)
        variance[self._sums["mask"] != 0] = np.nan
        return variance

    def radial(self, detector: Detector) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the radial average: edges of bins in 2 theta (degrees), pixels per bin, and mean count per image.

        A pixel belongs to the bin that contains its centre; the mean of a bin without pixels is NaN. The beam comes
        from +z.
        """
        angles = two_theta_deg(detector, self._sums["sum"].shape)
        valid = (self._sums["mask"] == 0) & np.isfinite(angles)
        angles, sums = angles[valid], self._sums["sum"][valid]
        edges = np.linspace(0.0, angles.max() if angles.size else 1.0, RADIAL_BINS + 1)
        bins = np.clip(np.searchsorted(edges, angles, side="right") - 1, 0, RADIAL_BINS - 1)
        pixels = np.bincount(bins, minlength=RADIAL_BINS)
        # Two words per sum do not overflow with up to 2**31 pixels.
        words = np.zeros((2, RADIAL_BINS), np.int64)
        np.add.at(words[0], bins, sums & (2**WORD - 1))
        np.add.at(words[1], bins, sums >> WORD)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (words[1] * 2.0**WORD + words[0]) / (pixels * float(len(self.images)))
        return edges, pixels, mean


def two_theta_deg(detector: Detector, shape: tuple[int, ...]) -> np.ndarray:
    """Returns 2 theta at the pixel centres of a stored image; NaN beside panels narrower than the widest one."""
    angles = np.full(shape, np.nan)
    row = 0
    for panel in detector:
        n_fast, n_slow = panel.get_image_size()
        fast_mm, slow_mm = panel.get_pixel_size()
        fast, slow, origin = (np.array(v) for v in (panel.get_fast_axis(), panel.get_slow_axis(), panel.get_origin()))
        for first in range(0, n_slow, ROWS):
            i = np.arange(first, min(first + ROWS, n_slow))
            at = origin + ((i + 0.5) * slow_mm)[:, None, None] * slow
            at = at + ((np.arange(n_fast) + 0.5) * fast_mm)[None, :, None] * fast
            angles[row + i, :n_fast] = np.degrees(np.arctan2(np.hypot(at[..., 0], at[..., 1]), -at[..., 2]))
        row += n_slow
    return angles


def runs(images: Collection[int]) -> list[tuple[int, int]]:
    """Returns the first and last of each run of consecutive numbers."""
    numbers = np.array(sorted(images), np.int64)
    if not len(numbers):
        return []
    breaks = np.flatnonzero(np.diff(numbers) != 1)
    firsts, lasts = np.append(0, breaks + 1), np.append(breaks, len(numbers) - 1)
    return [(int(numbers[a]), int(numbers[b])) for a, b in zip(firsts, lasts)]


def images_in(file: h5py.File) -> set[int]:
    """Returns the images in the sums of a file."""
    return {image for first, last in file["images"][()] for image in range(first, last + 1)}


def holds(path: str | os.PathLike, quantities: Collection[str], n_images: int) -> bool:
    """Returns whether a file has these quantities for images 0 to n_images - 1 and no others."""
    names = {"variance": "squares"}
    try:
        with h5py.File(os.fspath(path), "r") as file:
            return runs(images_in(file)) == [(0, n_images - 1)] and all(
                name in file and names.get(name, name) in file for name in quantities
            )
    except (OSError, KeyError, TypeError, ValueError):
        return False


def _sha256(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()


def _compressed(file: h5py.File, name: str, values: np.ndarray) -> None:
    rows = max(1, min(ROWS, values.shape[-2])) if values.ndim > 1 else 0
    chunks = (*[1] * (values.ndim - 2), rows, values.shape[-1]) if values.ndim > 1 else True
    file.create_dataset(name, data=values, chunks=chunks, track_times=False, **nexus.compression())
