"""The misorientations of the mosaic blocks of crystals, drawn anew for each crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

DISTRIBUTIONS = ("normal", "peaked")


@dataclass(frozen=True, eq=False)
class Mosaicity:
    """How the mosaic blocks of a crystal are misoriented.

    Args:
        domains, spread_deg, distribution: see mosaic_blocks.
        turns: (m, 3, 3) rotations of each block in the crystal's Cartesian frame, before its misorientation, by which
            domains get the crystal's symmetry (see domain_symmetry). None: none.
    """

    domains: int = 1
    spread_deg: float | Sequence[float] = 0.0
    distribution: str = "normal"
    turns: np.ndarray | None = None

    def blocks(self, generator: np.random.Generator) -> np.ndarray:
        """Returns the rotation matrices (n, 3, 3) of a crystal's blocks in its Cartesian frame (axes a, c* x a, c*)."""
        blocks = mosaic_blocks(self.domains, self.spread_deg, generator, self.distribution)
        return blocks if self.turns is None else np.concatenate([blocks @ turn for turn in self.turns])


def mosaic_blocks(
    domains: int, spread_deg: float | Sequence[float], generator: np.random.Generator, distribution: str = "normal"
) -> np.ndarray:
    """Returns misorientations (domains, 3, 3) of the mosaic blocks of a crystal.

    The rotation vector of each block (axis times angle) is random, and another block has the same one the other way, so
    that the crystal as a whole is not turned. Of an odd number, the last block is not turned, and the others by so much
    more that the mean square of all angles stays: its root is spread_deg (degrees). Without spread, or with one block,
    there is nothing to tell apart: one identity matrix.

    normal: the three components of the vectors have normal distributions, of spread_deg / sqrt(3) each. The angles have
    Maxwell's distribution: few are near 0.
    peaked: the axis is random, and the angle has a normal distribution: of the blocks, more are near the middle than
    normal distributions of the components have there.

    With three numbers, the blocks fill an ellipsoid: the turn's components along x, y and z are those of a turn with
    a spread of 1 degree times these numbers. So equal numbers are as good as one, and (0, 0, 1) are turns about z alone
    by a standard deviation of 1/sqrt(3) degrees, which is what each component of an even spread of 1 degree has.

    Raises:
        ValueError: another distribution.
    """
    if distribution not in DISTRIBUTIONS:
        raise ValueError(f"distribution must be one of {', '.join(DISTRIBUTIONS)}, not {distribution!r}")
    spreads = np.broadcast_to(np.asarray(spread_deg, float), 3)
    if domains == 1 or not spreads.any():
        return np.eye(3)[np.newaxis]
    pairs = domains // 2
    turns = generator.standard_normal((pairs, 3))
    if distribution == "normal":
        turns *= np.sqrt(domains / (6 * pairs))
    else:
        turns /= np.linalg.norm(turns, axis=1, keepdims=True)
        turns *= generator.normal(0.0, np.sqrt(domains / (2 * pairs)), (pairs, 1))
    turns = turns * spreads
    both_ways = np.stack([turns, -turns], axis=1).reshape(-1, 3)
    return Rotation.from_rotvec(np.concatenate([both_ways, np.zeros((domains % 2, 3))]), degrees=True).as_matrix()
