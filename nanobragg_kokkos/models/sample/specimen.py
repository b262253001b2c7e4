"""The crystals of an experiment: their numbers and orientations in every image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from cctbx import crystal as cctbx_crystal
from cctbx import sgtbx, uctbx
from dxtbx.model import Crystal as CrystalModel

from nanobragg_kokkos.models.sample.cell_variation import varied_cell
from nanobragg_kokkos.models.sample.crystal import Crystal
from nanobragg_kokkos.models.sample.mosaicity import Mosaicity
from nanobragg_kokkos.models.sample.random_orientations import random_rotation
from nanobragg_kokkos.util.random_streams import stream


class Orientations(Protocol):
    """Orientations and unit cells of the crystals of all images."""

    def models(self, image: int, seed: int) -> list[CrystalModel]:
        """Returns a model for each crystal of an image, counted from 0; it depends on the two arguments only."""


@dataclass(frozen=True, eq=False)
class Specimen:
    """One or several crystals per image, which differ only in orientation and cell.

    Args:
        orientations: orientations and unit cells of the crystals of each image.
        space_group: space group of all crystals.
        n_cells: unit cells along the edges of a mosaic domain.
        shape: shape of a mosaic domain.
        mosaicity: gives each crystal mosaic blocks of its own.
        volume_mm3: volume of each crystal in the beam.
        cell_variation: relative standard deviations of a, b and c, (3,).
    """

    orientations: Orientations
    space_group: sgtbx.space_group
    n_cells: tuple[int, int, int]
    shape: str
    mosaicity: Mosaicity
    volume_mm3: float
    cell_variation: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def crystals(self, image: int, seed: int) -> tuple[Crystal, ...]:
        """Returns the crystals of an image, counted from 0; they depend on the two arguments only."""
        generator, mosaic = stream(seed, "cell", image), stream(seed, "mosaic", image)
        crystals = []
        for model in self.orientations.models(image, seed):
            cell, rotation = model.get_unit_cell(), np.reshape(model.get_U(), (3, 3))
            if any(self.cell_variation):
                cell = varied_cell(cell, self.space_group, self.cell_variation, generator)
            symmetry = cctbx_crystal.symmetry(cell, space_group=self.space_group, assert_is_compatible_unit_cell=False)
            crystals.append(
                Crystal(
                    oriented_crystal(symmetry, rotation),
                    self.n_cells,
                    shape=self.shape,
                    mosaic_blocks=rotation @ self.mosaicity.blocks(mosaic) @ rotation.T,
                    volume_mm3=self.volume_mm3,
                )
            )
        return tuple(crystals)


@dataclass(frozen=True)
class NoCrystals:
    """A specimen without any crystal."""

    def crystals(self, image: int, seed: int) -> tuple[Crystal, ...]:
        """Returns no crystal."""
        return ()


@dataclass(frozen=True, eq=False)
class RandomOrientations:
    """Uniformly distributed orientations.

    Args:
        symmetry: unit cell and space group.
        count: number of crystals in an image.
    """

    symmetry: cctbx_crystal.symmetry
    count: int = 1

    def models(self, image: int, seed: int) -> list[CrystalModel]:
        """Returns a model for each crystal of an image, counted from 0."""
        generator = stream(seed, "orientation", image)
        return [oriented_crystal(self.symmetry, random_rotation(generator)) for _ in range(self.count)]


@dataclass(frozen=True, eq=False)
class RecordedOrientations:
    """Orientations and cells from a list: each image takes the next ones; after the last, the list starts again.

    Args:
        recorded: the list, with at least one crystal.
        count: number of crystals in an image.
    """

    recorded: Sequence[CrystalModel]
    count: int = 1

    def models(self, image: int, seed: int) -> list[CrystalModel]:
        """Returns a model for each crystal of an image, counted from 0."""
        first = image * self.count
        return [self.recorded[k % len(self.recorded)] for k in range(first, first + self.count)]


def oriented_crystal(symmetry: cctbx_crystal.symmetry, rotation: np.ndarray) -> CrystalModel:
    """Returns a crystal whose cell, at first with a along x and b in the xy plane, is turned by a matrix (3, 3)."""
    a, b, c = (rotation @ np.reshape(symmetry.unit_cell().orthogonalization_matrix(), (3, 3))).T
    return CrystalModel(tuple(a), tuple(b), tuple(c), symmetry.space_group())


def cells_in_domain(unit_cell: uctbx.unit_cell, edge_A: float) -> tuple[int, int, int]:
    """Returns the numbers of unit cells along a, b and c that come nearest to an edge (angstrom), at least 1."""
    return tuple(max(1, round(edge_A / length)) for length in unit_cell.parameters()[:3])


def illuminated_volume_mm3(length_um: float, beam_size_mm: float) -> float:
    """Returns the volume of a cube of crystal, of edge length_um, that a beam of square cross-section covers."""
    length_mm = length_um * 1e-3
    return min(length_mm, beam_size_mm) ** 2 * length_mm
