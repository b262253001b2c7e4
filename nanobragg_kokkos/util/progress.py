"""Shows the progress of a job: a bar on a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

try:
    from tqdm import tqdm
except ImportError:
    tqdm = None

SECONDS_BETWEEN_LINES = 5


def counted(number: int, name: str, names: str | None = None) -> str:
    """Returns a number of things in words: 1 image, 2 images.

    Args:
        names: the plural of name, if it needs more than an s.
    """
    return f"{number} {name if number == 1 else names or name + 's'}"


def duration(seconds: float) -> str:
    """Returns a time in words, with at most two units: 42 s, 3 min 20 s, 5 h 7 min."""
    if seconds < 10:
        return f"{seconds:.2g} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


@contextmanager
def progress(total: int, show: bool, name: str = "image") -> Iterator[Callable[[int], None]]:
    """Yields a function that takes the number of finished things and shows it.

    Args:
        total: number of things.
        show: whether to show anything.
        name: name of one thing.
    """
    if not show or total == 0:
        yield lambda done: None
    elif tqdm and sys.stderr.isatty():
        with tqdm(total=total, unit=name) as bar:
            yield lambda done: bar.update(done - bar.n)
    else:
        yield _lines(total, name)


def now_and_then() -> Callable[[str], None]:
    """Returns a function that prints a line if some seconds have passed since it was made or last printed one."""
    last = time.monotonic()

    def say(line: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= SECONDS_BETWEEN_LINES:
            last = now
            print(line, flush=True)

    return say


def _lines(total: int, name: str) -> Callable[[int], None]:
    start = time.monotonic()
    last = start - SECONDS_BETWEEN_LINES

    def say(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done == total or (done and now - last >= SECONDS_BETWEEN_LINES):
            last = now
            rate = done / max(now - start, 1e-9)
            left = f", {duration((total - done) / rate)} left" if done < total else ""
            print(f"{done} of {counted(total, name)}, {rate:.3g} {name}s/s{left}", flush=True)

    return say
