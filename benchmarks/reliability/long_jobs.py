"""Long jobs: many images by several ranks, some of which are killed; and the memory of a job of many images."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dxtbx.model import Beam, DetectorFactory, Experiment, ExperimentList
from harness import COMMAND, Attack, Result, difference, digests, start, unreadable

N_IMAGES, N_RANKS, N_KILLS = 500, 8, 20

# Seconds for which a long job may go on.
MOST_S = 3600

# Of one job after its first images.
MOST_GROWTH_MB = 20


def _detector(directory: Path, pixels: int) -> Path:
    """Writes a file with a small detector; returns its path."""
    half = 30.0
    size = 2 * half / pixels
    detector = DetectorFactory.simple("PAD", 80, (half, half), "+x", "-y", (size, size), (pixels, pixels))
    path = directory / f"small_{pixels}.expt"
    ExperimentList([Experiment(detector=detector, beam=Beam((0, 0, 1), 1.3))]).as_file(str(path))
    return path


def _start_ranks(arguments: list[str], ranks: int) -> subprocess.Popen:
    # One thread per rank, so that ranks wait for a processor and not for each other.
    allow = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_NUM_THREADS": "1"}
    environment = {**os.environ, **allow, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        ["mpirun", "--oversubscribe", "-n", str(ranks), sys.executable, str(COMMAND), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _descendants(pid: int) -> Iterator[int]:
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, children.read_text().split()):
            yield child
            yield from _descendants(child)


def _kill(job: subprocess.Popen, which: str, chance: random.Random) -> None:
    """Kills one of the ranks, or all and their launcher."""
    workers = [pid for pid in _descendants(job.pid) if b"simulate.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for pid in [chance.choice(workers)] if which == "one" else [job.pid, *workers]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def killed_ranks(number: int, directory: Path) -> Result:
    """Kills one or all of several ranks at random times, again and again; the job ends as if undisturbed."""
    chance = random.Random(f"ranks {number}")
    out, whole = directory / "out", directory / "whole"
    options = [
        f"n_images={N_IMAGES}", f"detector.reference={_detector(directory, 300)}", "output.images_per_file=3",
        "crystal.mosaic_domains=50", "spectrum.nchannels=50", "engine=pixel", "output.reduce=sum+variance",
    ]  # fmt: skip
    begun, kills = time.monotonic(), {"one": 0, "all": 0}

    def finished() -> int:
        return len(list(out.glob("shot_[0-9]*.h5"))) if out.is_dir() else 0

    for lives_left in range(N_KILLS, 0, -1):
        job = _start_ranks([*options, f"output.directory={out}"], N_RANKS)
        # Leave some files for the other kills.
        enough = finished() + chance.randint(0, max(1, (N_IMAGES // 3 - finished()) // (lives_left + 1)))
        while job.poll() is None and not list(out.glob(".shot_*.part")):
            time.sleep(0.02)
        while job.poll() is None and finished() < enough:
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.2))
        if job.poll() is not None:
            break
        which = chance.choice(["one", "all"])
        kills[which] += 1
        _kill(job, which, chance)
        job.communicate(timeout=MOST_S)
        if bad := unreadable(out):
            return Result("stopped", f"unreadable: {', '.join(bad)}", "")
    job = _start_ranks([*options, f"output.directory={out}"], N_RANKS)
    said, _ = job.communicate(timeout=MOST_S)
    seconds = time.monotonic() - begun
    _start_ranks([*options, f"output.directory={whole}"], 2).communicate(timeout=MOST_S)
    problem = f"exit code {job.returncode}" if job.returncode else difference(digests(out), digests(whole))
    counts = f"{kills['one']} kills of one rank and {kills['all']} of all"
    return Result(f"complete after {seconds:.0f} s and {counts}", problem, said)


def memory(number: int, directory: Path) -> Result:
    """Simulates many images in one process; its memory does not grow with their number."""
    n_images, out = 10_000, directory / "out"
    job = start(
        [f"n_images={n_images}", f"detector.reference={_detector(directory, 60)}", "crystal.mosaic_domains=2",
         "spectrum.nchannels=2", "output.images_per_file=100", f"output.directory={out}"], directory,
    )  # fmt: skip
    sizes: dict[int, float] = {}
    while job.poll() is None:
        done = 100 * len(list(out.glob("shot_[0-9]*.h5")))
        with contextlib.suppress(OSError):
            status = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{job.pid}/status").read_text())
            if status and done and done % 1000 == 0 and done < n_images:
                sizes.setdefault(done, int(status.group(1)) / 1e3)
        time.sleep(0.02)
    first, last = min(sizes, default=0), max(sizes, default=0)
    if job.returncode or len(sizes) < 3:
        return Result("stopped", f"exit code {job.returncode}", (directory / "output.txt").read_text())
    growth = sizes[last] - sizes[first]
    problem = f"memory grew by {growth:.0f} MB" if growth > MOST_GROWTH_MB else ""
    ending = f"{sizes[first]:.0f} MB after {first} images, {sizes[last]:.0f} MB after {last}"
    return Result(ending, problem, (directory / "output.txt").read_text())


KILLED_RANKS = Attack(f"{N_IMAGES} images by {N_RANKS} ranks, up to {N_KILLS} times killed (SIGKILL)", 1, killed_ranks)
MEMORY = Attack("10 000 images of 60 × 60 pixels in one process", 1, memory)
