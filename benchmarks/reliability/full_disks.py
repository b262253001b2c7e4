"""Attacks with a file system that becomes full during a job, and has room again later."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from harness import Attack, Result, difference, digests, run, unreadable
from inputs import FORMATS, arguments, copy_inputs

JOB = ("n_images=12", "output.reduce=sum+variance")


def case(number: int, directory: Path) -> Result:
    """Fills a file system of a random size with a job: one message, whole files; with room, the job ends well."""
    chance = random.Random(f"disks {number}")
    copy_inputs(directory)
    out, whole = directory / "out", directory / "whole"
    out.mkdir()
    job = [*arguments(FORMATS[0], directory), *JOB, f"output.images_per_file={chance.choice((1, 2, 5))}"]
    run([*job, f"output.directory={whole}"], directory)
    expected = digests(whole)
    used = sum(-(-path.stat().st_size // 4096) * 4096 for path in whole.iterdir())
    size = chance.randint(4096, used)
    mounted = _mount(out, size)
    try:
        ended = run([*job, f"output.directory={out}"], directory, (lambda: None) if mounted else _limit(size // 8))
        problem = ended.problem
        if not problem and ended.code == 1 and "Cannot write" not in ended.said:
            problem = "the message does not say that a file cannot be written"
        if not problem and (bad := unreadable(out)):
            problem = f"unreadable: {', '.join(bad)}"
        if not problem and list(out.glob(".*.part")):
            problem = "half-written files"
        if not problem:
            if mounted:
                subprocess.run(["mount", "-o", "remount,size=100m", str(out)], check=True)
            again = run([*job, f"output.directory={out}"], directory)
            problem = again.problem or ("" if again.code == 0 else "with room, it is refused")
            problem = problem or difference(digests(out), expected)
    finally:
        if mounted:
            subprocess.run(["umount", str(out)], check=True)
    return Result({1: "stopped with a message", 0: "had room"}.get(ended.code, ended.word), problem, ended.said)


def _mount(out: Path, size: int) -> bool:
    """Mounts a file system of this many bytes; returns whether this is allowed."""
    return not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(out)], capture_output=True
    ).returncode


def _limit(size: int) -> Callable[[], None]:
    """Returns a function that lets files of a process grow only to some bytes."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


ATTACK = Attack("full disks, then the same job with more room", 20, case)
