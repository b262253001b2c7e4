"""Vectors as tuples of three floats, with the results that C's arithmetic gives.

Sums and products have simtbx's order, so that even rounding errors agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

Vector = tuple[float, float, float]

DEGREE = 180.0 / math.pi  # a radian in degrees
SMALLEST = 2.2250738585072014e-308  # the smallest normal double


def triple(values: Iterable[float]) -> Vector:
    """Returns three numbers as a vector."""
    x, y, z = values
    return (x, y, z)


def divided(a: float, b: float) -> float:
    """Returns a / b; a division by zero gives infinity or NaN instead of an error."""
    if b != 0:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def dot(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross(a: Vector, b: Vector) -> Vector:
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def length(v: Vector) -> float:
    return math.sqrt(dot(v, v))


def scaled(v: Vector, factor: float) -> Vector:
    return (factor * v[0], factor * v[1], factor * v[2])


def with_length(v: Vector, wanted: float) -> Vector:
    """Returns the vector with another length; a zero vector stays zero."""
    return scaled(v, wanted / (length(v) or 1.0))


def unit(v: Vector) -> Vector:
    """Returns the unit vector along a vector; a zero vector stays zero."""
    size = length(v)
    return (v[0] / size, v[1] / size, v[2] / size) if size != 0 else (0.0, 0.0, 0.0)


def combined(*terms: tuple[float, Vector]) -> Vector:
    """Returns a sum of multiples of vectors, added from left to right."""
    return triple(sum((factor * v[i] for factor, v in terms[1:]), terms[0][0] * terms[0][1][i]) for i in range(3))


def turned_xyz(v: Vector, angles: Vector) -> Vector:
    """Rotates a vector about x, then y, then z by these angles (radians), right-handed."""
    x, y, z = v
    about_x, about_y, about_z = angles
    if about_x != 0:
        c, s = math.cos(about_x), math.sin(about_x)
        y, z = y * c + z * -s, y * s + z * c
    if about_y != 0:
        c, s = math.cos(about_y), math.sin(about_y)
        x, z = x * c + z * s, x * -s + z * c
    if about_z != 0:
        c, s = math.cos(about_z), math.sin(about_z)
        x, y = x * c + y * -s, x * s + y * c
    return (x, y, z)


def turned_about(v: Vector, axis: Vector, angle: float) -> Vector:
    """Rotates a vector about a unit vector by an angle (radians), right-handed."""
    s, c = math.sin(angle), math.cos(angle)
    along = dot(axis, v) * (1.0 - c)
    return (
        axis[0] * along + v[0] * c + (-axis[2] * v[1] + axis[1] * v[2]) * s,
        axis[1] * along + v[1] * c + (axis[2] * v[0] - axis[0] * v[2]) * s,
        axis[2] * along + v[2] * c + (-axis[1] * v[0] + axis[0] * v[1]) * s,
    )
