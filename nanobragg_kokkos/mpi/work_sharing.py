"""Shares work among MPI ranks: free ranks take the next items, and the first rank learns of all events.

The first rank hands out the work and does its share: one of its threads answers the others while another computes. It
uses messages alone, because one-sided counters (MPI_Fetch_and_op) wait in many implementations of MPI until the rank
that holds the counter calls MPI, and a rank that simulates does not. No rank waits for another one before the end.
Messages carry the events (images done, images failed).

A rank that cannot continue reports the reason; the first rank then tells all others to stop after their present image.
If a rank has not stopped after GRACE_S seconds, MPI_Abort ends all of them.
"""

from __future__ import annotations

import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanobragg_kokkos.util.whole_files import Checksum

GRACE_S = 10

# Seconds that a rank sleeps between two looks for a message.
PAUSE_S = 0.001

# Seconds between two messages with a rank's events, unless one is urgent. With many ranks, the time is longer, so that
# the first rank receives at most MOST_MESSAGES per second.
EVENTS_EVERY_S = 0.5
MOST_MESSAGES = 1000

ASK, EVENT, BYE, WORK, STOP, END = range(6)


@dataclass(frozen=True)
class Failure:
    """Images, counted from 0, that could not be made, and the reason."""

    images: tuple[int, ...]
    cause: str


@dataclass(frozen=True)
class Event:
    """The progress of a rank; the sum of two events combines them, the earlier one first.

    Args:
        images: number of finished images.
        failures: images that failed.
        files: paths and checksums of files that are complete.
        stop: the reason to stop all work; None to continue.
    """

    images: int = 0
    failures: tuple[Failure, ...] = ()
    files: tuple[tuple[Path, Checksum], ...] = ()
    stop: str | None = None

    def __add__(self, later: Event) -> Event:
        return Event(
            self.images + later.images,
            self.failures + later.failures,
            self.files + later.files,
            self.stop or later.stop,
        )


def share_work(comm: Any, n_items: int, on_event: Callable[[Event], str | None]) -> FirstRank | OtherRank:
    """Starts to share the work on n_items items; returns this rank's part in it.

    Args:
        comm: mpi4py's communicator or ranks.OneRank; all of its ranks call this.
        n_items: number of items, the same on all ranks.
        on_event: called on the first rank with the events of all ranks, by one thread at a time; returns a reason to
            stop all work, or None.
    """
    return FirstRank(comm, n_items, on_event) if comm.rank == 0 else OtherRank(comm)


