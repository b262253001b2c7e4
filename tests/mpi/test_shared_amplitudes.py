"""Amplitudes of several processes in one copy, and what happens where they cannot have one."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.places import TESTS
from helpers.small_models import random_amplitudes

from nanobragg_kokkos.models.amplitudes.channels import AmplitudeChannels
from nanobragg_kokkos.mpi import shared_amplitudes
from nanobragg_kokkos.mpi.ranks import OneRank

# Each rank tells, for each way to go about it, what it got: a number that follows from all bits, how many ranks' notes
# it sees in its memory, where that memory comes from, and what is said of it.
PROGRAM = f"""
import hashlib, json, sys
sys.path.insert(0, {str(TESTS)!r})
import numpy as np
from pathlib import Path
from mpi4py import MPI
from helpers.small_models import random_amplitudes
from nanobragg_kokkos.mpi import shared_amplitudes
from nanobragg_kokkos.models.amplitudes.channels import AmplitudeChannels

comm = MPI.COMM_WORLD
directory = shared_amplitudes.DIRECTORY
told = {{}}
for way, shut_out in (("share", ()), ("one is shut out", (1,)), ("no room", range(comm.size))):
    shared_amplitudes.DIRECTORY = Path("/no/such/directory") if comm.rank in shut_out else directory
    channels = AmplitudeChannels(np.array([7112.0]), random_amplitudes()) if comm.rank == 0 else None
    found = shared_amplitudes.amplitudes(comm, channels)
    memory = found.box.memory
    digest = hashlib.sha256(memory.tobytes()).hexdigest()
    comm.barrier()
    memory[memory.size - 1 - comm.rank] = 1.5 + comm.rank
    comm.barrier()
    seen = sum(memory[-1 - rank] == 1.5 + rank for rank in range(comm.size))
    address = memory.__array_interface__["data"][0]
    for line in open("/proc/self/maps"):
        first, last = (int(x, 16) for x in line.split()[0].split("-"))
        if first <= address < last:
            backing = line.split()[3:]
    told[way] = comm.gather([digest, int(seen), backing, found.processes, str(found)])
if comm.rank == 0:
    print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told() -> dict[str, list]:
    """What each of two ranks tells."""
    if not shutil.which("mpirun"):
        pytest.skip("mpirun is not installed")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    command = ["mpirun", "--oversubscribe", "-n", "2", sys.executable, "-c", PROGRAM]
    before = set(shared_amplitudes.DIRECTORY.glob("nanobragg_kokkos*"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert set(shared_amplitudes.DIRECTORY.glob("nanobragg_kokkos*")) == before
    return json.loads(done.stdout)


def alone():
    return shared_amplitudes.amplitudes(OneRank(), AmplitudeChannels(np.array([7112.0]), random_amplitudes()))


def test_ranks_of_a_node_have_one_copy(told):
    expected = hashlib.sha256(alone().box.memory.tobytes()).hexdigest()
    for digest, seen, backing, processes, text in told["share"]:
        assert digest == expected
        assert (seen, processes) == (2, 2)
        assert "one copy for the 2 processes of a node" in text
        # The name of the file that is mapped is gone.
        assert "(deleted)" in backing
    one, other = (backing for _, _, backing, _, _ in told["share"])
    # Device and inode.
    assert one[:2] == other[:2] and one[1] != "0"


@pytest.mark.parametrize("way", ["one is shut out", "no room"])
def test_ranks_that_cannot_share_have_a_copy_each(told, way):
    expected = hashlib.sha256(alone().box.memory.tobytes()).hexdigest()
    for digest, seen, _, processes, text in told[way]:
        assert digest == expected
        assert (seen, processes) == (1, 1)
        assert "copy" not in text


def test_a_process_on_its_own_has_its_own():
    found = alone()
    assert found.processes == 1 and "copy" not in str(found)
    assert found.box.amplitudes.max() == pytest.approx(max(random_amplitudes().data()))
