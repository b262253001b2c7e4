"""Jobs of nanobragg_kokkos.simulate in processes of their own, and what they wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.places import COMMAND_LINE

COMMAND = COMMAND_LINE / "simulate.py"

# What a process that does something with the images has imported by then; none of it may change a bit.
PROGRAM = f"""
import sys, cctbx.array_family.flex, cctbx.miller, dxtbx.model, runpy
try:
    import dials.array_family.flex
except ImportError:
    pass
sys.argv[0] = {str(COMMAND)!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def launch(ranks: int, arguments: list[str], threads: int = 1, before: str = "") -> subprocess.CompletedProcess:
    """Runs the command in processes of its own, after a program: one on its own, or several under mpirun."""
    launcher = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": str(threads),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_btl": "^tcp",  # all ranks are on this machine: no warnings of its network
    }
    command = [*launcher, sys.executable, "-c", before + PROGRAM, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def pixels(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["entry/data/data"][()]


needs_mpirun = pytest.mark.skipif(not shutil.which("mpirun"), reason="mpirun is not installed")
