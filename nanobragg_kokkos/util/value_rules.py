"""What single parameters have to be: pairs of whether a value makes sense and what was expected, in words, for RULES."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import libtbx

Rule = tuple[Callable[[Any], bool], str]


def finite(value: Any) -> bool:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def left_open(value: Any) -> bool:
    """Whether a parameter leaves its value to something else."""
    return value is None or value is libtbx.Auto


def given(expected: str) -> Rule:
    """Anything but None and Auto."""
    return lambda value: not left_open(value), expected


def whole(least: int) -> Rule:
    """A whole number from a least one."""
    expected = f"a whole number, {least} or more (less than 2**31)"
    return lambda value: isinstance(value, int) and least <= value < 2**31, expected


def above_0(unit: str) -> Rule:
    """A positive number."""
    return lambda value: finite(value) and value > 0, f"more than 0 {unit}"


def from_0(unit: str) -> Rule:
    """A number that is not negative."""
    return lambda value: finite(value) and value >= 0, f"0 {unit} or more"


def between(least: float, most: float, unit: str) -> Rule:
    """A number of a range; the unit follows it as it is."""
    return lambda value: finite(value) and least <= value <= most, f"{least:g} to {most:g}{unit}"


def or_none(rule: Rule) -> Rule:
    """None, or what a rule asks for."""
    makes_sense, expected = rule
    return lambda value: value is None or makes_sense(value), expected


def or_preset(rule: Rule) -> Rule:
    """Left to a preset, or what a rule asks for."""
    makes_sense, expected = rule
    return lambda value: left_open(value) or makes_sense(value), f"None or {expected}"


def file_or_none() -> Rule:
    """Whether there is such a file is left to who reads it."""
    return lambda value: value is not libtbx.Auto, "None or the name of a file"


def one_or_three(rule: Rule) -> Rule:
    """A list of one number or three, each of which is what a rule asks for."""
    makes_sense, expected = rule
    return (
        lambda values: isinstance(values, list) and len(values) in (1, 3) and all(map(makes_sense, values)),
        f"{expected}, one number or three",
    )
