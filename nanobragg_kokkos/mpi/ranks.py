"""The MPI ranks of a job, and actions whose errors end all ranks with one message."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from libtbx.utils import Sorry

from nanobragg_kokkos.util.failures import Failed, T, attempt

# Variables in which launchers give the number of processes and the rank: Open MPI, MPICH and relatives, Slurm, Flux.
LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ("FLUX_JOB_SIZE", "FLUX_TASK_RANK"),
)


# Variables in which launchers give the rank on the node, as far as Kokkos reads them.
LOCAL_RANKS = (
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "MV2_COMM_WORLD_LOCAL_RANK",
    "MPI_LOCALRANKID",
    "SLURM_LOCALID",
    "PMI_LOCAL_RANK",
)


class OneRank:
    """The communicator of a single process, with methods of mpi4py's."""

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

    A process that no launcher started does not import MPI, which alone would end the process on some clusters.

    Raises:
        Failed: there are several processes, but mpi4py cannot be imported or does not connect them; all of them would
            write the same files.
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
    """Assigns the GPUs of a node to its ranks in turn; call it before Kokkos starts.

    Kokkos does this by itself if the launcher gives the rank on the node in a variable that Kokkos knows; otherwise
    this function sets one. The number of GPUs is the number that the CUDA or HIP runtime sees, or DEVICES_PER_NODE.
    KOKKOS_DEVICE_ID and KOKKOS_MAP_DEVICE_ID_BY override both.

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
    """Returns sums of whole numbers over all ranks on the first rank, and the given values on the others."""
    return _reduced(comm, values, "SUM")


def largest(comm: Any, values: np.ndarray) -> np.ndarray:
    """Returns the maximum of each number over all ranks on the first rank, and the given values on the others."""
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
    return cast(T, result)


def _apart(size: int, rank: int, reason: str) -> Failed:
    # Only the first rank prints the message; there is no MPI to agree on one.
    return Failed("" if rank else f"Sorry: {size} processes were started, but {reason}")


def _launched(size: str, rank: str) -> tuple[int, int]:
    return int(os.environ.get(size, 1)), int(os.environ.get(rank, 0))
