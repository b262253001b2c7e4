"""Reads images, one at a time, from any file that dxtbx opens."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dxtbx import flumpy
from dxtbx.imageset import ImageSet
from dxtbx.model import Beam, Detector
from libtbx.utils import Sorry

from nanobragg_kokkos.files import nxmx
from nanobragg_kokkos.util.model_files import read_models
from nanobragg_kokkos.util.reading import reading

EXPECTED = "an image that dxtbx reads"


@dataclass(frozen=True, eq=False)
class StoredImage:
    """An image from a file.

    Attributes:
        panels: (slow, fast) counts of each panel.
        masks: (slow, fast) bool of each panel: which pixels were measured, overloads included.
        overloads: (slow, fast) bool of each panel: which pixels are brighter than is trusted.
        detector, beam: dxtbx models.
    """

    panels: list[np.ndarray]
    masks: list[np.ndarray]
    overloads: list[np.ndarray]
    detector: Detector
    beam: Beam

    def measures(self, panels: np.ndarray, fast: np.ndarray, slow: np.ndarray) -> np.ndarray:
        """Returns whether positions on panels (pixels; within them) are on measured pixels, bool (n)."""
        found = [self.masks[p][int(y), int(x)] for p, x, y in zip(panels, fast, slow)]
        return np.array(found, bool)


class ImageReader:
    """Reads the images of some files, in their order.

    Args:
        paths: image files, or dxtbx model files (.expt) that name them.

    Attributes:
        missing: images, counted from 0, that a job could not make: no pixel of them was measured.

    Raises:
        Sorry: one is missing, cannot be read, or holds no image.
    """

    def __init__(self, paths: Sequence[str | os.PathLike]) -> None:
        self._places: list[tuple[ImageSet, int]] = []
        self.missing: set[int] = set()
        for path in (os.fspath(given) for given in paths):
            known = set()
            failed: dict[str, set[int]] = {}
            for imageset in _imagesets(path):
                for k, stored_as in enumerate(imageset.indices()):
                    # A model file may name an image once for every crystal in it.
                    name = (imageset.get_path(k), stored_as)
                    if name not in known:
                        known.add(name)
                        if name[0] not in failed:
                            failed[name[0]] = _failed(name[0])
                        if stored_as in failed[name[0]]:
                            self.missing.add(len(self._places))
                        self._places.append((imageset, k))

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> StoredImage:
        """Returns an image, counted from 0.

        Raises:
            Sorry: it cannot be read.
        """
        imageset, k = self._places[index]
        with reading(imageset.get_path(k), EXPECTED):
            panels = [flumpy.to_numpy(panel) for panel in imageset.get_raw_data(k)]
            trusted = [flumpy.to_numpy(mask) for mask in imageset.get_mask(k)]
            fixed = _fixed_masks(imageset)
        detector, beam = imageset.get_detector(k), imageset.get_beam(k)
        masks, overloads = [], []
        for i, panel in enumerate(detector):
            good = flumpy.to_numpy(panel.get_untrusted_rectangle_mask())
            good = good if fixed is None else good & fixed[i]
            high = panel.get_trusted_range()[1]
            # dxtbx takes overloads for masked, and some of its versions what is exactly at the upper end.
            good = good & (index not in self.missing)
            masks.append(good & (trusted[i] | (panels[i] >= high)))
            overloads.append(good & (panels[i] > high))
        return StoredImage(panels, masks, overloads, detector, beam)


def _imagesets(path: str) -> list[ImageSet]:
    with reading(path, EXPECTED, path):
        found = read_models(path, images=True).experiments.imagesets()
    if not found:
        raise Sorry(f"{path}: expected an image of a kind that dxtbx reads")
    return found


def _failed(path: str) -> set[int]:
    """Returns the images, counted from 0, that a file of this program notes as missing."""
    try:
        return set(nxmx.images_of(path)[1])
    except OSError:
        return set()


def _fixed_masks(imageset: ImageSet) -> list[np.ndarray] | None:
    """Returns the masks of pixels that are never measured, a bool array (slow, fast) for each panel; None: no masks."""
    reader = imageset.get_format_class().get_instance(imageset.get_path(0))
    masks = reader.get_static_mask()
    return None if masks is None else [flumpy.to_numpy(mask) for mask in masks]
