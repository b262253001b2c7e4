"""The crystals of an experiment: which there are in every image, and how they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cctbx import crystal as cctbx_crystal
from cctbx import uctbx
from dxtbx.model import Crystal as CrystalModel

from nanobragg_kokkos.crystal import Crystal
from nanobragg_kokkos.orientation import random_rotation
from nanobragg_kokkos.streams import stream


@dataclass(frozen=True, eq=False)
class RandomlyOriented:
    """One crystal an image, in a random orientation.

    Args:
        symmetry: unit cell and space group.
        n_cells: unit cells along the edges of a mosaic domain.
        shape: of a mosaic domain.
        mosaic_blocks: (n, 3, 3) rotation matrices.
        volume_mm3: of crystal in the beam.
    """

    symmetry: cctbx_crystal.symmetry
    n_cells: tuple[int, int, int]
    shape: str
    mosaic_blocks: np.ndarray
    volume_mm3: float

    def __call__(self, image: int, seed: int) -> tuple[Crystal, ...]:
        """The crystals of an image, counted from 0."""
        model = oriented_crystal(self.symmetry, random_rotation(stream(seed, "orientation", image)))
        return (
            Crystal(
                model,
                self.n_cells,
                shape=self.shape,
                mosaic_blocks=self.mosaic_blocks,
                volume_mm3=self.volume_mm3,
            ),
        )


def oriented_crystal(symmetry: cctbx_crystal.symmetry, rotation: np.ndarray) -> CrystalModel:
    """A crystal whose cell, at first with a along x and b in the xy plane, is turned by a matrix (3, 3)."""
    a, b, c = (rotation @ np.reshape(symmetry.unit_cell().orthogonalization_matrix(), (3, 3))).T
    return CrystalModel(tuple(a), tuple(b), tuple(c), symmetry.space_group())


def cells_in_domain(unit_cell: uctbx.unit_cell, edge_A: float) -> tuple[int, int, int]:
    """How many unit cells, at least one, come nearest to an edge (angstrom) along a, b and c."""
    return tuple(max(1, round(edge_A / length)) for length in unit_cell.parameters()[:3])


def illuminated_volume_mm3(length_um: float, beam_size_mm: float) -> float:
    """The volume of a cube of crystal, of edge length_um, that a beam of square cross-section covers."""
    length_mm = length_um * 1e-3
    return min(length_mm, beam_size_mm) ** 2 * length_mm
