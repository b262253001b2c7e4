"""Crystals of an earlier experiment, as DIALS writes them."""

from __future__ import annotations

import numpy as np
from cctbx import crystal as cctbx_crystal
from cctbx import sgtbx
from dxtbx.model import Crystal as CrystalModel
from dxtbx.model import Experiment
from libtbx.utils import Sorry

from nanobragg_kokkos.models.beam_along_z import frame_rotation
from nanobragg_kokkos.util.model_files import read_models
from nanobragg_kokkos.util.reading import reading

# How far lengths (relative) and angles (degrees) may be from those of the crystal that is simulated.
LENGTHS, ANGLES_DEG = 0.05, 3.0


def read_crystals(path: str, symmetry: cctbx_crystal.symmetry) -> list[CrystalModel]:
    """Returns the crystals of all experiments of a dxtbx model file (.expt), in their order.

    If a beam does not come from +z, its crystal is turned about the sample together with that beam. A crystal on a
    goniometer is as it is where the scan's angle is 0.

    Args:
        symmetry: what they have to be like: the same point group and centring in the same setting, and about the same
            cell.

    Raises:
        Sorry: the file is not there, cannot be read, holds no crystal, or one that is unlike.
    """
    name = f"crystal.orientation.file={path}"
    with reading(name, "a dxtbx model file (.expt)", path):
        experiments = read_models(path).experiments
        found = [_upright(experiment) for experiment in experiments if experiment.crystal is not None]
    if not found:
        raise Sorry(f"{name}: expected a file with a model of a crystal")
    group = symmetry.space_group()
    for model in found:
        if model.get_space_group().build_derived_point_group() != group.build_derived_point_group():
            raise Sorry(
                f"{name}: expected crystals with the point group of {group.info()}, but one has "
                f"{model.get_space_group().info()}"
            )
        if _centring(model.get_space_group()) != _centring(group):
            raise Sorry(
                f"{name}: expected crystals with the centring of {group.info()}, but one has "
                f"{model.get_space_group().info()}, another setting or lattice (dials.reindex changes it)"
            )
        if not model.get_unit_cell().is_similar_to(symmetry.unit_cell(), LENGTHS, ANGLES_DEG):
            expected, cell = (
                " ".join(f"{x:g}" for x in cell.parameters()) for cell in (symmetry.unit_cell(), model.get_unit_cell())
            )
            raise Sorry(f"{name}: expected crystals with the cell {expected}, to {LENGTHS:.0%}, but one has {cell}")
    return found


def _centring(group: sgtbx.space_group) -> set[tuple[float, ...]]:
    """Returns the translations of a space group that are shorter than the axes of the cell."""
    return {operation.t().as_double() for operation in group.all_ops(1) if operation.r().is_unit_mx()}


def _upright(experiment: Experiment) -> CrystalModel:
    """Returns the crystal in the frame where the beam comes from +z."""
    turn = frame_rotation(experiment.beam) if experiment.beam else np.identity(3)
    if experiment.goniometer:
        for matrix in (experiment.goniometer.get_setting_rotation(), experiment.goniometer.get_fixed_rotation()):
            turn = turn @ np.reshape(matrix, (3, 3))
    if not np.abs(turn @ turn.T - np.identity(3)).max() < 1e-6:
        raise ValueError("the goniometer has matrices that are no rotations")
    crystal = experiment.crystal
    a, b, c = (tuple(turn @ axis) for axis in crystal.get_real_space_vectors())
    if not np.isfinite([a, b, c]).all():
        raise ValueError("a crystal has axes that are not finite")
    return CrystalModel(a, b, c, crystal.get_space_group())
