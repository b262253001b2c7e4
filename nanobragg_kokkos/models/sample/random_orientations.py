"""Random rotations: the crystal's orientation in the beam and the misorientation of its mosaic blocks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation


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


def mosaic_blocks(domains: int, spread_deg: float | Sequence[float], generator: np.random.Generator) -> np.ndarray:
    """Returns misorientations (domains, 3, 3) of the mosaic blocks of a crystal.

    Each block is turned about a random axis by an angle from a normal distribution whose standard deviation is
    spread_deg (degrees), and another block by the same angle the other way, so that the crystal as a whole is not
    turned. Of an odd number, the last block is not turned, and the others by so much more that the mean square of all
    angles stays. Without spread, or with one block, there is nothing to tell apart: one identity matrix.

    With three numbers, the blocks fill an ellipsoid: the turn's components along x, y and z are those of a turn with
    a spread of 1 degree times these numbers. So equal numbers are as good as one, and (0, 0, 1) are turns about z alone
    by a standard deviation of 1/sqrt(3) degrees, which is what each component of an even spread of 1 degree has.
    """
    spreads = np.broadcast_to(np.asarray(spread_deg, float), 3)
    if domains == 1 or not spreads.any():
        return np.eye(3)[np.newaxis]
    pairs = domains // 2
    axes = generator.standard_normal((pairs, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    turns = axes * spreads * generator.normal(0.0, np.sqrt(domains / (2 * pairs)), (pairs, 1))
    both_ways = np.stack([turns, -turns], axis=1).reshape(-1, 3)
    return Rotation.from_rotvec(np.concatenate([both_ways, np.zeros((domains % 2, 3))]), degrees=True).as_matrix()
