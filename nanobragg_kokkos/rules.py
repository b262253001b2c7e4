"""What values of parameters make sense: pairs of a function that says whether one does, and of what was expected."""

from __future__ import annotations

import math
from typing import Any, Callable

import libtbx

Rule = tuple[Callable[[Any], bool], str]


def left_open(value: Any) -> bool:
    """Whether a parameter leaves its value to others."""
    return value is None or value is libtbx.Auto


def finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


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


def or_preset(rule: Rule) -> Rule:
    makes_sense, expected = rule
    return lambda value: left_open(value) or makes_sense(value), f"None or {expected}"


def or_none(rule: Rule) -> Rule:
    makes_sense, expected = rule
    return lambda value: value is None or makes_sense(value), expected
