"""Checks of arguments that several models share; each error names the argument and what was expected."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np


def finite(name: str, value: Any, *, above: float = -math.inf, least: float = -math.inf) -> float:
    """Returns the value as a float.

    Args:
        above, least: the value must be larger than `above` and at least `least`.

    Raises:
        ValueError: it is not a number, not finite, or too small.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > above and number >= least):
        limit = f" and larger than {above:g}" if above > -math.inf else ""
        limit += f", {least:g} or more" if least > -math.inf else ""
        raise ValueError(f"{name} must be a finite number{limit}, not {value!r}")
    return number


def whole(name: str, value: Any, least: int = 1) -> int:
    """Returns the value as an int.

    Raises:
        ValueError: it is not a whole number, or smaller than least.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name} must be a whole number, {least} or more, not {value!r}")
    return number


def vector(name: str, value: Any) -> tuple[float, float, float]:
    """Returns the value as three floats.

    Raises:
        ValueError: it is not three finite numbers.
    """
    try:
        array = np.array(value, float)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.shape != (3,) or not np.isfinite(array).all():
        raise ValueError(f"{name} must be three finite numbers, not {value!r}")
    return tuple(array.tolist())
