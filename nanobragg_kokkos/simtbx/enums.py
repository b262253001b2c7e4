"""The enumerations of simtbx's extension, with its names and numbers."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar


class _BoostEnum(IntEnum):
    """Prints as Boost.Python's enumerations do."""

    names: ClassVar[dict[str, IntEnum]]
    values: ClassVar[dict[int, IntEnum]]

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"simtbx_nanoBragg_ext.{type(self).__name__}.{self.name}"

    def __format__(self, format_spec: str) -> str:
        return object.__format__(self, format_spec)


class pivot(_BoostEnum):
    """The point about which a detector rotates: the sample, or the spot of the direct beam."""

    Sample = 0
    Beam = 1


class shapetype(_BoostEnum):
    """The shape of a crystal or of a point-spread function."""

    Unknown = 0
    Square = 1
    Round = 2
    Gauss = 3
    Gauss_argchk = 4
    Tophat = 5
    Fiber = 6


class convention(_BoostEnum):
    """The meaning of the two numbers of a beam centre, and their frame."""

    Custom = 0
    ADXV = 1
    MOSFLM = 2
    XDS = 3
    DIALS = 4
    DENZO = 5


for _enum in (pivot, shapetype, convention):
    # Boost.Python's enumerations list their members by name and by number.
    _enum.names = {member.name: member for member in _enum}
    _enum.values = {member.value: member for member in _enum}
