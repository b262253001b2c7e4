"""Reads files that other programs wrote: every error of a library becomes the same kind of message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from libtbx.utils import Sorry

# The texts of these state what is wrong; those of others need the name of the type.
_SPEAKING = (Sorry, ValueError, RuntimeError, OSError)


@contextmanager
def reading(name: str, expected: str, path: str | os.PathLike | None = None) -> Iterator[None]:
    """Turns any exception of the block into one message about the file that it reads.

    Args:
        name: the file as the user knows it: its name, or PARAMETER=NAME.
        expected: the expected kind of file, in words.
        path: the file, which must exist; None: the block checks this.

    Raises:
        Sorry: there is no such file, or the block raised an exception.
    """
    if path is not None and not os.path.isfile(path):
        raise Sorry(f"{name}: there is no such file")
    try:
        yield
    # cctbx, dxtbx, HDF5, JSON and pickle raise many types of exceptions, AssertionError among them.
    except Exception as error:
        raise Sorry(f"{name}: expected {expected}, but reading it failed ({reason(error)})") from error


def reason(error: Exception) -> str:
    """Returns the text of an exception as one line of printable characters."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    if not text:
        return type(error).__name__
    return text if isinstance(error, _SPEAKING) else f"{type(error).__name__}: {text}"
