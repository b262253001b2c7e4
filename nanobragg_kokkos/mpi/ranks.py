"""MPI ranks: all processes of a job, and actions whose errors end all of them, with one message."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
from libtbx.utils import Sorry

from nanobragg_kokkos.util.failures import Failed, T, attempt

# Where launchers say how many processes they started and which one this is: Open MPI, MPICH and its kin, Slurm, Flux.
LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ("FLUX_JOB_SIZE", "FLUX_TASK_RANK"),
)


# Where launchers say which of the processes on its node this one is, as far as Kokkos looks for it.
LOCAL_RANKS = (
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "SLURM_LOCALID",
    "PMI_LOCAL_RANK",
)


class OneRank:
    """A process on its own, with the methods of mpi4py's communicator."""

    rank = 0
    size = 1

    def bcast(self, value: T) -> T:
        return value

    def allgather(self, value: T) -> list[T]:
        return [value]

    def gather(self, value: T) -> list[T]:
        return [value]

    def barrier(self) -> None:
        pass

    def Abort(self, code: int) -> None:
        """Does nothing: no other process waits for this one."""


def world() -> Any:
    """Returns the communicator of all processes that a launcher started together: mpi4py's, or OneRank.

    MPI is left alone in a process that no launcher started: on some clusters merely importing it would end the process.

    Raises:
        Failed: there are several processes, but mpi4py cannot be imported, or does not let them see each other; all of
            them would write the same files.
    """
    size, rank = max(_launched(*names) for names in LAUNCHERS)
    if size == 1:
        return OneRank()
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise _apart(size, rank, f"mpi4py cannot be imported ({error})") from error
    if MPI.COMM_WORLD.size == 1:
        raise _apart(size, rank, "mpi4py uses another MPI than the launcher: each process sees itself only")
    return MPI.COMM_WORLD


def choose_device(comm: Any) -> None:
    """Assigns the GPUs of a node to its ranks in turn; to be called before Kokkos starts.

    Kokkos does so by itself if the launcher gives the rank's number on its node in a variable that Kokkos knows;
    otherwise this function sets one. The number of GPUs is what the CUDA or HIP runtime sees, or DEVICES_PER_NODE.
    KOKKOS_DEVICE_ID and KOKKOS_MAP_DEVICE_ID_BY take precedence, if they are set.

    Raises:
        Sorry: DEVICES_PER_NODE is not a number.
    """
    local = next((int(os.environ[name]) for name in LOCAL_RANKS if name in os.environ), None)
    if local is None:
        local = _rank_on_node(comm)
        if comm.size > 1:
            os.environ["MPI_LOCALRANKID"] = str(local)
    devices = os.environ.get("DEVICES_PER_NODE")
    if devices is None or {"KOKKOS_DEVICE_ID", "KOKKOS_MAP_DEVICE_ID_BY"} & set(os.environ):
        return
    if not devices.isdecimal() or int(devices) == 0:
        raise Sorry(f"DEVICES_PER_NODE={devices}: expected the number of GPUs of a node, 1 or more")
    os.environ["KOKKOS_DEVICE_ID"] = str(local % int(devices))


def _rank_on_node(comm: Any) -> int:
    if comm.size == 1:
        return 0
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED, comm.rank)
    try:
        return node.rank
    finally:
        node.Free()


def added_up(comm: Any, values: np.ndarray) -> np.ndarray:
    """Returns whole numbers summed over all ranks on the first; elsewhere, the values given."""
    return _reduced(comm, values, "SUM")


def largest(comm: Any, values: np.ndarray) -> np.ndarray:
    """Returns the maximum of each number over all ranks on the first; elsewhere, the values given."""
    return _reduced(comm, values, "MAX")


def _reduced(comm: Any, values: np.ndarray, operation: str) -> np.ndarray:
    if comm.size == 1:
        return values
    from mpi4py import MPI

    result = np.empty_like(values) if comm.rank == 0 else None
    comm.Reduce(np.ascontiguousarray(values), result, op=getattr(MPI, operation))
    return values if result is None else result


def on_first(comm: Any, action: Callable[[], T]) -> T:
    """Runs an action on the first rank; returns its result on all ranks.

    Raises:
        Failed: the action raised an exception.
    """
    result, failure = comm.bcast(attempt(action) if comm.rank == 0 else None)
    if failure:
        raise Failed(failure)
    return result


def on_all(comm: Any, action: Callable[[], T]) -> T:
    """Runs an action on all ranks; returns this rank's result, once all ranks are done.

    Raises:
        Failed: the action raised an exception on any rank.
    """
    result, failure = attempt(action)
    failures = [f for f in comm.allgather(failure) if f]
    if failures:
        raise Failed(failures[0])
    return result


def _apart(size: int, rank: int, reason: str) -> Failed:
    # There is no MPI to agree on it, but the first rank alone is to speak.
    return Failed("" if rank else f"Sorry: {size} processes were started, but {reason}")


def _launched(size: str, rank: str) -> tuple[int, int]:
    return int(os.environ.get(size, 1)), int(os.environ.get(rank, 0))
