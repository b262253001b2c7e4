"""simtbx's interface on this engine: what its extension modules hold.

A thin layer for scripts that were written for simtbx: its mutable classes with their names, units, defaults and order
of effects.  It hands the engine the package's own immutable models.  docs/simtbx.md says what differs.  After enable(),
scripts that import simtbx get these classes.
"""

from __future__ import annotations

from nanobragg_kokkos.simtbx import gpu_names, nanobragg_names
from nanobragg_kokkos.simtbx.gpu_names import *  # noqa: F403
from nanobragg_kokkos.simtbx.hook import enable
from nanobragg_kokkos.simtbx.nanobragg_names import *  # noqa: F403

__all__ = ["enable", *nanobragg_names.__all__, *gpu_names.__all__]
