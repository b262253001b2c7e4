"""Keeps one copy of the structure factor amplitudes for all processes of a node.

The first rank of a job fills memory that the ranks of its node share, and sends it to one rank of every other node.
The ranks of a node map a file in memory (tmpfs). The file loses its name before it gets any contents, so nothing stays
behind, whatever happens to the job. MPI's shared windows would work, too; but with a file, ranks without room, or ranks
that do not see each other's files, notice this together and use their own memory.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nanobragg_kokkos.models.amplitudes.box import AmplitudeBox
from nanobragg_kokkos.models.amplitudes.channels import AmplitudeChannels
from nanobragg_kokkos.mpi import ranks

# In memory on Linux; elsewhere, mapped files stay in memory as long as there is room.
DIRECTORY = Path("/dev/shm") if os.path.isdir("/dev/shm") else Path(tempfile.gettempdir())

# Numbers per message to other nodes: MPI counts in 31 bits.
BLOCK = 2**27


@dataclass(frozen=True, eq=False)
class NodeAmplitudes:
    """Amplitudes, and the number of processes on this node that share this copy."""

    box: AmplitudeBox
    processes: int

    def __str__(self) -> str:
        size = self.box.memory.nbytes / 1e6
        shared = f", one copy for the {self.processes} processes of a node" if self.processes > 1 else ""
        return f"Amplitudes take {size:.3g} MB of memory{shared}"


def amplitudes(comm: Any, channels: AmplitudeChannels | None) -> NodeAmplitudes:
    """Returns the amplitudes of the first rank, on all ranks.

    Args:
        comm: mpi4py's communicator, or ranks.OneRank.
        channels: the amplitudes on the first rank; None on the others.

    Raises:
        Failed: a rank could not make or receive them; raised on all ranks.
    """

    def of_first_rank() -> AmplitudeChannels:
        if channels is None:
            raise ValueError("channels must be given on the first rank")
        return channels

    layout = ranks.on_first(comm, lambda: of_first_rank().layout)
    if comm.size == 1:
        return NodeAmplitudes(ranks.on_first(comm, lambda: of_first_rank().box()), 1)
    node, memory = _node_with_memory(comm, layout.memory_size)
    ranks.on_all(comm, lambda: of_first_rank().fill(memory) if comm.rank == 0 else None)
    heads = comm.Split(0 if node.rank == 0 else 1, comm.rank)
    if node.rank == 0:
        for start in range(0, len(memory), BLOCK):
            heads.Bcast(memory[start : start + BLOCK])
    comm.barrier()
    processes = node.size
    heads.Free()
    node.Free()
    return NodeAmplitudes(AmplitudeBox(layout, memory), processes)


def _node_with_memory(comm: Any, size: int) -> tuple[Any, np.ndarray]:
    """Returns the ranks that share memory with this one (its node's, or itself), and that memory, zeros (size,)."""
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED, comm.rank)
    memory = _shared(node, 8 * size)
    if memory is not None:
        return node, memory.view(np.float64)
    node.Free()
    return comm.Split(comm.rank), ranks.on_all(comm, lambda: np.zeros(size))


def _shared(node: Any, n_bytes: int) -> np.ndarray | None:
    """Returns zeros in memory that the ranks of a node share; None on all of them if one cannot map it."""
    path = DIRECTORY / f"nanobragg_kokkos-{node.bcast(uuid.uuid4().hex if node.rank == 0 else None)}"
    memory = None
    try:
        if node.rank == 0:
            memory = _mapped(path, n_bytes, os.O_CREAT | os.O_EXCL)
        # The broadcast ensures that the file exists before the other ranks open it.
        if node.bcast(memory is not None) and node.rank != 0:
            memory = _mapped(path, n_bytes)
        return memory if all(node.allgather(memory is not None)) else None
    finally:
        if node.rank == 0:
            path.unlink(missing_ok=True)


def _mapped(path: Path, n_bytes: int, flags: int = 0) -> np.ndarray | None:
    """Returns a file's memory; None if there is no such file, or no room for a new one."""
    try:
        file = os.open(path, os.O_RDWR | flags, 0o600)
    except OSError:
        return None
    try:
        if flags & os.O_CREAT:
            os.posix_fallocate(file, 0, n_bytes)
        return np.frombuffer(mmap.mmap(file, n_bytes), np.uint8)
    except (OSError, ValueError):
        return None
    finally:
        os.close(file)
