"""Writes images in a thread, while the next ones are computed."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

# Number of waiting images, each of which takes memory.
MOST_WAITING = 2


class Writer:
    """Writes images one after the other in a thread; a context manager.

    If the thread fails, the next put or finish raises its error, and no more images are written. Leaving the context
    finishes the present image and drops those that wait, so call finish first.

    Args:
        write: called in the thread with the arguments of put, in the same order.
    """

    def __init__(self, write: Callable[..., None]) -> None:
        self._write = write
        self._waiting: queue.Queue[tuple | None] = queue.Queue(MOST_WAITING)
        self._error: BaseException | None = None
        # The process does not wait for it at its end: whoever interrupts it twice wants it to end.
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        try:
            while True:
                self._waiting.get_nowait()
        except queue.Empty:
            self._waiting.put(None)
        self._thread.join()

    def put(self, *image: Any) -> None:
        """Passes an image to the thread; blocks while MOST_WAITING others wait.

        Raises:
            Exception: writing an earlier image failed.
        """
        self._raise()
        self._waiting.put(image)

    def finish(self) -> None:
        """Waits until all images are written.

        Raises:
            Exception: writing one of them failed.
        """
        self._waiting.join()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        _leave_the_starters_processor()
        while (image := self._waiting.get()) is not None:
            try:
                if self._error is None:
                    self._write(*image)
            except BaseException as error:
                self._error = error
            # Its memory is free for another one.
            image = None
            self._waiting.task_done()


def _leave_the_starters_processor() -> None:
    """Lets this thread run on the processors of all threads of the process.

    With OMP_PROC_BIND, OpenMP binds each of its threads to one processor, which the threads that it starts would share.
    """
    processors: set[int] = set()
    for task in Path("/proc/self/task").glob("*"):
        with suppress(ProcessLookupError):  # it has ended meanwhile
            processors |= os.sched_getaffinity(int(task.name))
    if processors:
        os.sched_setaffinity(0, processors)
