"""Messages about failures: one line for users, a traceback for programmers."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from libtbx.utils import Sorry

T = TypeVar("T")


class Failed(Exception):
    """A failure whose text is ready to be printed."""


def described(error: BaseException) -> str:
    """Returns the message to print for an exception: one line for Sorry and MemoryError, else a traceback."""
    if isinstance(error, Sorry):
        return f"Sorry: {error}"
    if isinstance(error, MemoryError):
        return "Sorry: Out of memory: the job does not fit in this computer's memory"
    return "".join(traceback.format_exception(error))


def attempt(action: Callable[[], T]) -> tuple[T | None, str | None]:
    """Returns the action's result and None, or None and the message of the exception that it raised.

    Raises:
        BrokenPipeError: the reader of the output has closed it, which is no failure.
    """
    try:
        return action(), None
    except BrokenPipeError:
        raise
    except Exception as error:
        return None, described(error)
