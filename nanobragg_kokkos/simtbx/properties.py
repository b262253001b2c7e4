"""Properties of the class, each a view of the state in the units that simtbx has for it.

Setting one brings the rest of the state in line by the same steps and in the same order as simtbx does, which scripts
rely on; several of them mend less than one would expect.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any

from nanobragg_kokkos.simtbx.state import State

Steps = Sequence[Callable[[State], None]]


def number(name: str, value: Any) -> float:
    """The value as a float.

    Raises:
        ValueError: it is not a number; names the property.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, not {value!r}") from None


def integer(name: str, value: Any) -> int:
    """The value as an int.

    Raises:
        ValueError: it is not a whole number; names the property.
    """
    try:
        return operator.index(value)
    except TypeError:
        as_float = number(name, value)
    if as_float % 1:
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return int(as_float)


def vector(name: str, value: Any, size: int = 3, one: Callable[[str, Any], float] = number) -> tuple:
    """The value as a tuple of so many numbers; any sequence, scitbx's vectors and matrices included.

    Raises:
        ValueError: it is not one; names the property.
    """
    try:
        elements = list(getattr(value, "elems", value))
    except TypeError:
        elements = []
    if len(elements) != size:
        raise ValueError(f"{name} must be {size} numbers, not {value!r}")
    return tuple(one(name, element) for element in elements)


def of_state(
    name: str,
    field: str,
    document: str,
    *,
    convert: Callable[[str, Any], Any] = number,
    inward: Callable[[float], float] | None = None,
    outward: Callable[[float], float] | None = None,
    first: Callable[[State], None] | None = None,
    then: Steps = (),
) -> property:
    """A property that shows one field of the state.

    Args:
        inward, outward: from the property's unit to that of the state, and back; default: the same.
        first: what else changes with it.
        then: what brings the rest in line.
    """

    def get(self: Any) -> Any:
        value = getattr(self._state, field)
        return value if outward is None else mapped(outward, value)

    def set(self: Any, value: Any) -> None:
        converted = convert(name, value)
        setattr(self._state, field, converted if inward is None else mapped(inward, converted))
        if first is not None:
            first(self._state)
        for step in then:
            step(self._state)

    return property(get, set, doc=document)


def pair_of_state(
    name: str,
    fields: tuple[str, str],
    document: str,
    *,
    one: Callable[[str, Any], float] = number,
    inward: Callable[[float], float] | None = None,
    outward: Callable[[float], float] | None = None,
    first: Callable[[State], None] | None = None,
    then: Steps = (),
) -> property:
    """The same for two fields."""

    def get(self: Any) -> tuple:
        values = tuple(getattr(self._state, field) for field in fields)
        return values if outward is None else mapped(outward, values)

    def set(self: Any, value: Any) -> None:
        values = vector(name, value, 2, one)
        for field, element in zip(fields, values if inward is None else mapped(inward, values)):
            setattr(self._state, field, element)
        if first is not None:
            first(self._state)
        for step in then:
            step(self._state)

    return property(get, set, doc=document)


def mapped(function: Callable[[float], float], value: Any) -> Any:
    """The function of a number, or of each element of a tuple."""
    return tuple(map(function, value)) if isinstance(value, tuple) else function(value)


def boolean(name: str, value: Any) -> bool:
    return bool(value)


def member_of(kind: type[IntEnum]) -> Callable[[str, Any], IntEnum]:
    """Takes members of an enumeration, or their numbers."""

    def convert(name: str, value: Any) -> IntEnum:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(
                f"{name} must be one of {', '.join(kind.__members__)} of {kind.__name__}, not {value!r}"
            ) from None

    return convert


def flex_array(name: str, value: Any, kind: type) -> Any:
    """The value, an array of a kind.

    Raises:
        ValueError: it is something else; names the property.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a flex.{kind.__name__}, not {type(value).__name__}")
    return value


def to_thousandth(value: float) -> float:
    return value / 1000.0


def from_thousandth(value: float) -> float:
    return value * 1000.0
