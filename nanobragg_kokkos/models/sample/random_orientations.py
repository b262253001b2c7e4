"""Rotations: a crystal's random orientation in the beam, and turns about an axis."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def random_rotation(generator: np.random.Generator) -> np.ndarray:
    """Returns a rotation matrix (3, 3) from the uniform (Haar) distribution over all rotations.

    Four normal deviates point in a uniformly random direction in four dimensions, so that, normalised, they are a
    uniformly random unit quaternion (Shoemake 1992, Graphics Gems III, 124-132).
    """
    quaternion = generator.standard_normal(4)
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def axis_rotation(axis: Sequence[float] | np.ndarray, angle_deg: float) -> np.ndarray:
    """Returns the right-handed rotation matrix (3, 3) by an angle in degrees about an axis of any length."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.radians(angle_deg)
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
