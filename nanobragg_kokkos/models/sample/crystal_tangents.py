"""How a crystal's blocks change with its orientation, cell, size, and mosaic spread."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nanobragg_kokkos.models.sample.crystal import Crystal, Rotation
from nanobragg_kokkos.models.tangent import Tangent

CELL_PARAMETERS = ("a", "b", "c", "alpha", "beta", "gamma")


class CrystalTangents:
    """Tangents of a crystal's parameters, taken where the crystal is.

    A block's cell vectors are M a, M b, M c, where M turns the crystal by the rotation of the exposure and then into
    the orientation of the block.

    Args:
        crystal: whose mosaic blocks are fixed in the laboratory, or in the crystal.
        blocks_turn: whether the blocks are fixed in the crystal, so that they turn with it.
    """

    def __init__(self, crystal: Crystal, blocks_turn: bool = False) -> None:
        self._crystal = crystal
        self._blocks_turn = blocks_turn
        self._blocks = np.asarray(crystal.mosaic_blocks)
        self._cell = np.linalg.inv(np.reshape(crystal.model.get_A(), (3, 3)))  # rows a, b, c
        self._spindle = _spindle_rotations(crystal.rotation or Rotation())
        self._turns = np.einsum("bij,sjk->sbik", self._blocks, self._spindle).reshape(-1, 3, 3)

    def rotation(self, axis: Sequence[float]) -> Tangent:
        """Returns the tangent of a right-handed rotation (radians) of the crystal before that of the exposure.

        It is dxtbx's rotate_around_origin of a Crystal.

        Args:
            axis: (3,) unit vector in the laboratory.
        """
        generator = cross_matrix(axis)
        if self._blocks_turn:
            inner = np.einsum("bij,aj->bai", self._blocks, self._cell)
            moved = np.einsum("sij,jk,bak->sbai", self._spindle, generator, inner)
            return Tangent(blocks=moved.reshape(-1, 3, 3))
        return Tangent(blocks=self._turned(self._cell @ generator.T))

    def cell(self, parameter: str) -> Tangent:
        """Returns the tangent of a cell length (angstrom) or angle (degrees); the orientation matrix U is kept.

        Args:
            parameter: a, b, c, alpha, beta or gamma.
        """
        unit_cell = self._crystal.model.get_unit_cell()
        parameters = unit_cell.parameters()
        orthogonal, changes = orthogonalization_derivatives(parameters)
        number = CELL_PARAMETERS.index(parameter)
        orientation = self._cell.T @ np.linalg.inv(orthogonal)  # U
        change = (orientation @ changes[number]).T
        log_volume = float(np.trace(np.linalg.solve(orthogonal, changes[number])))
        return Tangent(
            blocks=self._turned(change), log_spots=-log_volume if self._crystal.volume_mm3 is not None else 0.0
        )

    def n_cells(self, axis: int) -> Tangent:
        """Returns the tangent of the number of cells along a, b or c (axis 0, 1, 2)."""
        along = np.eye(3)[axis]
        fewer = -1 / self._crystal.n_cells[axis] if self._crystal.volume_mm3 is not None else 0.0
        return Tangent(n_cells=along, log_spots=fewer)

    def scale(self) -> Tangent:
        """Returns the tangent of a factor of all spots, where it is 1."""
        return Tangent(log_spots=1.0)

    def volume(self) -> Tangent:
        """Returns the tangent of the crystal's volume, mm³.

        Raises:
            ValueError: the crystal has none: its photons are those of one block.
        """
        if self._crystal.volume_mm3 is None:
            raise ValueError("volume_mm3 of the crystal is needed for its derivative")
        return Tangent(log_spots=1 / self._crystal.volume_mm3)

    def mosaic_spread(self, unit_vectors: np.ndarray, spread_deg: Sequence[float], axis: int) -> Tangent:
        """Returns the tangent of the mosaic spread (degrees) about one axis.

        The crystal's blocks are the rotations exp([w]) by the rotation vectors w_k = spread_k u_k; where the blocks
        turn with the crystal, they are U exp([w]) U⁻¹.

        Args:
            unit_vectors: (n, 3) the vectors u of the blocks, drawn once.
            spread_deg: (3,) degrees.
            axis: 0, 1 or 2.
        """
        degree = math.pi / 180
        vectors = np.asarray(unit_vectors, float) * np.asarray(spread_deg, float) * degree
        change = np.zeros_like(vectors)
        change[:, axis] = np.asarray(unit_vectors)[:, axis] * degree
        moved = np.array([rotation_vector_derivative(v, d) for v, d in zip(vectors, change)])
        if self._blocks_turn:
            orthogonal, _ = orthogonalization_derivatives(self._crystal.model.get_unit_cell().parameters())
            orientation = self._cell.T @ np.linalg.inv(orthogonal)
            moved = orientation @ moved @ orientation.T
            blocks = np.einsum("sij,bjk,ak->sbai", self._spindle, moved, self._cell)
        else:
            blocks = np.einsum("bij,sjk,ak->sbai", moved, self._spindle, self._cell)
        return Tangent(blocks=blocks.reshape(-1, 3, 3))

    def _turned(self, rows: np.ndarray) -> np.ndarray:
        return np.einsum("nij,aj->nai", self._turns, rows)


def cross_matrix(v: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns the matrix (3, 3) that a vector is multiplied with for its cross product with others."""
    x, y, z = v
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def rotation_vector_derivative(vector: np.ndarray, change: np.ndarray) -> np.ndarray:
    """Returns the derivative (3, 3) of the rotation by |vector| (radians) about vector, along a change of it.

    exp([v]) changes by [J dv] exp([v]) with the left Jacobian of SO(3),
    J = 1 + (1 − cos θ)/θ² [v] + (θ − sin θ)/θ³ [v]², θ = |v|.
    """
    angle = float(np.linalg.norm(vector))
    k = cross_matrix(vector)
    if angle < 1e-3:  # the series, good to 1e-16
        a2 = angle * angle
        sine, one, two = 1 - a2 / 6 + a2 * a2 / 120, 0.5 - a2 / 24 + a2 * a2 / 720, 1 / 6 - a2 / 120 + a2 * a2 / 5040
    else:
        sine = math.sin(angle) / angle
        one, two = 2 * (math.sin(angle / 2) / angle) ** 2, (1 - sine) / (angle * angle)
    jacobian = np.eye(3) + one * k + two * (k @ k)
    rotation = np.eye(3) + sine * k + one * (k @ k)
    return cross_matrix(jacobian @ change) @ rotation


