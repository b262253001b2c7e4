"""Work shared among MPI ranks, such that an error in one of them ends all, with one message."""

from __future__ import annotations

import os
import traceback
from typing import Any, Callable, TypeVar

from libtbx.utils import Sorry

T = TypeVar("T")

# Where launchers say how many processes they started and which one this is: Open MPI, MPICH and its kin, Slurm, Flux.
LAUNCHERS = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
    ("FLUX_JOB_SIZE", "FLUX_TASK_RANK"),
)


class Failed(Exception):
    """Some rank failed; the same message on all of them."""


class OneRank:
    """What mpi4py's communicator offers, for a process on its own."""

    rank = 0
    size = 1

    def bcast(self, value: T) -> T:
        return value

    def allgather(self, value: T) -> list[T]:
        return [value]

    def barrier(self) -> None:
        pass

    def Abort(self, code: int) -> None:
        """Leaves the end to the process, as no other waits for it."""


def world() -> Any:
    """The communicator of all processes that a launcher started together: mpi4py's, or OneRank.

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
        raise _apart(size, rank, f"mpi4py is not there ({error})") from error
    if MPI.COMM_WORLD.size == 1:
        raise _apart(size, rank, "mpi4py belongs to another MPI than what started them: each sees itself only")
    return MPI.COMM_WORLD


def on_first(comm: Any, action: Callable[[], T]) -> T:
    """What the action returns on the first rank, on all ranks.

    Raises:
        Failed: the action raised an exception.
    """
    result, failure = comm.bcast(_attempt(action) if comm.rank == 0 else None)
    if failure:
        raise Failed(failure)
    return result


def on_all(comm: Any, action: Callable[[], T]) -> T:
    """What the action returns on this rank, once all ranks are done with theirs.

    Raises:
        Failed: the action raised an exception on any rank.
    """
    result, failure = _attempt(action)
    failures = [f for f in comm.allgather(failure) if f]
    if failures:
        raise Failed(failures[0])
    return result


def _apart(size: int, rank: int, reason: str) -> Failed:
    # There is no MPI to agree on it, but the first rank alone is to speak.
    return Failed("" if rank else f"Sorry: {size} processes were started, but {reason}")


def _launched(size: str, rank: str) -> tuple[int, int]:
    return int(os.environ.get(size, 1)), int(os.environ.get(rank, 0))


def _attempt(action: Callable[[], T]) -> tuple[T | None, str | None]:
    try:
        return action(), None
    except Sorry as error:
        return None, f"Sorry: {error}"
    except BrokenPipeError:
        raise
    except MemoryError:
        return None, "Sorry: expected a smaller job: it does not fit in this computer's memory"
    except Exception:
        return None, traceback.format_exc()
