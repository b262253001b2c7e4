"""Why something failed, as it is printed: one line for users, a traceback for programmers."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TypeVar

from libtbx.utils import Sorry

T = TypeVar("T")


class Failed(Exception):
    """Something failed, and its message is ready to be printed."""


def described(error: BaseException) -> str:
    """Returns the message to print for an exception: of Sorry its text, of others than MemoryError a traceback."""
    if isinstance(error, Sorry):
        return f"Sorry: {error}"
    if isinstance(error, MemoryError):
        return "Sorry: Out of memory: the job does not fit in this computer's memory"
    return "".join(traceback.format_exception(error))


def attempt(action: Callable[[], T]) -> tuple[T | None, str | None]:
    """Returns what the action returns, and None; or None, and the message of the exception that it raised.

    Raises:
        BrokenPipeError: whoever reads the output has gone; that is no failure.
    """
    try:
        return action(), None
    except BrokenPipeError:
        raise
    except Exception as error:
        return None, described(error)
