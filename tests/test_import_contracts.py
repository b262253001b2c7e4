"""Which rooms may import which: the rules of the layout in CONTRIBUTING.md, read from the source."""

from __future__ import annotations

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.places import CLONE

PACKAGE = CLONE / "nanobragg_kokkos"
CORE = PACKAGE / "core"
EXT = CLONE / "ext"

# The rooms of the package that each room may import; every room may import its own files and the extension.
MAY_IMPORT = {
    "util": set(),
    "models": {"util"},
    "files": {"models", "util"},
    "mpi": {"models", "util"},
    "imaging": {"files", "models", "util"},
    "fit": {"imaging", "files", "mpi", "models", "util"},
    "simtbx": {"imaging", "models", "util"},
    "job": {"imaging", "files", "mpi", "models", "util"},
    "report": {"job", "imaging", "files", "mpi", "models", "util"},
    "benchmark": {"job", "imaging", "files", "mpi", "models", "util"},
}

# The rooms of the core from the lowest to the highest; those in one set do not include each other.
FLOORS = [{"runtime"}, {"math"}, {"models"}, {"spots", "background", "response"}, {"gradients"}]


def imported(path: Path) -> Iterator[str]:
    """Full names of what a Python file imports, anywhere in it: a module, and the name that is taken from it."""
    package = path.relative_to(CLONE).parent.parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(CLONE).with_suffix("").parts).removesuffix(".__init__")


def public_names() -> dict[str, str]:
    """Where the names come from that the package itself offers, such as nanobragg_kokkos.Simulation."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    return {
        f"nanobragg_kokkos.{alias.asname or alias.name}": f"{node.module}.{alias.name}"
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


PUBLIC = public_names()


def room_of(name: str) -> str | None:
    """The room in which an imported name of the package is defined; None if it is not in a room of the package."""
    found = re.match(r"nanobragg_kokkos\.(\w+)\.", PUBLIC.get(name, name) + ".")
    return found[1] if found and (PACKAGE / found[1]).is_dir() else None


def rooms(folder: Path, pattern: str) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir() and any(path.glob(pattern))}


def included(path: Path) -> list[str]:
    """What a C++ file includes, between the brackets or quotation marks."""
    return re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', path.read_text(), re.MULTILINE)


def sources(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix in (".cpp", ".h"))
    assert found
    return found


def test_every_room_of_the_package_has_its_rule():
    assert rooms(PACKAGE, "__init__.py") - MAY_IMPORT.keys() == set()


@pytest.mark.parametrize("room", sorted(rooms(PACKAGE, "__init__.py")))
def test_a_room_imports_only_what_it_may(room):
    broken = []
    for path in sorted((PACKAGE / room).rglob("*.py")):
        for name in imported(path):
            if (other := room_of(name)) and other not in MAY_IMPORT.get(room, set()) | {room}:
                broken.append(f"{path.relative_to(CLONE)} imports {name} from {other}")
    assert broken == []


def test_no_module_imports_itself_through_others():
    modules = {module_name(path): path for path in PACKAGE.rglob("*.py")}
    graph = {}
    for module, path in modules.items():
        names = [PUBLIC.get(name, name) for name in imported(path)]
        origins = [name if name in modules else name.rpartition(".")[0] for name in names]
        graph[module] = {origin for origin in origins if origin in modules}
    assert any(graph.values())
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_every_room_of_the_core_has_its_floor():
    assert rooms(CORE, "*.h") == set().union(*FLOORS)


def test_the_core_includes_only_from_lower_floors():
    broken = []
    for k, floor in enumerate(FLOORS):
        for room in sorted(floor):
            for path in sources(CORE / room):
                for name in included(path):
                    other = re.match(r"nanobragg_kokkos/core/(\w+)/", name)
                    if other and other[1] not in {room}.union(*FLOORS[:k]):
                        broken.append(f"{path.relative_to(CLONE)} includes {name}")
    assert broken == []


def test_the_core_knows_nothing_of_python_and_cctbx():
    foreign = re.compile(r"Python\.h|(boost|cctbx|dxtbx|scitbx|ext)/|\.\./|nanobragg_kokkos/(?!core/)")
    broken = [
        f"{path.relative_to(CLONE)} includes {name}"
        for path in sources(CORE)
        for name in included(path)
        if foreign.match(name)
    ]
    assert broken == []


def test_the_extension_includes_its_own_headers_and_the_core():
    broken = [
        f"{path.name} includes {name}"
        for path in sources(EXT)
        for name in included(path)
        if re.match(r"\.\./|nanobragg_kokkos/(?!core/)", name)
        and not (path.name == "workload.cpp" and name.startswith("../benchmarks/"))
    ]
    assert broken == []
