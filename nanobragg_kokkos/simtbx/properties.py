"""Properties of the class nanoBragg; each is a view of the state in simtbx's units.

After a change, the rest of the state is updated by simtbx's steps in simtbx's order, on which scripts rely; several
properties update less than one would expect.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar

from nanobragg_kokkos.simtbx.state import State

Member = TypeVar("Member", bound=IntEnum)
Steps = Sequence[Callable[[State], None]]


class Unit(NamedTuple):
    """The unit of a property: converts from it to the unit of the state (inward), and back (outward)."""

    inward: Callable[[float], float]
    outward: Callable[[float], float]


def number(name: str, value: Any) -> float:
    """Returns the value as a float.

    Raises:
        ValueError: the value is not a number; names the property.
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a number, not {value!r}") from None


def integer(name: str, value: Any) -> int:
    """Returns the value as an int.

    Raises:
        ValueError: the value is not a whole number; names the property.
    """
    try:
        return operator.index(value)
    except TypeError:
        as_float = number(name, value)
    if as_float % 1:
        raise ValueError(f"{name} must be a whole number, not {value!r}")
    return int(as_float)


def vector(name: str, value: Any, size: int = 3, one: Callable[[str, Any], float] = number) -> tuple:
    """Returns the value as a tuple of a given length; takes any sequence, including scitbx's vectors and matrices.

    Raises:
        ValueError: the value is not such a sequence; names the property.
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
    unit: Unit | None = None,
    first: Callable[[State], None] | None = None,
    then: Steps = (),
) -> property:
    """Returns a property for one field of the state.

    Args:
        unit: the property's unit; default: that of the state.
        first: changes other fields before the steps of `then`.
        then: steps that update the rest of the state.
    """

    def get(self: Any) -> Any:
        value = getattr(self._state, field)
        return value if unit is None else mapped(unit.outward, value)

    def set(self: Any, value: Any) -> None:
        converted = convert(name, value)
        setattr(self._state, field, converted if unit is None else mapped(unit.inward, converted))
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
    unit: Unit | None = None,
    first: Callable[[State], None] | None = None,
    then: Steps = (),
) -> property:
    """Returns a property for two fields of the state, otherwise like of_state."""

    def get(self: Any) -> tuple:
        values = tuple(getattr(self._state, field) for field in fields)
        return values if unit is None else mapped(unit.outward, values)

    def set(self: Any, value: Any) -> None:
        values = vector(name, value, 2, one)
        for field, element in zip(fields, values if unit is None else mapped(unit.inward, values)):
            setattr(self._state, field, element)
        if first is not None:
            first(self._state)
        for step in then:
            step(self._state)

    return property(get, set, doc=document)


def mapped(function: Callable[[float], float], value: Any) -> Any:
    """Applies a function to a number, or to each element of a tuple."""
    return tuple(map(function, value)) if isinstance(value, tuple) else function(value)


def boolean(name: str, value: Any) -> bool:
    return bool(value)


def member_of(kind: type[Member]) -> Callable[[str, Any], Member]:
    """Returns a converter that takes members of an enumeration or their numbers."""

    def convert(name: str, value: Any) -> Member:
        try:
            return kind(value)
        except ValueError:
            raise ValueError(
                f"{name} must be one of {', '.join(kind.__members__)} of {kind.__name__}, not {value!r}"
            ) from None

    return convert


def flex_array(name: str, value: Any, kind: type) -> Any:
    """Returns the value, which must be an array of a given type.

    Raises:
        ValueError: the value is something else; names the property.
    """
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a flex.{kind.__name__}, not {type(value).__name__}")
    return value


def to_thousandth(value: float) -> float:
    return value / 1000.0


def from_thousandth(value: float) -> float:
    return value * 1000.0
