"""simtbx's interface: what its extension module simtbx_nanoBragg_ext holds, on this engine.

A thin layer for scripts that were written for simtbx: its mutable class with its names, units, defaults and order of
effects.  It hands the engine the package's own immutable models.  docs/simtbx.md says what differs.
"""

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
    """What simtbx's extension has to test itself."""
    return (True, 2, 3, 4)
