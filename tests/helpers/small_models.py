"""A small experiment: detector, beam, crystal and amplitudes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cctbx import crystal as cctbx_crystal
from cctbx import miller
from cctbx.array_family import flex
from dxtbx.model import Beam, Detector, Experiment, ExperimentList
from dxtbx.model import Crystal as DxtbxCrystal
from dxtbx.model.detector import DetectorFactory
from scitbx import matrix

from nanobragg_kokkos import Crystal, StructureFactors


def small_detector(pixels: int = 96, pixel_mm: float = 0.5, distance_mm: float = 80.0):
    half = pixels * pixel_mm / 2
    return DetectorFactory.simple("PAD", distance_mm, (half, half), "+x", "-y", (pixel_mm, pixel_mm), (pixels, pixels))


def small_beam(
    wavelength: float = 1.3, direction=(0.0, 0.0, 1.0), fraction: float = 0.98, normal=(0.0, 1.0, 0.0)
) -> Beam:
    """direction: from the sample to the source."""
    beam = Beam(tuple(direction), wavelength)
    beam.set_polarization_fraction(fraction)
    beam.set_polarization_normal(tuple(normal))
    return beam


def small_crystal(seed: int = 1, blocks: int = 3, **options) -> Crystal:
    """Orthorhombic, 40 x 50 x 60 angstrom, in a random orientation, with some mosaic blocks."""
    random = np.random.default_rng(seed)
    orientation = matrix.sqr(rotation_matrix(random.normal(size=3), random.uniform(0, 180)).flatten())
    real = [orientation * matrix.col(axis) for axis in ((40, 0, 0), (0, 50, 0), (0, 0, 60))]
    options.setdefault("n_cells", (12, 10, 9))
    options.setdefault("shape", "gauss")
    return Crystal(
        DxtbxCrystal(*real, space_group_symbol="P 21 21 21"),
        mosaic_blocks=np.array([rotation_matrix(random.normal(size=3), random.normal() * 0.3) for _ in range(blocks)]),
        **options,
    )


def random_amplitudes(seed: int = 2, d_min: float = 2.0, mean: float = 100.0) -> miller.array:
    symmetry = cctbx_crystal.symmetry((40, 50, 60, 90, 90, 90), "P 21 21 21")
    indices = symmetry.build_miller_set(anomalous_flag=True, d_min=d_min)
    values = np.random.default_rng(seed).exponential(mean, indices.size())
    return indices.array(data=flex.double(values.tolist()))


def small_structure_factors(**options) -> StructureFactors:
    return StructureFactors(random_amplitudes(), **options)


def rotation_matrix(axis, angle_deg: float) -> np.ndarray:
    """Right-handed rotation about an axis (Rodrigues)."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.radians(angle_deg)
    return np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * (k @ k)


def saved(path: Path, detector: Detector, beam: Beam) -> str:
    """Writes a dxtbx model file (.expt) of a detector and its beam; returns its name."""
    ExperimentList([Experiment(detector=detector, beam=beam)]).as_file(str(path))
    return str(path)
