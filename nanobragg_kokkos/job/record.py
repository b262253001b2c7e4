"""The record of a job, PREFIX_record.jsonl: its parameters, the files that it read, and those that it has written.

Each line of the file is a JSON array of a checksum and an entry. The first entry is the job: all parameters that
determine the images, with exact numbers, and the SHA-256 of every file behind them. Later entries follow as the job
proceeds: the names that it claims for its files, before it writes the first one; the checksum of each complete file;
and at last that all files exist. A line that is cut off or damaged counts as missing, and a record without its first
entry as no record.

The file is created once and neither replaced nor removed, because it is also the lock of the prefix (flock: the system
releases it when the process ends for any reason). A job takes the lock before it looks at existing files, and holds it
until its end.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.job.inputs import Input
from nanobragg_kokkos.util.whole_files import CannotWrite, Checksum, other_kind, sync_directory

# Parameters that change neither the pixels of an image nor its place; NOT_FREE are exceptions.
FREE = ("n_images", "output.")
NOT_FREE = ("output.images_per_file",)

# Processes that are killed take a moment to end.
PATIENCE_S = 10

# Seconds after which new checksums are on the disk at the latest.
SYNC_EVERY_S = 1.0


@dataclass(frozen=True)
class Job:
    """All input that determines the images of a job.

    Args:
        parameters: exact values by name; a parameter may have several.
        inputs: for each parameter, the files that it names and those that these refer to.
    """

    parameters: dict[str, list[str]]
    inputs: dict[str, list[Input]]

    @staticmethod
    def of(working: libtbx.phil.scope, inputs: dict[str, list[Input]]) -> Job:
        """Returns the job of some effective parameters and the files behind them."""
        parameters: dict[str, list[str]] = {}
        for locator in working.all_definitions():
            if not locator.path.startswith(FREE) or locator.path in NOT_FREE:
                parameters.setdefault(locator.path, []).append(_exact(locator.object.extract()))
        return Job(parameters, inputs)

    def differences(self, earlier: Job) -> list[str]:
        """Returns the parameters that differ from those of an earlier job, each as 'name (then, now)'."""
        found = []
        for name in {**self.parameters, **earlier.parameters}:
            then, now = earlier.parameters.get(name, []), self.parameters.get(name, [])
            files_then, files_now = earlier.inputs.get(name, []), self.inputs.get(name, [])
            # The same file under another name is the same.
            if files_then and files_now:
                if _contents(files_then) != _contents(files_now):
                    found.append(f"{name} ({_changed(files_then, files_now)})")
            elif then != now:
                found.append(f"{name} ({', '.join(then) or 'unknown'}, now {', '.join(now) or 'unknown'})")
        return found

    @property
    def identifier(self) -> str:
        """The SHA-256 of all input."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


