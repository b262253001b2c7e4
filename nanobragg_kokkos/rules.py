"""What the value of a parameter has to be for itself: pairs of a predicate and of what is expected, in words."""

from __future__ import annotations

import math
from typing import Any, Callable

import libtbx

Rule = tuple[Callable[[Any], bool], str]


def finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def left_open(value: Any) -> bool:
    """Whether a parameter leaves its value to something else."""
    return value is None or value is libtbx.Auto


def given(expected: str) -> Rule:
    return lambda value: not left_open(value), expected


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


def or_preset(rule: Rule) -> Rule:
    makes_sense, expected = rule
    return lambda value: left_open(value) or makes_sense(value), f"None or {expected}"


def file_or_none() -> Rule:
    """Whether there is such a file is left to who reads it."""
    return lambda value: value is not libtbx.Auto, "None or the name of a file"


def one_or_three(rule: Rule) -> Rule:
    """Of a list of numbers."""
    makes_sense, expected = rule
    return (
        lambda values: isinstance(values, list) and len(values) in (1, 3) and all(map(makes_sense, values)),
        f"{expected}, one number or three",
    )
