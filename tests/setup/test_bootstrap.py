"""The script that sets up: what it says to somebody who lacks rights or packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.places import CLONE, COMMAND_LINE

NOBODY = 65534

# What stands in for the package system: nothing is installed, and this release has no python3-future.
PROGRAMS = {
    "dpkg-query": "exit 1",
    "apt-cache": '[ "$2" = python3-future ] || echo "Package: $2"',
    "apt-get": "exit 1",
    "sudo": "exit 1",
}


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may write to, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        yield Path(folder)


def bootstrap(folder: Path, command: str, **programs: str) -> list[str]:
    """Runs bootstrap in a copy of the clone as a user without rights; returns the lines of its messages."""
    clone, path = folder / "clone", folder / "bin"
    shutil.copytree(COMMAND_LINE, clone / "command_line")
    shutil.copytree(CLONE / "setup", clone / "setup")
    shutil.copy(CLONE / "bootstrap", clone)
    path.mkdir()
    for name, lines in {**PROGRAMS, **programs}.items():
        (path / name).write_text(f"#!/bin/sh\n{lines}\n")
        (path / name).chmod(0o755)
    clone.chmod(0o777)
    rights = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*rights, str(clone / "bootstrap"), command],
        env={"PATH": f"{path}:/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    return done.stderr.splitlines()


@pytest.mark.parametrize("command, for_tests", [("simulate", False), ("test", True)])
def test_missing_packages_are_one_command_to_copy(open_folder, command, for_tests):
    said = bootstrap(open_folder, command)
    (line,) = [line for line in said if "apt-get install" in line]
    program, *words = line.split()
    assert program == "sudo" and {"python3-cctbx", "libcctbx-dev", "scons", "g++"} <= set(words)
    assert ("python3-pytest" in words) == for_tests
    assert "python3-future" not in words


def test_progress_shows_without_a_terminal(open_folder):
    said = bootstrap(open_folder, "simulate", sudo='case "$*" in *true) exit 0 ;; *install*) sleep 6 ;; esac; exit 1')
    first, last = [line for line in said if line.startswith("Debian packages for building (")]
    assert first.endswith("5 s …") and last.endswith("FAILED")


def test_help_lists_every_command():
    said = subprocess.run([CLONE / "bootstrap", "--help"], capture_output=True, text=True, check=True).stdout
    commands = {path.stem for path in COMMAND_LINE.glob("*.py")}
    assert commands <= {line.split()[0] for line in said.splitlines() if line.startswith("  ")}