class Record:
    """The record of a job, as far as it is on the disk.

    Args:
        path: path of the file, which need not exist.

    Attributes:
        job: the job that owns the files of the prefix; None: it has no readable record.
        n_data: number of data files that the job has claimed, the first ones.
        n_ranks: number of ranks whose files it has claimed.
        names: names of other claimed files: beside the record, or absolute paths.
        files: checksums of the complete files, by name.
        summary: summary of the last run that made an image; None: there is none.
        concluded: the requested files of the job that has written all of them; None: none has.
    """

    job: Job | None
    summary: dict[str, Any] | None
    concluded: dict[str, Any] | None

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._synced_at = 0.0
        self.load()

    def __enter__(self) -> Record:
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    @property
    def locked(self) -> bool:
        """Whether this process holds the lock."""
        return self._descriptor is not None

    def load(self) -> None:
        """Reads the record from the disk."""
        self._forget()
        if other_kind(self.path):
            return
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return
        for number, line in enumerate(lines):
            entry = _entry(line)
            if number == 0 and (entry is None or not self._begins(entry)):
                return
            if number > 0 and entry is not None:
                self._take(entry)

    def lock(self, create: bool) -> None:
        """Takes the lock and reads the record; does nothing if there is none and `create` is False.

        Raises:
            Sorry: another job holds the lock.
            OSError: the file cannot be made or opened.
        """
        if self.locked or (not create and not self.path.exists()):
            return
        if kind := other_kind(self.path):
            raise Sorry(f"Cannot write {self.path}: it is {kind}")
        end = time.monotonic() + PATIENCE_S
        while True:
            descriptor = self._opened(create)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                os.close(descriptor)
                if time.monotonic() > end:
                    raise Sorry(
                        f"output.prefix={self._prefix}: expected another one, because another job is writing files "
                        f"of this prefix in {self.path.parent}"
                    ) from error
                time.sleep(0.1)
                continue
            except OSError:  # this file system has no locks
                pass
            # Somebody may have removed it by hand meanwhile.
            if self._is_current(descriptor):
                self._descriptor = descriptor
                break
            os.close(descriptor)
        self.load()

    def begin(self, job: Job) -> None:
        """Starts the record of another job, which has no files yet."""
        os.ftruncate(self._held, 0)
        self._forget()
        self.job = job
        self._append({"job": asdict(job)}, sync=True)
        sync_directory(self.path.parent)

    def claim(self, n_data: int, n_ranks: int, names: list[str]) -> None:
        """Records the names of files that the job will write, in addition to those claimed before."""
        claim = {
            "n_data": max(n_data, self.n_data),
            "n_ranks": max(n_ranks, self.n_ranks),
            "names": sorted({*names, *self.names}),
        }
        self._take({"claim": claim})
        self._append({"claim": claim}, sync=True)

    def add(self, name: str, found: Checksum) -> None:
        """Records that a file is complete."""
        self.files[name] = found
        entry = {"file": name, "sha256": found.sha256, "bytes": found.n_bytes}
        self._append(entry, sync=time.monotonic() - self._synced_at > SYNC_EVERY_S)

    def summarize(self, summary: dict[str, Any]) -> None:
        """Records the summary of a run, so that it can be written again."""
        self.summary = summary
        self._append({"summary": summary}, sync=False)

    def conclude(self, asked: dict[str, Any]) -> None:
        """Records that all requested files of the job exist."""
        self.concluded = asked
        self._append({"concluded": asked}, sync=True)

    @property
    def _held(self) -> int:
        """The descriptor of the file while the lock is held."""
        assert self._descriptor is not None
        return self._descriptor

    @property
    def _prefix(self) -> str:
        return self.path.name.removesuffix("_record.jsonl")

    def _forget(self) -> None:
        self.job = None
        self.n_data = self.n_ranks = 0
        self.names: set[str] = set()
        self.files: dict[str, Checksum] = {}
        self.summary = None
        self.concluded = None

    def _begins(self, entry: dict[str, Any]) -> bool:
        try:
            job = entry["job"]
            inputs = {name: [Input(**file) for file in files] for name, files in job["inputs"].items()}
            self.job = Job(job["parameters"], inputs)
        except (KeyError, TypeError, AttributeError):
            return False
        return True

    def _take(self, entry: dict[str, Any]) -> None:
        if "claim" in entry:
            claim = entry["claim"]
            self.n_data, self.n_ranks, self.names = claim["n_data"], claim["n_ranks"], set(claim["names"])
            self.concluded = None
        elif "file" in entry:
            self.files[entry["file"]] = Checksum(entry["sha256"], entry["bytes"])
        elif "summary" in entry:
            self.summary = entry["summary"]
        elif "concluded" in entry:
            self.concluded = entry["concluded"]

    def _append(self, entry: dict[str, Any], sync: bool) -> None:
        content = _json(entry)
        line = f"[{_json(_checksum(content))},{content}]\n".encode()
        size = os.fstat(self._held).st_size
        # What a job left that was killed amid a line.
        if size and os.pread(self._held, 1, size - 1) != b"\n":
            line = b"\n" + line
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._held, line[written:], size + written)
            if sync:
                os.fsync(self._held)
                self._synced_at = time.monotonic()
        except OSError as error:
            os.ftruncate(self._held, size)
            raise CannotWrite(f"Cannot write {self.path}: {error.strerror}.") from error

    def _opened(self, create: bool) -> int:
        try:
            return os.open(self.path, os.O_RDWR | os.O_NONBLOCK | (os.O_CREAT if create else 0), 0o666)
        except OSError:
            # A complete job that belongs to somebody else.
            return os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)

    def _is_current(self, descriptor: int) -> bool:
        ours = os.fstat(descriptor)
        try:
            found = os.stat(self.path)
        except FileNotFoundError:
            return False
        return stat.S_ISREG(ours.st_mode) and (ours.st_dev, ours.st_ino) == (found.st_dev, found.st_ino)


def _entry(line: bytes) -> dict[str, Any] | None:
    """Returns the entry of a line; None: it is damaged."""
    try:
        check, entry = json.loads(line)
    except (ValueError, TypeError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and check == _checksum(_json(entry)) else None


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _checksum(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def _exact(value: Any) -> str:
    """Returns a value as text with all of its digits."""
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, (list, tuple)):
        return " ".join(map(_exact, value))
    if hasattr(value, "parameters"):  # a unit cell
        return " ".join(map(_exact, value.parameters()))
    return str(value)


def _contents(files: list[Input]) -> list[tuple[str, str]]:
    return sorted((file.label, file.sha256) for file in files)


def _changed(then: list[Input], now: list[Input]) -> str:
    """Returns in words which of the files behind a parameter differ."""
    before, after = ({file.label: file for file in files} for files in (then, now))
    if before.keys() == after.keys():
        changed = [label for label in before if before[label].sha256 != after[label].sha256]
        return (
            "its contents" if changed == [""] else f"contents of {', '.join(label or 'the file' for label in changed)}"
        )
    gone, new = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    return f"{', '.join(gone) or 'nothing'}, now {', '.join(new) or 'nothing'}"
