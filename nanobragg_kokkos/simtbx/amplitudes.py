"""Makes the engine's structure factors from the indices and amplitudes of a script."""

from __future__ import annotations

import hashlib
from collections import OrderedDict

import numpy as np
from cctbx import crystal, miller
from cctbx.array_family import flex

from nanobragg_kokkos import StructureFactors
from nanobragg_kokkos.models.amplitudes.structure_factors import integers
from nanobragg_kokkos.simtbx.state import State

# Scripts make an object for each panel and shot, often with the same structure factors; these stay on the device.
KEPT = 4
_kept: OrderedDict[bytes, StructureFactors] = OrderedDict()
_symmetry = crystal.symmetry(unit_cell=(100, 100, 100, 90, 90, 90), space_group_symbol="P 1")


def given(s: State) -> tuple[np.ndarray, np.ndarray]:
    """Returns the indices (n, 3) and amplitudes (n,) of a script; both are empty without amplitudes.

    Raises:
        ValueError: the numbers of indices and amplitudes differ.
    """
    if not s.indices.size() or not s.amplitudes.size():
        return np.zeros((0, 3), int), np.zeros(0)
    if s.indices.size() != s.amplitudes.size():
        raise ValueError(f"there are {s.indices.size()} indices, but {s.amplitudes.size()} amplitudes")
    return integers(s.indices), s.amplitudes.as_numpy_array()


def box(s: State) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and the highest of each Miller index."""
    if not s.indices.size():
        return np.zeros(3, int), np.zeros(3, int)
    hkl = integers(s.indices)
    return hkl.min(axis=0), hkl.max(axis=0)


def all_in_box(s: State) -> tuple[flex.miller_index, flex.double]:
    """Returns every index in the box and its amplitude; F000 at 0, 0, 0."""
    low, high = box(s)
    amplitudes = np.full(high - low + 1, s.default_F)
    hkl, values = given(s)
    amplitudes[tuple((hkl - low).T)] = values
    if (low <= 0).all() and (high >= 0).all():
        amplitudes[tuple(-low)] = s.F000
    grid = np.stack(np.meshgrid(*(np.arange(a, b + 1) for a, b in zip(low, high)), indexing="ij"), axis=-1).reshape(
        -1, 3
    )
    return flex.miller_index(list(map(tuple, grid.tolist()))), flex.double(amplitudes.ravel())


def structure_factors(s: State) -> StructureFactors:
    """Returns the engine's structure factors."""
    hkl, values = given(s)
    key = hashlib.sha256(hkl.tobytes() + values.tobytes() + np.array([s.default_F, s.F000]).tobytes()).digest()
    if key not in _kept:
        array = as_given(s.indices, s.amplitudes) if len(hkl) else as_given(flex.miller_index(), flex.double())
        _kept[key] = StructureFactors(array, default_amplitude=s.default_F, F000=s.F000)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return _kept[key]


def as_given(indices: flex.miller_index, amplitudes: flex.double) -> miller.array:
    """Returns the amplitudes of the given reflections alone; the last one if there are several for a reflection.

    The unit cell of the result has no meaning; the crystal has its own.
    """
    chosen = _last_of_each(integers(indices))
    return miller.array(miller.set(_symmetry, indices.select(chosen), anomalous_flag=True), amplitudes.select(chosen))


def _last_of_each(hkl: np.ndarray) -> flex.size_t:
    """Returns the position of each reflection, the last one if it occurs several times."""
    if not len(hkl):
        return flex.size_t()
    low, high = hkl.min(axis=0), hkl.max(axis=0)
    in_box = np.ravel_multi_index(tuple((hkl - low).T), tuple(high - low + 1))
    _, from_end = np.unique(in_box[::-1], return_index=True)
    return flex.size_t(np.sort(len(hkl) - 1 - from_end).tolist())
