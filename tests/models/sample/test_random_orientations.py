"""Orientations of crystals."""

from __future__ import annotations

import numpy as np
import pytest

from nanobragg_kokkos import protein, specimen
from nanobragg_kokkos.models.sample.random_orientations import axis_rotation, random_rotation
from nanobragg_kokkos.util.random_streams import stream


def test_crystal_is_turned_as_asked():
    structure = protein.read_coordinates(protein.default_coordinates())
    rotation = axis_rotation((1, 2, 3), 40)
    crystal = specimen.oriented_crystal(structure.crystal_symmetry(), rotation)
    assert np.reshape(crystal.get_U(), (3, 3)) == pytest.approx(rotation)
    assert crystal.get_unit_cell().is_similar_to(structure.unit_cell(), 1e-9)
    assert crystal.get_space_group() == structure.space_group()


def test_orientations_are_uniform():
    rotations = np.array([random_rotation(stream(3, "orientation", k)) for k in range(4000)])
    assert rotations @ rotations.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (4000, 1, 1)), abs=1e-12)
    assert np.linalg.det(rotations) == pytest.approx(np.ones(4000))
    assert rotations.mean(0) == pytest.approx(np.zeros((3, 3)), abs=0.04)
    assert (rotations**2).mean(0) == pytest.approx(np.full((3, 3), 1 / 3), abs=0.02)
    # The density of the angle t of a uniform rotation is (1 - cos t) / pi.
    angles = np.arccos((rotations.trace(axis1=1, axis2=2) - 1) / 2)
    assert angles.mean() == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.03)
