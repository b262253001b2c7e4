"""The summary of a job: its speed, the times of each step, and failures."""

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

# Above this number of ranks, only the least, the mean and the most are shown.
MOST_ROWS = 16

MOST_FAILURES = 20

# Columns of the table of ranks: the name in the file, and the heading.
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
class RankSummary:
    """The work of one rank.

    Args:
        images: number of images that it made.
        seconds: time from the start of the first image until the rank found no more work.
        waiting: seconds without work.
        times: seconds by step.
        overloads: number of overloaded pixels of each image that has any.
        memory: peak memory of the process, bytes.
    """

    images: int
    seconds: float
    waiting: float
    times: Times
    overloads: Sequence[int]
    memory: int


def peak_memory() -> int:
    """Returns the peak main memory of this process in bytes."""
    with suppress(OSError), open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    # Elsewhere than on Linux, where this may be that of the process which started this one.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def summary(shares: Sequence[RankSummary], failed: Sequence[int]) -> dict[str, Any]:
    """Returns the contents of a job's summary file.

    Args:
        shares: the work of the ranks, in their order.
        failed: images, counted from 0.

    Returns:
        images (number that this run made), failed_images (counted from 1), seconds (of the slowest rank), images_per_s,
        and for each of the ranks the values of COLUMNS; MB are 10⁶ bytes.
    """
    seconds = max(share.seconds for share in shares)
    images = sum(share.images for share in shares)
    return {
        "images": images,
        "failed_images": [image + 1 for image in failed],
        "seconds": round(seconds, 3),
        "images_per_s": float(f"{images / seconds:.4g}") if seconds > 0 else 0.0,
        "ranks": [_rank(share) for share in shares],
    }


def save(path: Path, found: dict[str, Any]) -> None:
    """Writes a summary as JSON.

    Raises:
        CannotWrite: the file cannot be written.
    """
    with whole_file(path) as temporary:
        Path(temporary).write_text(json.dumps(found, indent=1) + "\n")


def headline(found: dict[str, Any]) -> str:
    """Returns a summary in one line."""
    images, ranks = found["images"], found["ranks"]
    rate = f": {found['images_per_s']:.3g} images/s" if images and found["images_per_s"] else ""
    return (
        f"{counted(images, 'image')} in {duration(found['seconds'])} by "
        f"{counted(len(ranks), 'process', 'processes')}{rate}; {counted(len(found['failed_images']), 'failure')}"
    )


def rows(found: dict[str, Any]) -> list[tuple[str, list[float]]]:
    """Returns rows of a name and values (in the order of COLUMNS): each rank, if there are few; least, mean, most."""
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
    """Returns the values of a row as text."""
    *seconds, images, memory = row
    return [*(f"{x:.2f}" for x in seconds), f"{images:.0f}", f"{memory:.0f}"]


def described(found: dict[str, Any]) -> str:
    """Returns a summary as a table of text."""
    lines = [headline(found), _line("Seconds:", list(COLUMNS.values()))]
    return "\n".join([*lines, *(_line(name, cells(row)) for name, row in rows(found))])


def overloads(saturation: int, shares: Sequence[RankSummary]) -> str:
    """Returns a line about overloaded pixels; an empty one if there are none."""
    pixels = [n for share in shares for n in share.overloads]
    if not pixels:
        return ""
    n_images = sum(share.images for share in shares)
    return (
        f"Overloads: {counted(sum(pixels), 'pixel')} in {len(pixels)} of {counted(n_images, 'image')} would "
        f"count more than {saturation}; they read {saturation + 1}"
    )


def failure_line(failure: Failure) -> str:
    """Returns a line with the images, counted from 1, and the cause."""
    numbers = [image + 1 for image in failure.images]
    which = f"Image {numbers[0]}" if len(numbers) == 1 else f"Images {numbers[0]} to {numbers[-1]}"
    return f"{which} failed: {failure.cause}"


def _rank(rank: RankSummary) -> dict[str, float]:
    times = rank.times
    seconds = (times.simulate, times.read_out, times.reduce, times.write, rank.waiting, rank.seconds)
    values = (*(round(x, 3) for x in seconds), rank.images, round(rank.memory / 1e6, 1))
    return dict(zip(COLUMNS, values))


def _line(name: str, texts: Sequence[str]) -> str:
    *seconds, images, memory = texts
    return f"{name:9}" + "".join(f"{x:>10}" for x in seconds) + f"{images:>9}{memory:>12}"
