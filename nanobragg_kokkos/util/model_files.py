"""Model files (.expt) and images through dxtbx, of which nothing is executed: dxtbx would unpickle what they name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dxtbx import flumpy
from dxtbx.format import Registry
from dxtbx.format.image import ImageBool
from dxtbx.model import ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory

from nanobragg_kokkos.util.flex_pickle import read_flex_bools

MODEL_ENDS = (".expt", ".json")

# Of images in a scan; dxtbx takes memory for each, whatever the file's size.
MOST_IMAGES = 10**7

_MODELS = ("beam", "detector", "goniometer", "scan", "crystal", "profile", "imageset", "scaling_model")

# Of an imageset: files that dxtbx unpickles.
_PICKLES = ("mask", "gain", "pedestal", "dx", "dy")


@dataclass(frozen=True)
class ModelFile:
    """What a model file holds.

    Attributes:
        experiments: the file's, their imagesets without gains, pedestals and distortions.
        masks: of each experiment, the name of the file with its mask; None: it names none.
    """

    experiments: ExperimentList
    masks: list[str | None]


def read_models(path: str | os.PathLike, images: bool = False) -> ModelFile:
    """Returns the experiments of a dxtbx model file, or those of a file of images.

    Args:
        path: a name that ends with .expt or .json is that of a model file.
        images: whether the images that a model file names have to be there, and can be read, with their masks, from
            the imagesets.

    Raises:
        Exception: of many types: it is neither, or is damaged.
    """
    path = os.fspath(path)
    with without_pickles():
        if not path.endswith(MODEL_ENDS):
            experiments = ExperimentListFactory.from_filenames([path])
            return ModelFile(experiments, [None] * len(experiments))
        with open(path, encoding="utf-8") as file:
            contents = json.load(file)
        directory = os.path.dirname(os.path.abspath(path))
        if not isinstance(contents, dict) or contents.get("__id__") != "ExperimentList":
            raise ValueError("it holds no list of experiments")
        _check(contents)
        masks = _without_lookups(contents, directory)
        experiments = ExperimentListFactory.from_dict(contents, check_format=images, directory=directory)
    if images:
        for experiment, mask in zip(experiments, masks):
            if mask is not None:
                tiles = tuple(flumpy.from_numpy(tile) for tile in read_flex_bools(mask))
                experiment.imageset.external_lookup.mask.data = ImageBool(tiles)
    return ModelFile(experiments, masks)


@contextmanager
def without_pickles() -> Iterator[None]:
    """Has dxtbx know no image format that is a pickle, while the block runs."""
    known = Registry._format_dag
    Registry._format_dag = {
        parent: [name for name in names if not name.startswith("FormatPY")] for parent, names in known.items()
    }
    try:
        yield
    finally:
        Registry._format_dag = known


def _check(contents: dict[str, Any]) -> None:
    for experiment in contents.get("experiment", []):
        for kind, model in experiment.items():
            if kind in _MODELS and isinstance(model, str):
                raise ValueError(f"it has its {kind} in another file, {model}")
    for scan in contents.get("scan", []):
        first, last = scan["image_range"]
        if not 0 <= last - first < MOST_IMAGES:
            raise ValueError(f"a scan of the images {first} to {last}")


def _without_lookups(contents: dict[str, Any], directory: str) -> list[str | None]:
    """Takes the names of pickles from the imagesets; returns that of the mask of each experiment."""
    imagesets = contents.get("imageset", [])
    names = [imageset.get("mask") or None for imageset in imagesets]
    for imageset in imagesets:
        imageset.update(dict.fromkeys(_PICKLES, ""))
    return [
        os.path.join(directory, os.path.expanduser(os.path.expandvars(names[experiment["imageset"]])))
        if experiment.get("imageset") is not None and names[experiment["imageset"]]
        else None
        for experiment in contents.get("experiment", [])
    ]