def orthogonalization_derivatives(parameters: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the orthogonalization matrix of a unit cell and its derivatives.

    The columns of the matrix are a, b, c in angstrom, with a along x and b in the xy plane.  The derivatives (6, 3, 3)
    are by a, b, c (angstrom) and alpha, beta, gamma (degrees).

    Args:
        parameters: (6,) angstrom and degrees.
    """
    a, b, c = parameters[:3]
    degree = math.pi / 180
    (ca, cb, cg), (sa, sb, sg) = ([f(angle * degree) for angle in parameters[3:]] for f in (math.cos, math.sin))
    x = (ca - cb * cg) / sg
    z = math.sqrt(1 - cb * cb - x * x)
    orthogonal = np.array([[a, b * cg, c * cb], [0, b * sg, c * x], [0, 0, c * z]])
    changes = np.zeros((6, 3, 3))
    changes[0, 0, 0] = 1
    changes[1, :, 1] = cg, sg, 0
    changes[2, :, 2] = cb, x, z
    x_by = (-sa / sg, sb * cg / sg, cb - x * cg / sg)  # by alpha, beta, gamma
    cb_by, angles_by_b = (0.0, -sb, 0.0), ((0, 0), (0, 0), (-sg, cg))
    for i in range(3):
        z_by = -(cb * cb_by[i] + x * x_by[i]) / z
        changes[3 + i, :2, 1] = b * np.array(angles_by_b[i])
        changes[3 + i, :, 2] = c * np.array([cb_by[i], x_by[i], z_by])
    changes[3:] *= degree
    return orthogonal, changes


def _spindle_rotations(rotation: Rotation) -> np.ndarray:
    axis = np.array(rotation.axis) / np.linalg.norm(rotation.axis)
    angles = np.radians(rotation.start_deg + np.arange(rotation.steps) * (rotation.width_deg / rotation.steps))
    k = cross_matrix(axis)
    return np.array([np.eye(3) + math.sin(t) * k + 2 * math.sin(t / 2) ** 2 * (k @ k) for t in angles])
