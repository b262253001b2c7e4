"""Files that cannot be read: one message, whatever the library that reads them stumbles over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from libtbx.utils import Sorry


@contextmanager
def naming_damage(name: str, expected: str) -> Iterator[None]:
    """What goes wrong in the block is told of a file.

    Args:
        name: the parameter and the file.
        expected: the kind of file.

    Raises:
        Sorry: anything went wrong.
    """
    try:
        yield
    # iotbx raises many kinds of exceptions, AssertionError among them.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise Sorry(f"{name}: expected {expected}, but reading it failed ({reason})") from error
