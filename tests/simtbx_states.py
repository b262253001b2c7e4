"""Replays recipes on the simtbx interface.

    libtbx.python tests/simtbx_states.py FILE

FILE is a list of recipes: a constructor ("default", "dxtbx", or keyword arguments), steps (property and value, or
"call" and a method), the state that simtbx's object reports after them, and what it raised.  Prints a line a recipe and
exits with 1 if any value differs by more than TOLERANCE of the largest number of its property.
"""

from __future__ import annotations

import argparse
import json
import sys
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from dxtbx.model import BeamFactory
from dxtbx.model.detector import DetectorFactory

import nanobragg_kokkos.simtbx as interface

TOLERANCE = 1e-9
# Texts of models that simtbx's Python makes of the rest, and memory that simtbx does not initialize without CUDA.
NOT_COMPARED = ("beam", "crystal", "detector", "device_Id")


def dxtbx_models():
    """The models that the constructor "dxtbx" stands for."""
    detector = DetectorFactory.simple(
        sensor="PAD",
        distance=120,
        beam_centre=(80.3, 90.7),
        fast_direction="+x",
        slow_direction="-y",
        pixel_size=(0.172, 0.172),
        image_size=(200, 220),
    )
    beam = BeamFactory.simple(1.1)
    beam.set_polarization_fraction(0.95)
    beam.set_flux(3e11)
    return detector, beam


def build(constructor: str | dict) -> interface.nanoBragg:
    if constructor == "default":
        return interface.nanoBragg()
    if constructor == "dxtbx":
        return interface.nanoBragg(*dxtbx_models())
    return interface.nanoBragg(**{name: as_argument(value) for name, value in constructor.items()})


def as_argument(value: Any) -> Any:
    """What a script would set: members of enumerations for their names, tuples for lists."""
    if isinstance(value, list):
        return tuple(map(as_argument, value))
    return getattr(interface, value) if isinstance(value, str) else value


def replay(recipe: dict) -> tuple[interface.nanoBragg | None, Exception | None]:
    simulation = None
    try:
        simulation = build(recipe["constructor"])
        for name, value in recipe["steps"]:
            if name == "call":
                getattr(simulation, value)()
            else:
                setattr(simulation, name, as_argument(value))
    except Exception as error:  # some recipes are about what is refused
        return simulation, error
    return simulation, None


def value_of(simulation: interface.nanoBragg, name: str) -> Any:
    value = getattr(simulation, "get_mosaic_blocks" if name == "mosaic_blocks" else name)
    return as_plain(value() if callable(value) else value)


def as_plain(value: Any) -> Any:
    """Numbers, and lists of them."""
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    return [as_plain(element) for element in value]


def differences(recipe: dict) -> list[str]:
    """What differs from the recipe, a line each."""
    simulation, error = replay(recipe)
    if (error is None) != (recipe["raised"] is None):
        return [f"raised {error!r}, not {recipe['raised']!r}"]
    if simulation is None:
        return []
    compared = [name for name in recipe["state"] if name not in NOT_COMPARED]
    if not any(name in ("seed", "call") for name, _ in recipe["steps"]):
        compared = [name for name in compared if name != "seed"]  # the time
    result = []
    for name in compared:
        got, want = value_of(simulation, name), recipe["state"][name]
        if not agrees(got, want):
            result.append(f"{name} is {got}, not {want}")
    return result


def agrees(got: Any, want: Any) -> bool:
    if want is None or isinstance(want, (str, bool)):
        return got == want
    try:
        got, want = np.array(got, float), np.array(want, float)
    except (TypeError, ValueError):
        return False
    if got.shape != want.shape:
        return False
    defined = np.isfinite(want)
    scale = np.abs(want[defined]).max(initial=0.0)
    same = np.array_equal(got[~defined], want[~defined], equal_nan=True)
    return bool(same and (np.abs(got[defined] - want[defined]) <= TOLERANCE * scale).all())


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file", type=Path, help="recipes")
    options = parser.parse_args(arguments)
    failed = 0
    recipes = json.loads(options.file.read_text())
    for recipe in recipes:
        try:
            found = differences(recipe)
        except Exception as error:  # one bad recipe is a failure, not the end
            found = [f"{type(error).__name__}: {error}"]
        failed += bool(found)
        print(f"{recipe['name']:28s} {'FAILED: ' + '; '.join(found) if found else 'agrees'}")
    print(f"{len(recipes) - failed} recipes agree, {failed} do not")
    return 1 if failed or not recipes else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
