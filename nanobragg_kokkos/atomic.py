"""Files that are there as a whole or not at all."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import Iterator

from libtbx.utils import Sorry


@contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[str]:
    """Give a temporary name beside `path` to write to; move it to `path` if the block succeeds.

    If the block raises, the temporary file is removed and whatever `path` held before stays as it was.

    Raises:
        Sorry: the directory does not exist, or the system refuses to write.
    """
    path = os.path.abspath(os.fspath(path))
    directory, name = os.path.split(path)
    if not os.path.isdir(directory):
        raise Sorry(f"Cannot write {path}: the directory {directory} does not exist.")
    if os.path.isdir(path):
        raise Sorry(f"Cannot write {path}: it is a directory.")
    temporary = os.path.join(directory, f".{name}.{os.getpid()}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise Sorry(f"Cannot write {path}: {error.strerror or error}.") from error
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
