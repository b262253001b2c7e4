"""The contents of simtbx's extension modules, on this engine.

This thin layer serves scripts that were written for simtbx. It has simtbx's mutable classes with their names, units,
defaults and order of effects, and passes the package's own immutable models to the engine. docs/simtbx.md lists the
differences. After enable(), scripts that import simtbx get these classes.
"""

from __future__ import annotations

from nanobragg_kokkos.simtbx import gpu_names, nanobragg_names
from nanobragg_kokkos.simtbx.gpu_names import *  # noqa: F403
from nanobragg_kokkos.simtbx.hook import enable
from nanobragg_kokkos.simtbx.nanobragg_names import *  # noqa: F403

__all__ = ["enable", *nanobragg_names.__all__, *gpu_names.__all__]
