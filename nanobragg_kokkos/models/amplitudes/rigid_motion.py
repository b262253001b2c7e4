"""Atoms moved as a rigid body, their displacements with them: non-crystallographic symmetry, other axes of a file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cctbx import adptbx, xray
from dxtbx import flumpy
from scipy.spatial import cKDTree

from nanobragg_kokkos.models.amplitudes import special_positions

# Matrices in files have six digits after the point, or fewer.
ORTHOGONALITY_TOLERANCE = 5e-3

# angstrom. A copy whose atoms come this close to atoms of the file is one that the file holds already.
SAME_PLACE = 0.3


def is_rotation(matrix: np.ndarray) -> bool:
    """Returns whether a matrix (3, 3) is a proper rotation, but for the rounding of files."""
    return np.abs(matrix @ matrix.T - np.identity(3)).max() < ORTHOGONALITY_TOLERANCE and np.linalg.det(matrix) > 0


def moved(structure: xray.structure, rotation: np.ndarray, translation: np.ndarray) -> xray.structure:
    """Returns the atoms at rotation @ x + translation, x and translation in angstrom; special positions found anew."""
    cell = structure.unit_cell()
    scatterers = structure.scatterers().deep_copy()
    sites = flumpy.to_numpy(structure.sites_cart()) @ rotation.T + translation
    scatterers.set_sites(cell.fractionalize(flumpy.vec_from_numpy(np.ascontiguousarray(sites))))
    for scatterer in scatterers:
        if scatterer.flags.use_u_aniso():
            u11, u22, u33, u12, u13, u23 = adptbx.u_star_as_u_cart(cell, scatterer.u_star)
            u = rotation @ np.array([[u11, u12, u13], [u12, u22, u23], [u13, u23, u33]]) @ rotation.T
            rotated = (u[0, 0], u[1, 1], u[2, 2], u[0, 1], u[0, 2], u[1, 2])
            scatterer.u_star = adptbx.u_cart_as_u_star(cell, tuple(map(float, rotated)))
    return special_positions.placed(structure, scatterers)


def expanded(
    structure: xray.structure, operators: Sequence[tuple[np.ndarray, np.ndarray]]
) -> tuple[xray.structure, int]:
    """Returns the atoms with their copies by operators (rotation, translation in angstrom), and how many were applied.

    Operators whose copies are in the structure already are not applied: some files hold them without saying so.
    """
    found = structure.scatterers().deep_copy()
    places = cKDTree(flumpy.to_numpy(structure.sites_cart()))
    n_applied = 0
    for rotation, translation in operators:
        copy = moved(structure, rotation, translation)
        distances, _ = places.query(flumpy.to_numpy(copy.sites_cart()))
        # With all copies there, this one takes one part of the atoms to another.
        if np.mean(distances < SAME_PLACE) > 0.5 / (len(operators) + 1):
            continue
        found.extend(copy.scatterers())
        n_applied += 1
    return special_positions.placed(structure, found), n_applied
