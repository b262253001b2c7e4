"""Writes files that appear complete or not at all, also after a loss of power."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from libtbx.utils import Sorry

# Characters that the name of a temporary file has more than that of the file which it becomes.
LONGER = len(".") + len(".") + 32 + len(".part")

# Bytes read at a time.
BLOCK = 2**20


class CannotWrite(Sorry):
    """A file could not be written.

    Args:
        message: the file and the reason.
        others_fare_alike: whether any other file there would fail, too, for example because the disk is full.
    """

    def __init__(self, message: str, others_fare_alike: bool = True) -> None:
        super().__init__(message)
        self.others_fare_alike = others_fare_alike


@dataclass(frozen=True)
class Checksum:
    """The SHA-256 of a file's contents, and their length in bytes."""

    sha256: str
    n_bytes: int


def checksum(path: str | os.PathLike) -> Checksum:
    """Returns the checksum of a file; one core of a current server takes a second for 1 to 2 GB.

    Raises:
        OSError: the file cannot be read.
    """
    digest, n_bytes = hashlib.sha256(), 0
    with open(path, "rb", buffering=0) as file:
        while part := file.read(BLOCK):
            digest.update(part)
            n_bytes += len(part)
    return Checksum(digest.hexdigest(), n_bytes)


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[str]:
    """Yields a temporary name beside `path` to write to; moves the file to `path` if the block succeeds.

    The contents are on the disk before the file gets its name, and the name is on the disk at the end. If the block
    raises, this removes the temporary file, and `path` keeps its earlier contents. A killed process leaves the
    temporary file behind; no other process on any machine uses the same name.

    Raises:
        CannotWrite: the directory does not exist, `path` is a directory or a device, or the system refuses to write.
    """
    path = os.path.abspath(os.fspath(path))
    directory, name = os.path.split(path)
    if not os.path.isdir(directory):
        raise CannotWrite(f"Cannot write {path}: the directory {directory} does not exist.")
    if kind := other_kind(path):
        raise CannotWrite(f"Cannot write {path}: it is {kind}.", others_fare_alike=False)
    temporary = os.path.join(directory, f".{name}.{uuid.uuid4().hex}.part")
    try:
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
        sync_directory(directory)
    except OSError as error:
        alone = error.errno in (errno.EISDIR, errno.ENAMETOOLONG)
        raise CannotWrite(f"Cannot write {path}: {error.strerror or error}.", others_fare_alike=not alone) from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def other_kind(path: str | os.PathLike) -> str | None:
    """Returns the kind of a path in words if it exists and is not a regular file; else None."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return "a symbolic link to nothing" if os.path.islink(path) else None
    if stat.S_ISREG(mode):
        return None
    return "a directory" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"


def sync_directory(directory: str | os.PathLike) -> None:
    """Flushes the names of a directory's files to the disk, if the file system can do so."""
    try:
        _sync(directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EACCES, errno.EPERM, errno.EBADF):
            raise


def left_behind(directory: Path, names: str) -> list[Path]:
    """Returns the temporary files in a directory that were to become certain files.

    Args:
        names: a regular expression for the names of these files.
    """
    pattern = re.compile(rf"\.(?:{names})\.[0-9a-f]{{32}}\.part")
    return [Path(entry.path) for entry in os.scandir(directory) if pattern.fullmatch(entry.name)]


def _sync(path: str | os.PathLike) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
