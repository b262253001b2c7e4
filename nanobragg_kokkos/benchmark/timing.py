"""Wall-clock times of something that is run several times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds of one or more runs.

    Args:
        first: of the first run, before which nothing was warm.
        runs: of those that count; the first is among them only if there is no other.
    """

    first: float
    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """Of the runs that count."""
        return statistics.median(self.runs)


def measure(prepare: Callable[[], None], run: Callable[[], None], runs: int, limit: float, images: int = 1) -> Timing:
    """Runs once to warm up, then some times more. If the first run alone takes as long as the limit, it is what counts.

    Args:
        prepare: before each run; not timed.
        runs: how many count.
        limit: seconds after which there is no further run.
        images: that each run makes; the times are of one of them.
    """
    limit /= images

    def seconds() -> float:
        prepare()
        begin = time.perf_counter()
        run()
        return (time.perf_counter() - begin) / images

    first = seconds()
    if first >= limit:
        return Timing(first, (first,))
    times = [seconds()]
    while len(times) < runs and first + sum(times) < limit:
        times.append(seconds())
    return Timing(first, tuple(times))
