"""The crystal's cell and orientation."""

from __future__ import annotations

import math

from cctbx import uctbx

from nanobragg_kokkos.simtbx.arithmetic import (
    DEGREE,
    SMALLEST,
    Vector,
    cross,
    dot,
    length,
    scaled,
    triple,
    turned_xyz,
    with_length,
)
from nanobragg_kokkos.simtbx.random_numbers import Uniform, missetting_angles, rotation_in_cap
from nanobragg_kokkos.simtbx.state import State


def orient(s: State) -> None:
    """Calculates the real and the reciprocal vectors from the cell, or from the reciprocal vectors of a script.

    Missetting angles rotate the present vectors. So they add up if a matrix was given; and a cell that is not
    orthogonal changes slightly each time, because simtbx places c* by a formula that holds only for right angles.
    """
    if not (s.user_cell or s.user_matrix):
        return
    if s.user_cell:
        s.reciprocal_vectors, s.cell_volume = _standard_setting(s)
    if s.user_missets:
        a_star, b_star, c_star = (turned_xyz(v, s.missets) for v in s.reciprocal_vectors)
        s.reciprocal_vectors = (a_star, b_star, c_star)
    a_star, b_star, c_star = s.reciprocal_vectors
    products = [cross(b_star, c_star), cross(c_star, a_star), cross(a_star, b_star)]
    reciprocal_volume = dot(a_star, products[0])
    if s.user_cell:
        products = [with_length(p, edge / s.cell_volume) for p, edge in zip(products, s.cell_lengths)]
        reciprocal_volume = 1.0 / s.cell_volume
    if reciprocal_volume == 0:
        raise ValueError("the vectors of Amatrix span no volume")
    s.cell_volume = 1.0 / reciprocal_volume
    take_real_vectors(s, [scaled(p, s.cell_volume) for p in products], reciprocal_volume)


def default_reciprocal_vectors() -> tuple[Vector, Vector, Vector]:
    """Returns the reciprocal vectors of the default cell in the standard orientation."""
    s = State()
    s.cell_lengths, s.cell_angles, s.user_cell = (78.0, 78.0, 38.0), (math.pi / 2,) * 3, True
    orient(s)
    return s.reciprocal_vectors


def take_real_vectors(s: State, vectors: list[Vector], reciprocal_volume: float) -> None:
    """Sets the real vectors (angstrom) and all values that follow from them."""
    a, b, c = vectors
    s.real_vectors = (a, b, c)
    a_star, b_star, c_star = (scaled(p, reciprocal_volume) for p in (cross(b, c), cross(c, a), cross(a, b)))
    s.reciprocal_vectors = (a_star, b_star, c_star)
    s.cell_lengths = edges = triple(length(v) for v in s.real_vectors)
    s.real_lengths = triple(length(scaled(v, 1e-10)) for v in s.real_vectors)
    angles = []
    for i, j, k in ((0, 1, 2), (1, 0, 2), (2, 0, 1)):
        sine = length(s.reciprocal_vectors[i]) * s.cell_volume / edges[j] / edges[k]
        cosine = dot(s.real_vectors[j], s.real_vectors[k]) / edges[j] / edges[k]
        angles.append(math.atan2(_sine(sine), _cosine(cosine)))
    s.cell_angles = triple(angles)


def take_direct_matrix(s: State, matrix: tuple[float, ...]) -> None:
    """Sets a, b, c (angstrom, nine numbers) without applying missetting angles."""
    a, b, c = triple(matrix[0:3]), triple(matrix[3:6]), triple(matrix[6:9])
    volume = dot(a, cross(b, c))
    if volume == 0:
        raise ValueError("the vectors of Amatrix_RUB span no volume")
    s.user_cell = True
    s.cell_volume = abs(volume)
    take_real_vectors(s, [a, b, c], 1.0 / volume)
    cell = uctbx.unit_cell(
        orthogonalization_matrix=tuple(matrix[3 * column + row] for row in range(3) for column in range(3))
    )
    s.cell_angles = triple(angle / DEGREE for angle in cell.parameters()[3:])


def randomize_orientation(s: State) -> None:
    """Sets the missetting angles of a random orientation, and rotates the cell by them."""
    uniform = Uniform(s.seed)
    # The largest angle is 90 radians, not degrees, as in simtbx, so that the orientations are the same.
    s.missets = missetting_angles(rotation_in_cap(90.0, uniform))
    s.seed = uniform.state
    s.user_missets = True
    orient(s)


def show(s: State) -> list[str]:
    """Returns lines of text about the cell and its vectors."""
    lines = [
        "  unit cell %g %g %g %g %g %g" % (*s.cell_lengths, *(angle * DEGREE for angle in s.cell_angles)),
        "  reciprocal cell %g %g %g 1/A" % tuple(length(v) for v in s.reciprocal_vectors),
        f"  volume {s.cell_volume:g} A^3",
        "  missetting angles %.8f %.8f %.8f degrees" % tuple(angle * DEGREE for angle in s.missets),
    ]
    for name, vectors in (("a b c (A)", s.real_vectors), ("a* b* c* (1/A)", s.reciprocal_vectors)):
        lines += [f"  {name}"] + [
            f"  {axis} %11.8f %11.8f %11.8f" % tuple(v[i] for v in vectors) for i, axis in enumerate("XYZ")
        ]
    return lines


def _standard_setting(s: State) -> tuple[tuple[Vector, Vector, Vector], float]:
    """Returns the reciprocal vectors of the cell with a* along x and b* in the xy plane, and the cell's volume."""
    a, b, c = s.cell_lengths
    b, c = (edge if edge > 0.0 else a for edge in (b, c))
    alpha, beta, gamma = s.cell_angles = triple(angle if angle > 0.0 else math.pi / 2 for angle in s.cell_angles)
    s.cell_lengths = (a, b, c)
    half = (alpha + beta + gamma) / 2
    skew = abs(math.sin(half) * math.sin(half - alpha) * math.sin(half - beta) * math.sin(half - gamma))
    volume = 2.0 * a * b * c * math.sqrt(skew) or SMALLEST
    inverse = 1.0 / volume
    a_star, b_star, c_star = (
        abs(length) or SMALLEST
        for length in (
            b * c * math.sin(alpha) * inverse,
            c * a * math.sin(beta) * inverse,
            a * b * math.sin(gamma) * inverse,
        )
    )
    sine_gamma = _sine(c * inverse / a_star / b_star)
    cosines = [
        _cosine((math.cos(v) * math.cos(w) - math.cos(u)) / (math.sin(v) * math.sin(w)))
        for u, v, w in ((alpha, beta, gamma), (beta, gamma, alpha), (gamma, alpha, beta))
    ]
    cosine_alpha, cosine_beta, cosine_gamma = cosines
    vectors = (
        (a_star, 0.0, 0.0),
        (b_star * cosine_gamma, b_star * sine_gamma, 0.0),
        (
            c_star * cosine_beta,
            c_star * (cosine_alpha - cosine_beta * cosine_gamma) / sine_gamma,
            c_star * volume / (a * b * c * sine_gamma),
        ),
    )
    return vectors, volume


def _sine(value: float) -> float:
    return max(-1.0, min(1.0, value))


def _cosine(value: float) -> float:
    return value if value * value <= 1.0 else 1.0
