"""The names of simtbx's extension module simtbx_nanoBragg_ext."""

from __future__ import annotations

from nanobragg_kokkos.simtbx.enums import convention, pivot, shapetype
from nanobragg_kokkos.simtbx.nanobragg import nanoBragg

__all__ = ["convention", "nanoBragg", "pivot", "shapetype", "testuple"]

# The members of the enumerations are names of the module, too.
for _enum in (pivot, shapetype, convention):
    for _member in _enum:
        globals()[_member.name] = _member
        __all__.append(_member.name)


def testuple() -> tuple:
    """Returns the numbers of simtbx's own test function."""
    return (True, 2, 3, 4)
