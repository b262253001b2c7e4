"""What a value of a parameter has to be for itself: pairs of a function that says so, and what was expected, in words."""

from __future__ import annotations

import math
from typing import Any, Callable, Tuple

import libtbx

Rule = Tuple[Callable[[Any], bool], str]


def finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def given(expected: str) -> Rule:
    return lambda value: value is not None and value is not libtbx.Auto, expected


def whole(least: int) -> Rule:
    expected = f"a whole number, {least} or more (less than 2**31)"
    return lambda value: isinstance(value, int) and least <= value < 2**31, expected


def above_0(unit: str) -> Rule:
    return lambda value: finite(value) and value > 0, f"more than 0 {unit}"


def from_0(unit: str) -> Rule:
    return lambda value: finite(value) and value >= 0, f"0 {unit} or more"


def between(least: float, most: float, unit: str) -> Rule:
    return lambda value: finite(value) and least <= value <= most, f"{least:g} to {most:g}{unit}"


def or_none(rule: Rule) -> Rule:
    makes_sense, expected = rule
    return lambda value: value is None or makes_sense(value), expected
