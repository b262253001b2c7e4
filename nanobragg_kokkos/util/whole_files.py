"""Files that are there as a whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libtbx.utils import Sorry


class CannotWrite(Sorry):
    """A file could not be written.

    Args:
        message: which one, and why.
        others_fare_alike: whether any other file in its place would fail, too: on a disk that is full, for example.
    """

    def __init__(self, message: str, others_fare_alike: bool = True) -> None:
        super().__init__(message)
        self.others_fare_alike = others_fare_alike


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[str]:
    """Give a temporary name beside `path` to write to; move it to `path` if the block succeeds.

    If the block raises, the temporary file is removed and whatever `path` held before stays as it was. A process that
    is killed leaves it behind; no other process, on whatever machine, has the same name for its own.

    Raises:
        CannotWrite: the directory does not exist, or the system refuses to write.
    """
    path = os.path.abspath(os.fspath(path))
    directory, name = os.path.split(path)
    if not os.path.isdir(directory):
        raise CannotWrite(f"Cannot write {path}: the directory {directory} does not exist.")
    if os.path.isdir(path):
        raise CannotWrite(f"Cannot write {path}: it is a directory.", others_fare_alike=False)
    temporary = os.path.join(directory, f".{name}.{uuid.uuid4().hex}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        alone = error.errno in (errno.EISDIR, errno.ENAMETOOLONG)
        raise CannotWrite(f"Cannot write {path}: {error.strerror or error}.", others_fare_alike=not alone) from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def left_behind(directory: Path, names: str) -> list[Path]:
    """The temporary files in a directory that were to become files of some names.

    Args:
        names: a regular expression for them.
    """
    pattern = re.compile(rf"\.(?:{names})\.[0-9a-f]{{32}}\.part")
    return [Path(entry.path) for entry in os.scandir(directory) if pattern.fullmatch(entry.name)]
