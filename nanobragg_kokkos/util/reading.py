"""Reading files that other programs wrote: one message, whatever the library that reads them raises."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from libtbx.utils import Sorry

# These say in words what is wrong; of others, the name of the type is half of the message.
_SPEAKING = (Sorry, ValueError, RuntimeError, OSError)


@contextmanager
def reading(name: str, expected: str, path: str | os.PathLike | None = None) -> Iterator[None]:
    """Turns whatever the block raises into one message about the file that it reads.

    Args:
        name: the file as the user knows it: its name, or PARAMETER=NAME.
        expected: the kind of file, in words.
        path: the file, which must exist; None: the block finds that out.

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
    """Returns what an exception says, in one line of printable characters."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    text = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    if not text:
        return type(error).__name__
    return text if isinstance(error, _SPEAKING) else f"{type(error).__name__}: {text}"
