"""Where Kokkos comes from, and what is read out of it."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import libtbx.load_env
import pytest
from helpers.places import CLONE


@pytest.fixture
def install_kokkos(monkeypatch):
    monkeypatch.syspath_prepend(CLONE / "setup")
    import install_kokkos

    return install_kokkos


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_fetching_leaves_the_sources_as_they_were(install_kokkos, monkeypatch, tmp_path):
    """Whatever is new there has bootstrap build everything again: pip runs Python there."""

    def run(command, log, env):
        done = "import scikit_build_core.build as build; print(build.__file__)"
        said = subprocess.run([sys.executable, "-c", done], env=env, capture_output=True, text=True, check=True)
        assert Path(said.stdout.strip()).is_relative_to(CLONE / "setup")
        (Path(command[command.index("--dest") + 1]) / install_kokkos.ARCHIVE).write_bytes(b"archive")

    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setattr(install_kokkos, "run", run)
    monkeypatch.setattr(install_kokkos, "SHA256", hashlib.sha256(b"archive").hexdigest())
    folder = CLONE / "setup" / "pip_without_build"
    before = times(folder)
    assert install_kokkos.fetch(tmp_path, io.StringIO()).read_bytes() == b"archive"
    assert times(folder) == before


def test_flags_name_no_file_of_the_project_that_was_asked():
    """CMake asks the linker for a dependency file beside its own objects; others cannot write there."""
    (settings,) = Path(libtbx.env.under_build("kokkos")).glob("*/settings.json")
    found = json.loads(settings.read_text())
    for flag in found["compile_flags"] + found["link_flags"]:
        assert "probe" not in flag
        (path,) = re.findall(r"(?:^|[=,])([^=,]*/[^=,]*)$", flag) or ["/"]
        assert Path(path).exists(), flag


@pytest.mark.parametrize("version, standard", [("4", 17), ("5", 20), ("10", 20)])
def test_kokkos_is_built_for_the_standard_that_it_asks_for(install_kokkos, tmp_path, version, standard):
    (tmp_path / "CMakeLists.txt").write_text(f"project(Kokkos CXX)\nset(Kokkos_VERSION_MAJOR {version})\n")
    assert install_kokkos.cxx_standard(tmp_path) == standard
