"""Gives the mosaic domains the symmetry of their crystal.

A domain of N_a x N_b x N_c cells of a hexagonal crystal is a rhombic prism, which three-fold rotations do not leave as
it is; nor are its reflections then, though their amplitudes are the same. A crystal has no such preference: it has as
many domains that are turned by each of its rotations. Such a turn leaves the lattice where it is, and a reflection of
one domain lies on an equivalent one of the other. So mosaic blocks that are turned by the rotations of the point group,
besides their own misorientation, give the crystal's mean domain, without anything else to change. simtbx's
symmetrize_Flatt does this with the three-fold rotations of the Laue group.
"""

from __future__ import annotations

import numpy as np
from cctbx import crystal as cctbx_crystal
from cctbx import sgtbx


def domain_turns(symmetry: cctbx_crystal.symmetry, n_cells: tuple[int, int, int]) -> np.ndarray:
    """Returns each rotation (m, 3, 3) of the point group that changes the domain's shape, the identity among them.

    In the crystal's Cartesian frame (axes a, c* x a and c*). Every mosaic block is to be turned by each of them, before
    its own misorientation.

    Args:
        symmetry: unit cell and space group.
        n_cells: unit cells along the edges of a domain.
    """
    to_cartesian = np.reshape(symmetry.unit_cell().orthogonalization_matrix(), (3, 3))
    to_fractional = np.linalg.inv(to_cartesian)
    rotations = shape_rotations(symmetry.space_group(), n_cells)
    return np.array([to_cartesian @ rotation @ to_fractional for rotation in rotations])


def shape_rotations(space_group: sgtbx.space_group, n_cells: tuple[int, int, int]) -> list[np.ndarray]:
    """Returns rotations (3, 3), fractional coordinates, that turn a domain into all its equivalents, each once.

    Reflections and inversions are left out: all shapes have a centre, and amplitudes need not have one. Of rotations
    that differ only by one that exchanges or reverses edges, with as many cells, the first stays; the identity is among
    them.
    """
    rotations = [
        np.reshape(operation.r().as_double(), (3, 3)).round().astype(int)
        for operation in space_group.build_derived_point_group().smx()
        if operation.r().determinant() > 0
    ]
    kept: list[np.ndarray] = []
    for rotation in rotations:
        if not any(_same_shape(np.linalg.inv(other) @ rotation, n_cells) for other in kept):
            kept.append(rotation)
    return kept


def _same_shape(rotation: np.ndarray, n_cells: tuple[int, int, int]) -> bool:
    """Returns whether a rotation (fractional coordinates) turns edges only into edges with as many cells."""
    exchanged = np.abs(rotation).round().astype(int)
    is_permutation = (exchanged.sum(axis=0) == 1).all() and (exchanged.sum(axis=1) == 1).all()
    return is_permutation and np.array_equal(exchanged @ n_cells, n_cells)
