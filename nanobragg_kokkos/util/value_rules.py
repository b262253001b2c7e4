"""Rules for the values of single parameters: pairs of a test and the expected value in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import libtbx
import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.util.phil import value_of

Rule = tuple[Callable[[Any], bool], str]


def check(params: libtbx.phil.scope_extract, rules: Mapping[str, Rule]) -> None:
    """Checks parameters one by one.

    Args:
        rules: rules by the full names of parameters.

    Raises:
        Sorry: a value breaks its rule; names the parameter and what was expected.
    """
    for name, (makes_sense, expected) in rules.items():
        value = value_of(params, name)
        if not makes_sense(value):
            shown = " ".join(map(str, value)) if isinstance(value, list) else value
            shown = str(shown).encode("utf-8", "backslashreplace").decode()
            shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown)
            raise Sorry(f"{name}={shown}: expected {expected}")


def finite(value: Any) -> bool:
    """Returns whether a value is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def left_open(value: Any) -> bool:
    """Returns whether a value is None or Auto, which leave the choice to other code."""
    return value is None or value is libtbx.Auto


def given(expected: str) -> Rule:
    """Returns the rule: anything but None and Auto."""
    return lambda value: not left_open(value), expected


def whole(least: int) -> Rule:
    """Returns the rule: a whole number, `least` or more."""
    expected = f"a whole number, {least} or more (less than 2**31)"
    return lambda value: isinstance(value, int) and least <= value < 2**31, expected


def above_0(unit: str) -> Rule:
    """Returns the rule: a positive finite number."""
    return lambda value: finite(value) and value > 0, f"more than 0 {unit}"


def from_0(unit: str) -> Rule:
    """Returns the rule: a finite number that is not negative."""
    return lambda value: finite(value) and value >= 0, f"0 {unit} or more"


def positive(unit: str, least: float, most: float) -> Rule:
    """Returns the rule: a number from `least`, which is above 0, to `most`."""
    return lambda value: finite(value) and least <= value <= most, f"more than 0 {unit}, {least:g} to {most:g}"


def up_to(unit: str, most: float) -> Rule:
    """Returns the rule: a number from 0 to `most`."""
    return lambda value: finite(value) and 0 <= value <= most, f"0 {unit} or more, up to {most:g}"


def between(least: float, most: float, unit: str) -> Rule:
    """Returns the rule: a number from `least` to `most`; the unit is appended as it stands."""
    return lambda value: finite(value) and least <= value <= most, f"{least:g} to {most:g}{unit}"


def or_none(rule: Rule) -> Rule:
    """Returns the rule: None, or a value that obeys another rule."""
    makes_sense, expected = rule
    return lambda value: value is None or makes_sense(value), expected


def or_preset(rule: Rule) -> Rule:
    """Returns the rule: None or Auto, which leave the value to a preset, or a value that obeys another rule."""
    makes_sense, expected = rule
    return lambda value: left_open(value) or makes_sense(value), expected


def file_or_none() -> Rule:
    """Returns the rule: None or a name; the code that reads the file checks whether it exists."""
    return lambda value: value is not libtbx.Auto, "the name of a file"


def not_auto(expected: str) -> Rule:
    """Returns the rule: anything but Auto."""
    return lambda value: value is not libtbx.Auto, expected


def one_or_three(rule: Rule) -> Rule:
    """Returns the rule: a list of one number or three, each of which obeys another rule."""
    makes_sense, expected = rule
    return (
        lambda values: isinstance(values, list) and len(values) in (1, 3) and all(map(makes_sense, values)),
        f"{expected}, one number or three",
    )
