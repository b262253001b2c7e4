"""Work for which MPI ranks come when they are free, and news of it that reach the first rank.

The first rank hands out the work and does its share of it: a thread answers the others while its own computes. Messages
are all it takes of MPI, because one-sided counters (MPI_Fetch_and_op) wait, with many of its implementations, until the
rank that holds the counter calls MPI, which one that simulates does not. No rank waits for another one before the end.
What ranks tell (images done, images failed) goes along with the messages.

A rank that cannot go on says why; the first rank then tells all others to stop after the image that they are at. A rank
that has not stopped after GRACE_S seconds ends with all the others by MPI_Abort.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from nanobragg_kokkos.mpi.schedule import Schedule

GRACE_S = 10

# How long a rank that waits for a message sleeps before it looks again.
PAUSE_S = 0.001

# From one message with a rank's news to the next, if none is urgent; more with so many ranks that the first one would
# have more than MOST_NEWS messages a second.
NEWS_S = 0.5
MOST_NEWS = 1000

ASK, NEWS, BYE, WORK, STOP, END = range(6)


@dataclass(frozen=True)
class Failure:
    """Images, counted from 0, that could not be made, and why."""

    images: tuple[int, ...]
    cause: str


@dataclass(frozen=True)
class News:
    """What has happened since the last news.

    Args:
        images: how many are done.
        failures: which are not.
        stop: why no more work makes sense; None if it does.
    """

    images: int = 0
    failures: tuple[Failure, ...] = ()
    stop: str | None = None

    def __add__(self, later: News) -> News:
        return News(self.images + later.images, self.failures + later.failures, self.stop or later.stop)


def crew(comm: Any, n_items: int, told: Callable[[News], None]) -> FirstRank | OtherRank:
    """This rank's part in work on n_items items.

    Args:
        comm: mpi4py's communicator or ranks.OneRank; all of its ranks call this.
        n_items: the same on all ranks.
        told: called on the first rank with all news, by one thread at a time.
    """
    return FirstRank(comm, n_items, told) if comm.rank == 0 else OtherRank(comm)


class _Rank:
    """What the ranks have in common.

    stopped_by: why work was stopped early; None: it was not, or, on other ranks than the first, not known here.
    waited_s: how long this rank had nothing to do.
    """

    waited_s = 0.0

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def items(self) -> Iterator[int]:
        """Numbers of items to work on, until none are left or all are to stop."""
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
    """The first rank: see crew."""

    def __init__(self, comm: Any, n_items: int, told: Callable[[News], None]) -> None:
        super().__init__()
        self.stopped_by: str | None = None
        self._comm = comm
        self._schedule = Schedule(n_items, comm.size)
        self._told = told
        self._reports: dict[int, Any] = {}
        self._stop_sent: list[int] = []
        self._sent: list[Any] = []  # until MPI is done with them
        self._deadline = float("inf")
        self._error: BaseException | None = None
        self._server: threading.Thread | None = None
        # No other thread of this rank calls MPI until finish() returns; an MPI that takes calls from the main thread
        # alone has the first rank do nothing but answer.
        if comm.size > 1 and _threads_may_take_turns():
            self._server = threading.Thread(target=self._serve, name="crew", daemon=True)
            self._server.start()

    def _ask(self) -> range:
        if self._comm.size > 1 and self._server is None:
            return range(0)  # it will answer the others in finish()
        return self._take()

    def stopped(self) -> bool:
        """Whether all are to stop."""
        return self.stopped_by is not None

    def tell(self, news: News) -> None:
        """Notes what has happened; any thread may call it."""
        with self._lock:
            if news.stop is not None and self.stopped_by is None:
                self.stopped_by = news.stop
                self._deadline = time.monotonic() + GRACE_S
            self._told(news)

    def finish(self, report: Any) -> list[Any]:
        """Waits for all ranks; returns their reports, in the order of the ranks."""
        begun = time.monotonic()
        with self._lock:
            self._reports[0] = report
        if self._server is not None:
            self._server.join()
        elif self._comm.size > 1:
            self._serve()
        self.waited_s += time.monotonic() - begun
        if self._error is not None:
            raise self._error
        return [self._reports[rank] for rank in range(self._comm.size)]

    def _take(self) -> range:
        with self._lock:
            return range(0) if self.stopped() else self._schedule.take()

    def _serve(self) -> None:
        """Answers the other ranks until all have said good-bye."""
        while len(self._reports) < self._comm.size:
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
            self._reports[rank] = content
        elif self._error is None:
            try:
                self.tell(content)
            # Nobody listens any more, for example: that ends the job, but not before all others have ended their work.
            except BaseException as error:
                self._error = error
                self.stopped_by = self.stopped_by or f"The first rank cannot go on ({error})"
                self._deadline = time.monotonic() + GRACE_S

    def _stop_all(self) -> None:
        if not self._stop_sent:
            for rank in range(1, self._comm.size):
                if rank not in self._reports:
                    self._send(None, rank, STOP)
                    self._stop_sent.append(rank)
        if time.monotonic() > self._deadline:
            late = [str(rank) for rank in range(self._comm.size) if rank not in self._reports]
            print(f"These ranks did not stop within {GRACE_S} s and are ended: {', '.join(late)}", file=sys.stderr)
            print(self.stopped_by, file=sys.stderr, flush=True)
            self._comm.Abort(1)

    def _send(self, content: Any, rank: int, tag: int) -> None:
        self._sent = [request for request in self._sent if not request.test()[0]]
        self._sent.append(self._comm.isend(content, dest=rank, tag=tag))


class OtherRank(_Rank):
    """Any rank but the first: see crew."""

    stopped_by = None

    def __init__(self, comm: Any) -> None:
        super().__init__()
        self._comm = comm
        self._news = News()
        self._told_at = time.monotonic()
        self._told_every_s = max(NEWS_S, comm.size / MOST_NEWS)
        self._stopped = False
        self._sent: list[Any] = []

    def _ask(self) -> range:
        self._pass_on()
        self._send(None, ASK)
        return self._receive(WORK)

    def stopped(self) -> bool:
        """Whether all are to stop; passes on what there is to tell."""
        urgent = self._news.failures or self._news.stop
        if urgent or time.monotonic() - self._told_at > self._told_every_s:
            self._pass_on()
        if not self._stopped and self._comm.iprobe(source=0, tag=STOP):
            self._comm.recv(source=0, tag=STOP)
            self._stopped = True
        return self._stopped

    def tell(self, news: News) -> None:
        """Notes what has happened, for the first rank; any thread may call it."""
        with self._lock:
            self._news += news

    def finish(self, report: Any) -> None:
        """Waits for all ranks; gives the first one this rank's report."""
        begun = time.monotonic()
        self._pass_on()
        self._send(report, BYE)
        stop_sent = self._receive(END)
        if stop_sent and not self._stopped:
            self._comm.recv(source=0, tag=STOP)
        for request in self._sent:
            request.wait()
        self.waited_s += time.monotonic() - begun

    def _pass_on(self) -> None:
        with self._lock:
            news, self._news = self._news, News()
        self._told_at = time.monotonic()
        if news != News():
            self._send(news, NEWS)

    def _send(self, content: Any, tag: int) -> None:
        self._sent = [request for request in self._sent if not request.test()[0]]
        self._sent.append(self._comm.isend(content, dest=0, tag=tag))

    def _receive(self, tag: int) -> Any:
        # MPI's own waiting takes a processor, which a rank that computes may want.
        while not self._comm.iprobe(source=0, tag=tag):
            time.sleep(PAUSE_S)
        return self._comm.recv(source=0, tag=tag)


def _threads_may_take_turns() -> bool:
    from mpi4py import MPI

    return MPI.Query_thread() >= MPI.THREAD_SERIALIZED


def _next_message(comm: Any) -> tuple[Any, int, int] | None:
    """Content, rank and tag of a message that has come; None if there is none."""
    from mpi4py import MPI

    status = MPI.Status()
    if not comm.iprobe(MPI.ANY_SOURCE, MPI.ANY_TAG, status):
        return None
    rank, tag = status.Get_source(), status.Get_tag()
    return comm.recv(source=rank, tag=tag), rank, tag
