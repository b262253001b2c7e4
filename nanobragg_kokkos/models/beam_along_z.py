"""Rotates models to the frame of files whose format fixes the beam along z, such as NXmx."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
from dxtbx.model import Beam, Detector
from libtbx.utils import Sorry
from scipy.spatial.transform import Rotation


def frame_rotation(beam: Beam | Sequence[Beam]) -> np.ndarray:
    """Returns the rotation from the experiment's frame to that of its files, where the beam comes from (0, 0, 1).

    A (3, 3) matrix: the smallest rotation that does so, the identity for dxtbx's default beam.

    Raises:
        Sorry: several beams of different directions.
    """
    beams = [beam] if isinstance(beam, Beam) else list(beam)
    directions = np.array([b.get_sample_to_source_direction() for b in beams])
    direction = directions[0]
    if np.abs(directions - direction).max() > 1e-9:
        raise Sorry("beam: all images of a file must have one beam direction.")
    axis = np.cross(direction, (0.0, 0.0, 1.0))
    sine, cosine = np.linalg.norm(axis), direction[2]
    if sine < 1e-12:
        return np.identity(3) if cosine > 0 else np.diag([-1.0, 1.0, -1.0])
    return Rotation.from_rotvec(axis / sine * math.atan2(sine, cosine)).as_matrix()


def rotated_beam(beam: Beam, rotation: np.ndarray) -> Beam:
    """Returns a copy of the beam, its polarization with it, turned by the (3, 3) matrix that frame_rotation returns."""
    beam = copy.deepcopy(beam)
    if not np.array_equal(rotation, np.identity(3)):
        normal = rotation @ beam.get_polarization_normal()
        beam.set_direction((0.0, 0.0, 1.0))
        beam.set_polarization_normal(tuple(normal))
    return beam


def rotated_detector(detector: Detector, rotation: np.ndarray) -> Detector:
    """Returns a copy of the detector, turned about the origin as a whole by the (3, 3) matrix `rotation`."""
    detector = copy.deepcopy(detector)
    if not np.array_equal(rotation, np.identity(3)):
        # Panel.rotate_around_origin would leave the groups where they are.
        root = detector.hierarchy()
        frame = root.get_local_fast_axis(), root.get_local_slow_axis(), root.get_local_origin()
        root.set_local_frame(*(tuple(rotation @ vector) for vector in frame))
    return detector
