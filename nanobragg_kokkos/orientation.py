"""Random rotations: the crystal's orientation in the beam and the misorientation of its mosaic blocks."""
from __future__ import annotations

import numpy as np


def random_rotation(generator: np.random.Generator) -> np.ndarray:
    """A rotation matrix (3, 3) from the uniform (Haar) distribution over all rotations.

    Four normal deviates point in a uniformly random direction in four dimensions, so that, normalised, they are a
    uniformly random unit quaternion (Shoemake 1992, Graphics Gems III, 124-132).
    """
    quaternion = generator.standard_normal(4)
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]])


def axis_rotation(axis: np.ndarray, angle_deg: float) -> np.ndarray:
    """The right-handed rotation matrix (3, 3) by an angle in degrees about an axis of any length."""
    x, y, z = np.asarray(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    angle = np.radians(angle_deg)
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)


def mosaic_blocks(domains: int, spread_deg: float, generator: np.random.Generator) -> np.ndarray:
    """Misorientations (domains, 3, 3) of the mosaic blocks of a crystal.

    Each block is turned about a random axis by an angle from a normal distribution whose standard deviation is
    spread_deg (degrees), and another block by the same angle the other way, so that the crystal as a whole is not
    turned. Of an odd number, the last block is not turned, and the others by so much more that the mean square of all
    angles stays. Without spread, or with one block, there is nothing to tell apart: one identity matrix.
    """
    if domains == 1 or spread_deg == 0.0:
        return np.eye(3)[np.newaxis]
    pairs = domains // 2
    axes = generator.standard_normal((pairs, 3))
    angles = generator.normal(0.0, spread_deg * np.sqrt(domains / (2 * pairs)), pairs)
    blocks = [axis_rotation(axis, sign * angle) for axis, angle in zip(axes, angles) for sign in (1, -1)]
    return np.array(blocks + [np.eye(3)] * (domains % 2))
