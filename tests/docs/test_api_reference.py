"""The API reference: Sphinx builds it of the docstrings without a warning, and it has all public names."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
from helpers.places import CLONE

import nanobragg_kokkos
from nanobragg_kokkos import simtbx

pytest.importorskip("sphinx")
from sphinx.util.inventory import InventoryFile


@pytest.fixture(scope="module")
def documented(tmp_path_factory) -> set[str]:
    """Full names of all that the reference describes."""
    directory = tmp_path_factory.mktemp("api")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", str(CLONE / "docs/api"), str(directory)],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (directory / "index.html").is_file()
    with (directory / "objects.inv").open("rb") as file:
        inventory = InventoryFile.load(file, "", lambda _, name: name)
    return {name for kind, names in inventory.items() if kind.startswith("py:") for name in names}


def test_all_public_names_are_described(documented):
    missing = []
    for name in nanobragg_kokkos.__all__:
        thing = getattr(nanobragg_kokkos, name)
        if not inspect.ismodule(thing):
            full_names = [f"nanobragg_kokkos.{name}"]
        else:
            functions = [n for n, value in vars(thing).items() if defined_in(value, thing)]
            full_names = [f"{thing.__name__}.{n}" for n in getattr(thing, "__all__", functions)]
            assert full_names
        missing += [full_name for full_name in full_names if full_name not in documented]
    assert missing == []


def test_classes_of_simtbx_are_described(documented):
    classes = {f"nanobragg_kokkos.simtbx.{name}" for name in simtbx.__all__ if inspect.isclass(getattr(simtbx, name))}
    assert classes and classes - documented == set()


def test_members_are_described(documented):
    assert {"nanobragg_kokkos.Simulation.add_spots", "nanobragg_kokkos.Sources.from_beam"} <= documented


def defined_in(value: object, module: object) -> bool:
    """Whether a public function or class is a module's own."""
    own = inspect.isfunction(value) or inspect.isclass(value)
    return own and value.__module__ == module.__name__ and not value.__name__.startswith("_")
