"""What there is to say at the end of a job: how fast it was, where the time went, and what failed."""

from __future__ import annotations

import json
import resource
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nanobragg_kokkos.job.output import Times
from nanobragg_kokkos.mpi.work_sharing import Failure
from nanobragg_kokkos.util.progress import counted, duration
from nanobragg_kokkos.util.whole_files import whole_file

# More have one line each in their logs, and together the least, the mean and the most.
MOST_ROWS = 16

MOST_FAILURES = 20

# Of each rank: its name in the file, and the head of its column.
COLUMNS = {
    "simulate_s": "simulate",
    "read_out_s": "read out",
    "reduce_s": "reduce",
    "write_s": "write",
    "wait_s": "wait",
    "all_s": "all",
    "images": "images",
    "peak_memory_MB": "memory, MB",
}


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


def summary(reports: Sequence[Report], failed: Sequence[int]) -> dict[str, Any]:
    """What is written to the file of a job's summary, as it stands there.

    Args:
        reports: in the order of the ranks.
        failed: images, counted from 0.

    Returns:
        images (made by this run), failed_images (counted from 1), seconds (of the slowest rank), images_per_s, and for
        each of the ranks what COLUMNS names; MB are 10⁶ bytes.
    """
    seconds = max(report.seconds for report in reports)
    images = sum(report.images for report in reports)
    return {
        "images": images,
        "failed_images": [image + 1 for image in failed],
        "seconds": round(seconds, 3),
        "images_per_s": float(f"{images / seconds:.4g}") if seconds > 0 else 0.0,
        "ranks": [_rank(report) for report in reports],
    }


def save(path: Path, found: dict[str, Any]) -> None:
    """Writes a summary as JSON.

    Raises:
        CannotWrite: the system refuses.
    """
    with whole_file(path) as temporary:
        Path(temporary).write_text(json.dumps(found, indent=1) + "\n")


def headline(found: dict[str, Any]) -> str:
    """A summary in one line."""
    images, ranks = found["images"], found["ranks"]
    rate = f": {found['images_per_s']:.3g} images/s" if images and found["images_per_s"] else ""
    return (
        f"{counted(images, 'image')} in {duration(found['seconds'])} by "
        f"{counted(len(ranks), 'process', 'processes')}{rate}; {counted(len(found['failed_images']), 'failure')}"
    )


def rows(found: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """Names and, in the order of COLUMNS, values: of some ranks each, of several the least, the mean and the most."""
    ranks = [[float(rank[name]) for name in COLUMNS] for rank in found["ranks"]]
    named = [(f"rank {number}", row) for number, row in enumerate(ranks)] if len(ranks) <= MOST_ROWS else []
    if len(ranks) > 1:
        columns = list(zip(*ranks))
        named += [
            ("least", [min(column) for column in columns]),
            ("mean", [sum(column) / len(column) for column in columns]),
            ("most", [max(column) for column in columns]),
        ]
    return named


def cells(row: Sequence[float]) -> list[str]:
    """The values of a row as they are shown."""
    *seconds, images, memory = row
    return [*(f"{x:.2f}" for x in seconds), f"{images:.0f}", f"{memory:.0f}"]


def described(found: dict[str, Any]) -> str:
    """A summary as a table."""
    lines = [headline(found), _line("Seconds:", list(COLUMNS.values()))]
    return "\n".join([*lines, *(_line(name, cells(row)) for name, row in rows(found))])


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


def _rank(report: Report) -> dict[str, float]:
    times = report.times
    seconds = (times.simulate, times.read_out, times.reduce, times.write, report.waiting, report.seconds)
    values = (*(round(x, 3) for x in seconds), report.images, round(report.memory / 1e6, 1))
    return dict(zip(COLUMNS, values))


def _line(name: str, texts: Sequence[str]) -> str:
    *seconds, images, memory = texts
    return f"{name:9}" + "".join(f"{x:>10}" for x in seconds) + f"{images:>9}{memory:>12}"
