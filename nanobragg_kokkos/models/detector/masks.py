"""Masks of files as untrusted rectangles of a detector's panels, which its models and files carry with them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from dxtbx import flumpy
from dxtbx.model import Detector
from libtbx import easy_pickle
from libtbx.utils import Sorry
from scitbx.array_family import flex

from nanobragg_kokkos.util.reading import reading


def add_masks(detector: Detector, imageset: Any, name: str) -> None:
    """Adds what an imageset's mask excludes to the untrusted rectangles: that of its images, or of a file of its own.

    Args:
        imageset: dxtbx ImageSet; None: there is no mask.
        name: of the parameter and the file that the imageset is from, for messages.

    Raises:
        Sorry: a file is missing or damaged, or the mask is not one of this detector.
    """
    masks = [] if imageset is None else _masks(imageset.external_lookup.mask, name)
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


def _masks(mask: Any, name: str) -> list[np.ndarray]:
    if not mask.data.empty():
        return [mask.data.tile(k).data().as_numpy_array() for k in range(mask.data.n_tiles())]
    if not mask.filename:
        return []
    if not os.path.isfile(mask.filename):
        raise Sorry(f"{name}: expected its mask in {mask.filename}, but there is no such file")
    with reading(name, f"its mask in {mask.filename}"):
        loaded = easy_pickle.load(mask.filename)
    tiles = loaded if isinstance(loaded, (tuple, list)) else [loaded]
    if not all(isinstance(tile, flex.bool) for tile in tiles):
        raise Sorry(f"{name}: expected its mask in {mask.filename}, but it holds something else")
    return [tile.as_numpy_array() for tile in tiles]


def _sizes(panels: Sequence) -> str:
    shapes = [getattr(panel, "shape", panel) for panel in panels]
    unique = sorted(set(map(tuple, shapes)))
    return f"{len(shapes)} of " + " and ".join("x".join(map(str, shape[::-1])) for shape in unique)
