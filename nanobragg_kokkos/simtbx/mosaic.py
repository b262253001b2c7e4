"""The mosaic blocks."""

from __future__ import annotations

import math

from scitbx.array_family import flex

from nanobragg_kokkos.simtbx.arithmetic import DEGREE, Vector, combined, triple
from nanobragg_kokkos.simtbx.random_numbers import Uniform, missetting_angles, rotation_in_cap
from nanobragg_kokkos.simtbx.state import State

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def make_blocks(s: State) -> None:
    """Makes one block in the crystal's orientation and random ones around it, the same for the same mosaic_seed."""
    if s.user_blocks:
        return
    s.mosaic_domains = max(s.mosaic_domains, 1)
    uniform = Uniform(s.mosaic_seed)
    others = range(s.mosaic_domains - 1)
    s.mosaic_blocks = [IDENTITY] + [rotation_in_cap(s.mosaic_spread, uniform) for _ in others]


def take_blocks(s: State, matrices: flex.mat3_double) -> None:
    """Takes these matrices; no more are generated from now on."""
    s.mosaic_blocks = [tuple(matrix) for matrix in matrices]
    s.mosaic_domains = len(s.mosaic_blocks)
    s.user_blocks = True


def blocks_in_use(s: State) -> list[tuple[float, ...]]:
    """Returns the rotation matrices in use; without a spread, the crystal is a single block.

    Raises:
        ValueError: there are more domains than matrices.
    """
    if not s.mosaic_spread > 0.0:
        return [IDENTITY]
    if not 1 <= s.mosaic_domains <= len(s.mosaic_blocks):
        raise ValueError(f"mosaic_domains is {s.mosaic_domains}, but there are {len(s.mosaic_blocks)} mosaic blocks")
    return s.mosaic_blocks[: s.mosaic_domains]


def cells_of_blocks(s: State) -> flex.mat3_double:
    """Returns the vectors a, b, c (angstrom, nine numbers) of each block before any rotation of the spindle."""
    return flex.mat3_double([sum((_turned(scaled_up(v), block) for v in metres(s)), ()) for block in blocks_in_use(s)])


def metres(s: State) -> list[Vector]:
    """Returns the cell vectors in metres."""
    return [triple(1e-10 * x for x in v) for v in s.real_vectors]


def scaled_up(v: Vector) -> Vector:
    """Converts metres to angstrom."""
    return triple(1e10 * x for x in v)


def show(s: State) -> list[str]:
    """Returns lines about each block: its rotation as one angle and about x, y and z, and its matrix."""
    lines = []
    for number, block in enumerate(s.mosaic_blocks[: s.mosaic_domains]):
        cosine = max(-1.0, min(1.0, (block[0] + block[4] + block[8] - 1) / 2))
        about_axes = tuple(angle * DEGREE for angle in missetting_angles(block))
        lines.append(f"{number} by: {math.acos(cosine) * DEGREE:f} deg")
        lines.append(f"{number} by: %f %f %f deg" % about_axes)
        lines += ["       %f %f %f" % block[row : row + 3] for row in (0, 3, 6)]
    return lines + [f"  total of {s.mosaic_domains} mosaic domains"]


def _turned(v: Vector, block: tuple[float, ...]) -> Vector:
    columns = [triple(block[column::3]) for column in range(3)]
    return combined(*zip(v, columns))
