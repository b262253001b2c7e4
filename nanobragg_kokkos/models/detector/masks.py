"""Converts masks of files to untrusted rectangles of a detector's panels, which its models and files keep."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
from dxtbx import flumpy
from dxtbx.imageset import ImageSet
from dxtbx.model import Detector
from libtbx.utils import Sorry

from nanobragg_kokkos.util.flex_pickle import NoMask, read_flex_bools
from nanobragg_kokkos.util.reading import reading


def masks_of(imageset: ImageSet | None, path: str | None, name: str) -> list[np.ndarray]:
    """Returns the mask of images, or that of a separate file; an empty list if there is neither.

    Args:
        path: path of the file with the mask; None: there is no such file.
        name: parameter and file that name the mask, for messages.

    Raises:
        Sorry: the file is missing or damaged, or holds no mask.
    """
    if path is None:
        mask = None if imageset is None else imageset.external_lookup.mask.data
        return [] if mask is None else [mask.tile(k).data().as_numpy_array() for k in range(mask.n_tiles())]
    if not os.path.isfile(path):
        raise Sorry(f"{name}: expected its mask in {path}, but there is no such file")
    try:
        with reading(name, f"its mask in {path}"):
            return read_flex_bools(path)
    except Sorry as error:
        if isinstance(error.__cause__, NoMask):
            raise Sorry(f"{name}: expected its mask in {path}, but {error.__cause__}") from error.__cause__
        raise


def add_masks(detector: Detector, masks: Sequence[np.ndarray], name: str) -> None:
    """Adds the masked pixels to the untrusted rectangles of a detector.

    Args:
        masks: bool arrays (slow, fast), one for each panel; empty: there is no mask.
        name: parameter and file of the mask, for messages.

    Raises:
        Sorry: the mask does not fit this detector.
    """
    if not masks:
        return
    shapes = [panel.get_image_size()[::-1] for panel in detector]
    if [mask.shape for mask in masks] != shapes:
        raise Sorry(f"{name}: expected a mask with the panels of its detector, {_sizes(shapes)}, not {_sizes(masks)}")
    for panel, mask in zip(detector, masks):
        known = flumpy.to_numpy(panel.get_untrusted_rectangle_mask())
        for rectangle in rectangles(known & ~mask):
            panel.add_mask(*rectangle)


def rectangles(marked: np.ndarray) -> list[tuple[int, int, int, int]]:
    """Returns rectangles that cover marked pixels exactly: fast, slow of the first pixel, fast, slow after the last.

    Args:
        marked: bool (slow, fast).
    """
    found = []
    open_runs: dict[tuple[int, int], int] = {}  # from the beginnings and ends of runs to their first rows
    for row in range(marked.shape[0] + 1):
        runs = _runs(marked[row]) if row < marked.shape[0] else []
        for begin, end in open_runs.keys() - set(runs):
            found.append((begin, open_runs.pop((begin, end)), end, row))
        for run in runs:
            open_runs.setdefault(run, row)
    return sorted(found)


def _runs(marked: np.ndarray) -> list[tuple[int, int]]:
    """Returns beginnings and ends of the runs of marked pixels in a row."""
    edges = np.flatnonzero(np.diff(marked.astype(np.int8), prepend=0, append=0))
    return [(int(begin), int(end)) for begin, end in edges.reshape(-1, 2)]


def _sizes(panels: Sequence) -> str:
    shapes = [getattr(panel, "shape", panel) for panel in panels]
    unique = sorted(set(map(tuple, shapes)))
    return f"{len(shapes)} of " + " and ".join("x".join(map(str, shape[::-1])) for shape in unique)
