"""Which rooms may import which: the rules of the layout in CONTRIBUTING.md, read from the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.places import CLONE

PACKAGE = CLONE / "nanobragg_kokkos"
CORE = PACKAGE / "core"
ROOMS = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}

# What each room of the package must not import.
FORBIDDEN = {
    "models": {"imaging", "files", "mpi", "job"},
    "files": {"imaging", "job"},
    "fit": {"job"},
    "util": ROOMS - {"util", "mpi"},  # util.command runs commands as the first of several ranks does
    **{room: {"job"} for room in ROOMS - {"models", "files", "fit", "util", "job", "report", "benchmark"}},
}

# The rooms of the core from the lowest to the highest; those in one set do not include each other.
FLOORS = [{"runtime"}, {"math"}, {"models"}, {"spots", "background", "response"}]


def imported(path: Path) -> Iterator[str]:
    """Full names of the modules that a Python file imports, and of what it imports from them."""
    package = path.relative_to(CLONE).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def included(path: Path) -> set[str]:
    """Rooms of the core whose headers a C++ file includes."""
    return set(re.findall(r"#include <nanobragg_kokkos/core/(\w+)/", path.read_text()))


def rooms_of_core() -> set[str]:
    return {path.name for path in CORE.iterdir() if path.is_dir() and any(path.glob("*.h"))}


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_what_it_may(room):
    broken = []
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for name in imported(path):
            found = re.match(r"nanobragg_kokkos\.(\w+)", name)
            if found and found[1] in FORBIDDEN.get(room, ()):
                broken.append(f"{path.relative_to(CLONE)} imports {name}")
    assert broken == []


def test_every_room_of_the_core_has_its_floor():
    assert rooms_of_core() == set().union(*FLOORS)


def test_the_core_includes_only_from_lower_floors():
    broken = []
    for k, floor in enumerate(FLOORS):
        for room in sorted(floor):
            for path in sorted([*(CORE / room).glob("*.h"), *(CORE / room).glob("*.cpp")]):
                above = included(path) - set().union(*FLOORS[:k]) - {room}
                broken += [f"{path.relative_to(CLONE)} includes {name}" for name in sorted(above)]
    assert broken == []


def test_the_core_knows_nothing_of_python_and_cctbx():
    foreign = r"#include [<\"](?:Python\.h|boost/|cctbx/|dxtbx/|scitbx/|.*\bext/)"
    sources = [*CORE.rglob("*.h"), *CORE.rglob("*.cpp")]
    assert sources and [path.name for path in sources if re.search(foreign, path.read_text())] == []


def test_the_extension_includes_its_own_headers_and_the_core():
    broken = []
    for path in sorted([*(CLONE / "ext").glob("*.h"), *(CLONE / "ext").glob("*.cpp")]):
        for name in re.findall(r'#include <nanobragg_kokkos/([^>]*)>|#include "([^"]*)"', path.read_text()):
            if name[0] and not name[0].startswith("core/"):
                broken.append(f"{path.name} includes {name[0]}")
            if name[1] and not (path.parent / name[1]).is_file():
                broken.append(f"{path.name} includes {name[1]}")
    assert broken == []
