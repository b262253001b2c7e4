"""simtbx's random rotations: the same seed gives the same matrices.

The uniform numbers come from Park and Miller's minimal standard generator, shuffled by Bays and Durham's table (Press &
Teukolsky, Computers in Physics 6, 522 (1992)).
"""

from __future__ import annotations

import math

import numpy as np

from nanobragg_kokkos.simtbx.arithmetic import length, triple

MODULUS = 2147483647
MULTIPLIER = 16807
TABLE = 32
PER_ENTRY = 1 + (MODULUS - 1) // TABLE
LARGEST = 1.0 - 1.2e-7


def next_state(state: int) -> int:
    """Returns the next number of the minimal standard generator."""
    return MULTIPLIER * state % MODULUS


class Uniform:
    """Uniform numbers between 0 and 1.

    Args:
        seed: start of the sequence; its sign is ignored, and 0 means 1.
    """

    def __init__(self, seed: int) -> None:
        self.state = abs(int(seed)) or 1
        for _ in range(8):
            self.state = next_state(self.state)
        self._table = [0] * TABLE
        for entry in reversed(range(TABLE)):
            self._table[entry] = self.state = next_state(self.state)
        self._last = self._table[0]

    def __call__(self) -> float:
        self.state = next_state(self.state)
        entry = self._last // PER_ENTRY
        self._last, self._table[entry] = self._table[entry], self.state
        return min(1.0 / MODULUS * self._last, LARGEST)


def rotation_in_cap(limit: float, uniform: Uniform) -> tuple[float, ...]:
    """Returns a rotation matrix (9 numbers, row by row) about a random axis, by an angle of up to limit (radians)."""
    longitude, z, share = (2.0 * uniform() - 1.0 for _ in range(3))
    ring = math.sqrt(1.0 - z * z)
    x, y = ring * math.sin(math.pi * longitude), ring * math.cos(math.pi * longitude)
    # simtbx calculates this root in single precision.
    angle = limit * float(np.float32(float(np.float32(1.0 - share * share)) ** float(np.float32(1.0 / 3.0))))
    c, s = math.cos(angle), math.sin(angle)
    left = 1.0 - c
    xy, xz, yz = left * x * y, left * x * z, left * y * z
    return (
        c + left * (x * x), xy - s * z, xz + s * y,
        xy + s * z, c + left * (y * y), yz - s * x,
        xz - s * y, yz + s * x, c + left * (z * z),
    )  # fmt: skip


def missetting_angles(matrix: tuple[float, ...]) -> tuple[float, float, float]:
    """Returns the angles (radians) about x, y and z, in this order, of a rotation matrix (row by row)."""
    rows = [triple(matrix[row : row + 3]) for row in (0, 3, 6)]
    (xx, xy, _), (yx, yy, _), (zx, zy, zz) = (tuple(v / length(row) for v in row) for row in rows)
    if zx * zx < 1.0:
        return math.atan2(zy, zz), math.atan2(-zx, math.sqrt(zy * zy + zz * zz)), math.atan2(yx, xx)
    return math.pi, math.pi / 2, math.atan2(xy, -yy)
