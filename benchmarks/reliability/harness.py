"""Runs the command in a process of its own, and judges how it ended and what it left."""

from __future__ import annotations

import contextlib
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import hdf5plugin  # noqa: F401  (registers the compression of the images)

from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.util.command import end_on_signals

COMMAND = Path(__file__).parents[2] / "command_line" / "simulate.py"

# A case that takes longer hangs: most take a second.
TIME_LIMIT_S = 120

# Address space of a job, bytes: a job that asks for more has believed a size in a file.
MOST_MEMORY = 6 * 2**30

# A job of a second: four images in four files.
QUICK = ("n_images=4", "crystal.mosaic_domains=2", "spectrum.nchannels=2")

# A file whose name appears when contents of a damaged file are executed.
EXECUTED = "executed"


@dataclass(frozen=True)
class Result:
    """The result of a case.

    Args:
        ending: how the job ended, in a few words, to be counted.
        problem: what the command did wrong; empty: it held.
        said: its output.
    """

    ending: str
    problem: str
    said: str


@dataclass(frozen=True)
class Attack:
    """A kind of cases.

    Args:
        title: the kind, for the table.
        n_cases: number of cases in a complete run.
        case: runs the case of a number in an empty folder.
    """

    title: str
    n_cases: int
    case: Callable[[int, Path], Result]


@dataclass(frozen=True)
class Ended:
    """The end of a process: its exit code, negative if a signal ended it, and its output."""

    code: int
    said: str

    @property
    def problem(self) -> str:
        """What is wrong with the end as such, whatever the job was: not done, and no single message either."""
        lines = self.said.strip().splitlines()
        if self.code == -signal.SIGALRM:
            return f"it took longer than {TIME_LIMIT_S} s"
        if self.code < 0:
            return f"signal {-self.code} ended it"
        if "Traceback" in self.said:
            return f"a traceback: {lines[-1]}"
        if self.code == 1 and sum(line.startswith("Sorry: ") for line in lines) != 1:
            return "exit code 1 without exactly one message"
        if self.code == 1 and not lines[-1].startswith("Sorry: "):
            return f"its message is not the last line, or longer than a line: {lines[-1]}"
        return "" if self.code in (0, 1) else f"exit code {self.code}"

    @property
    def word(self) -> str:
        """The end in a word."""
        return {0: "done", 1: "refused"}.get(self.code, f"exit code {self.code}")


def run(arguments: Sequence[str], directory: Path, before: Callable[[], None] = lambda: None) -> Ended:
    """Runs the command in a copy of this process, which saves the time to import everything.

    Args:
        arguments: its arguments.
        directory: the directory where it runs; its output goes to a file there.
        before: called in the copy first.
    """
    output = directory / "output.txt"
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.chdir(directory)
            os.environ["OMP_NUM_THREADS"] = "1"
            descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 1)
            os.dup2(descriptor, 2)
            resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(TIME_LIMIT_S)
            before()
            end_on_signals()
            code = main(list(arguments))
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return Ended(code, output.read_text(errors="replace"))


def start(arguments: Sequence[str], directory: Path, name: str = "output.txt") -> subprocess.Popen:
    """Starts the command as its users do; its output goes to a file in the directory where it runs."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with open(directory / name, "w") as output:
        command = [sys.executable, str(COMMAND), *arguments]
        return subprocess.Popen(command, cwd=directory, env=environment, stdout=output, stderr=subprocess.STDOUT)


def finish(process: subprocess.Popen, directory: Path, name: str = "output.txt") -> Ended:
    """Waits for a process that start has started."""
    try:
        code = process.wait(TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = -signal.SIGALRM
    return Ended(code, (directory / name).read_text(errors="replace"))


def left_by(out: Path, ended: Ended) -> str:
    """Returns what is wrong with the files that a job in a new directory left, or an empty text."""
    names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if temporary := [name for name in names if name.endswith(".part")]:
        return f"half-written files: {', '.join(temporary)}"
    if ended.code == 1 and names:
        return f"refused, but it wrote {', '.join(names)}"
    if (out.parent / EXECUTED).exists():
        return "it executed the contents of a file"
    if bad := unreadable(out):
        return f"unreadable: {', '.join(bad)}"
    if ended.code == 0 and not any(name.endswith(("_master.h5", "_reduced.h5")) for name in names):
        return "done, but there is no master file"
    return ""


def unreadable(out: Path) -> list[str]:
    """Returns the names of the HDF5 files of a job that cannot be read to the end."""
    bad = []
    for path in sorted(out.glob("*.h5")):
        try:
            with h5py.File(path) as file:
                file.visititems(lambda name, item: item[()] if isinstance(item, h5py.Dataset) else None)
                if (name := "entry/data/data") in file:
                    file[name][()]
        except (OSError, KeyError):
            bad.append(path.name)
    return bad


def digests(out: Path) -> dict[str, str]:
    """Returns the SHA-256 of the files of a job by name, but for those with times or the job's directory in them."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.iterdir())
        if path.is_file() and path.suffix not in (".phil", ".json", ".jsonl")
    }


def difference(found: dict[str, str], expected: dict[str, str]) -> str:
    """Returns which files of a job are not as they should be, or an empty text."""
    names = [name for name in {**expected, **found} if found.get(name) != expected.get(name)]
    return f"not the files of an undisturbed job: {', '.join(sorted(names))}" if names else ""


def wait_until(condition: Callable[[], bool], limit_s: float) -> None:
    """Returns when a condition holds, or after a time."""
    end = time.monotonic() + limit_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
