"""What there is to say at the end of a job: how fast it was, where the time went, and what failed."""

from __future__ import annotations

import resource
from contextlib import suppress
from dataclasses import dataclass
from typing import Sequence

from nanobragg_kokkos.crew import Failure
from nanobragg_kokkos.output import Times
from nanobragg_kokkos.progress import counted, duration

# More have one line each in their logs, and together the least, the mean and the most.
MOST_ROWS = 16

MOST_FAILURES = 20


@dataclass(frozen=True)
class Report:
    """Of one rank.

    Args:
        images: which it has made, how many.
        seconds: from the first image's beginning until the rank found no more work.
        waiting: seconds that it had nothing to do.
        overloads: pixels brighter than is trusted, of each image that has any.
        memory: bytes, the most that the process took at any time.
    """

    images: int
    seconds: float
    waiting: float
    times: Times
    overloads: Sequence[int]
    memory: int


def peak_memory() -> int:
    """Bytes of main memory that this process has taken at most."""
    with suppress(OSError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    # Elsewhere than on Linux, where this may be that of the process which started this one.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def summary(reports: Sequence[Report], n_failed: int) -> str:
    """A table of the ranks' times, in seconds."""
    seconds = max(report.seconds for report in reports)
    images = sum(report.images for report in reports)
    rate = f": {images / seconds:.3g} images/s" if seconds > 0 and images else ""
    lines = [
        f"{counted(images, 'image')} in {duration(seconds)} by {counted(len(reports), 'process', 'processes')}{rate}; "
        f"{counted(n_failed, 'failure')}",
        f"{'Seconds:':9}{'simulate':>10}{'read out':>10}{'reduce':>10}{'write':>10}{'wait':>10}{'all':>10}"
        f"{'images':>9}{'memory, MB':>12}",
    ]
    rows = [_row(report) for report in reports]
    if len(rows) <= MOST_ROWS:
        lines += [_line(f"rank {rank}", row) for rank, row in enumerate(rows)]
    if len(rows) > 1:
        columns = list(zip(*rows))
        lines += [
            _line("least", [min(column) for column in columns]),
            _line("mean", [sum(column) / len(column) for column in columns]),
            _line("most", [max(column) for column in columns]),
        ]
    return "\n".join(lines)


def overloads(saturation: int, reports: Sequence[Report]) -> str:
    """What to say of pixels that are brighter than is trusted; nothing if there are none."""
    pixels = [n for report in reports for n in report.overloads]
    if not pixels:
        return ""
    n_images = sum(report.images for report in reports)
    return (
        f"Overloads: {counted(sum(pixels), 'pixel')} in {len(pixels)} of {counted(n_images, 'image')} would "
        f"count more than {saturation}, and read {saturation + 1}"
    )


def failure_line(failure: Failure) -> str:
    """The images, counted from 1, and the cause."""
    numbers = [image + 1 for image in failure.images]
    which = f"Image {numbers[0]}" if len(numbers) == 1 else f"Images {numbers[0]} to {numbers[-1]}"
    return f"{which} failed: {failure.cause}"


def _row(report: Report) -> list[float]:
    times = report.times
    return [
        times.simulate, times.read_out, times.reduce, times.write, report.waiting, report.seconds, report.images,
        report.memory / 1e6,
    ]  # fmt: skip


def _line(name: str, row: Sequence[float]) -> str:
    *seconds, images, memory = row
    return f"{name:9}" + "".join(f"{x:10.2f}" for x in seconds) + f"{images:9.0f}{memory:12.0f}"
