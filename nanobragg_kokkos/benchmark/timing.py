"""Measures wall-clock times of repeated runs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds of one or more runs.

    Args:
        first: time of the first run, which warms up.
        runs: times of the runs that count; they include the first one only if there is no other.
    """

    first: float
    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """Returns the median of the runs that count."""
        return statistics.median(self.runs)


def measure(prepare: Callable[[], None], run: Callable[[], object], runs: int, limit: float, images: int = 1) -> Timing:
    """Runs once to warm up and then several times; the first run counts if it alone takes as long as the limit.

    Args:
        prepare: action before each run, not timed.
        runs: number of runs that count.
        limit: seconds after which no further run starts.
        images: number of images that each run makes; times are per image.
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