class Schedule:
    """Hands out the numbers 0 to n_items - 1 in order, in ranges of consecutive numbers: guided self-scheduling.

    C. D. Polychronopoulos & D. J. Kuck, IEEE Trans. Comput. C-36, 1425 (1987): with P workers, a free worker gets 1/P
    of the remaining items. Shares begin large, which saves messages, and end small, so that all workers finish at about
    the same time. Here they are half as large, because images differ in time, and processes in speed.

    Args:
        n_items: number of items.
        n_workers: number of workers.
    """

    def __init__(self, n_items: int, n_workers: int) -> None:
        self._n_items = n_items
        self._n_workers = n_workers
        self._next = 0

    def take(self) -> range:
        """Returns the next items; an empty range if none are left."""
        left = self._n_items - self._next
        first, self._next = self._next, self._next + min(left, max(1, left // (2 * self._n_workers)))
        return range(first, self._next)


class _Rank(ABC):
    """A rank's part in shared work.

    Attributes:
        stopped_by: the reason why work stopped early; None if it did not, and always None on ranks but the first.
        waited_s: seconds that this rank has waited.
    """

    waited_s = 0.0

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @abstractmethod
    def stopped(self) -> bool:
        """Whether all are to stop."""

    @abstractmethod
    def _ask(self) -> Sequence[int]:
        """Returns the next items to work on; none if none are left."""

    def items(self) -> Iterator[int]:
        """Yields the numbers of items to work on, until none are left or all ranks must stop."""
        while not self.stopped():
            begun = time.monotonic()
            share = self._ask()
            self.waited_s += time.monotonic() - begun
            if not share:
                return
            for item in share:
                if self.stopped():
                    return
                yield item


class FirstRank(_Rank):
    """The first rank's part in shared work, see share_work."""

    def __init__(self, comm: Any, n_items: int, on_event: Callable[[Event], str | None]) -> None:
        super().__init__()
        self.stopped_by: str | None = None
        self._comm = comm
        self._schedule = Schedule(n_items, comm.size)
        self._on_event = on_event
        self._results: dict[int, Any] = {}
        self._stop_sent: list[int] = []
        self._sent: list[Any] = []  # until MPI is done with them
        self._deadline = float("inf")
        self._error: BaseException | None = None
        self._server: threading.Thread | None = None
        # No other thread of this rank calls MPI until finish() returns. If MPI allows calls only from the main thread,
        # the first rank does nothing but answer.
        if comm.size > 1 and _threads_may_take_turns():
            self._server = threading.Thread(target=self._serve, name="work sharing", daemon=True)
            self._server.start()

    def _ask(self) -> range:
        if self._comm.size > 1 and self._server is None:
            return range(0)  # it will answer the others in finish()
        return self._take()

    def stopped(self) -> bool:
        """Returns whether all ranks must stop."""
        return self.stopped_by is not None

    def report(self, event: Event) -> None:
        """Passes an event to on_event; any thread may call this."""
        with self._lock:
            reason = self._on_event(event)
            reason = reason if event.stop is None else event.stop
            if reason is not None and self.stopped_by is None:
                self.stopped_by = reason
                self._deadline = time.monotonic() + GRACE_S

    def finish(self, result: Any) -> list[Any]:
        """Waits for all ranks; returns their results, in the order of the ranks."""
        begun = time.monotonic()
        with self._lock:
            self._results[0] = result
        if self._server is not None:
            self._server.join()
        elif self._comm.size > 1:
            self._serve()
        self.waited_s += time.monotonic() - begun
        if self._error is not None:
            raise self._error
        return [self._results[rank] for rank in range(self._comm.size)]

    def _take(self) -> range:
        with self._lock:
            return range(0) if self.stopped() else self._schedule.take()

    def _serve(self) -> None:
        """Answers the other ranks until all have finished."""
        while len(self._results) < self._comm.size:
            message = _next_message(self._comm)
            if message is None:
                time.sleep(PAUSE_S)
            else:
                self._answer(*message)
            if self.stopped():
                self._stop_all()
        for rank in range(1, self._comm.size):
            self._send(rank in self._stop_sent, rank, END)
        for request in self._sent:
            request.wait()

    def _answer(self, content: Any, rank: int, tag: int) -> None:
        if tag == ASK:
            self._send(self._take(), rank, WORK)
        elif tag == BYE:
            self._results[rank] = content
        elif self._error is None:
            try:
                self.report(content)
            # For example a closed output: this ends the job once all other ranks have ended their work.
            except BaseException as error:
                self._error = error
                self.stopped_by = self.stopped_by or f"The first rank cannot go on ({error})"
                self._deadline = time.monotonic() + GRACE_S

    def _stop_all(self) -> None:
        if not self._stop_sent:
            for rank in range(1, self._comm.size):
                if rank not in self._results:
                    self._send(None, rank, STOP)
                    self._stop_sent.append(rank)
        if time.monotonic() > self._deadline:
            late = [str(rank) for rank in range(self._comm.size) if rank not in self._results]
            print(f"Ended ranks that did not stop within {GRACE_S} s: {', '.join(late)}", file=sys.stderr)
            print(self.stopped_by, file=sys.stderr, flush=True)
            self._comm.Abort(1)

    def _send(self, content: Any, rank: int, tag: int) -> None:
        self._sent = [request for request in self._sent if not request.test()[0]]
        self._sent.append(self._comm.isend(content, dest=rank, tag=tag))


class OtherRank(_Rank):
    """Another rank's part in shared work, see share_work."""

    stopped_by = None

    def __init__(self, comm: Any) -> None:
        super().__init__()
        self._comm = comm
        self._events = Event()
        self._sent_at = time.monotonic()
        self._send_every_s = max(EVENTS_EVERY_S, comm.size / MOST_MESSAGES)
        self._stopped = False
        self._sent: list[Any] = []

    def _ask(self) -> range:
        self._send_events()
        self._send(None, ASK)
        return self._receive(WORK)

    def stopped(self) -> bool:
        """Returns whether all ranks must stop; sends events that are urgent or due."""
        urgent = self._events.failures or self._events.stop
        if urgent or time.monotonic() - self._sent_at > self._send_every_s:
            self._send_events()
        if not self._stopped and self._comm.iprobe(source=0, tag=STOP):
            self._comm.recv(source=0, tag=STOP)
            self._stopped = True
        return self._stopped

    def report(self, event: Event) -> None:
        """Keeps an event for the first rank; any thread may call this."""
        with self._lock:
            self._events += event

    def finish(self, result: Any) -> None:
        """Sends this rank's result to the first one, and waits for all ranks."""
        begun = time.monotonic()
        self._send_events()
        self._send(result, BYE)
        stop_sent = self._receive(END)
        if stop_sent and not self._stopped:
            self._comm.recv(source=0, tag=STOP)
        for request in self._sent:
            request.wait()
        self.waited_s += time.monotonic() - begun

    def _send_events(self) -> None:
        with self._lock:
            events, self._events = self._events, Event()
        self._sent_at = time.monotonic()
        if events != Event():
            self._send(events, EVENT)

    def _send(self, content: Any, tag: int) -> None:
        self._sent = [request for request in self._sent if not request.test()[0]]
        self._sent.append(self._comm.isend(content, dest=0, tag=tag))

    def _receive(self, tag: int) -> Any:
        # MPI's own waiting would occupy a processor that another rank may need.
        while not self._comm.iprobe(source=0, tag=tag):
            time.sleep(PAUSE_S)
        return self._comm.recv(source=0, tag=tag)


def _threads_may_take_turns() -> bool:
    from mpi4py import MPI

    return MPI.Query_thread() >= MPI.THREAD_SERIALIZED


def _next_message(comm: Any) -> tuple[Any, int, int] | None:
    """Returns content, rank and tag of a waiting message; None if there is none."""
    from mpi4py import MPI

    status = MPI.Status()
    if not comm.iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG, status):
        return None
    rank, tag = status.Get_source(), status.Get_tag()
    return comm.recv(source=rank, tag=tag), rank, tag
