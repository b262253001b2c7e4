"""How models change with a parameter: the derivatives of what they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

ZERO3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True, eq=False)
class Tangent:
    """The derivatives of models by one parameter.

    Tangents add up, and may be multiplied by numbers: parameters that are tied to each other have the sum of their
    tangents, parameters in another unit a multiple.

    Args:
        blocks: (n, 3, 3) of the cell vectors a, b, c (rows, angstrom) of each block of the crystal; the blocks of the
            first rotation step come first.
        n_cells: (3,) of the number of cells along a, b, c in a block.
        log_spots: of the logarithm of the photons in all spots.
        log_background: of the logarithm of the photons of the background.
        beam_rotation: (3,) rotation vector, radians, by which all sources turn with their polarization.
        kahn_factor: of the Kahn factor.
        wavelength: of all wavelengths, angstrom.
        log_wavelength: of the logarithm of all wavelengths.
        weights: (n,) of the share of the photons that each source has.
        panel_translations: (n, 3) of each panel, mm.
        panel_rotations: (n, 3) rotation vector of each panel about the sample, radians.
    """

    blocks: np.ndarray | None = None
    n_cells: np.ndarray | tuple[float, ...] = ZERO3
    log_spots: float = 0.0
    log_background: float = 0.0
    beam_rotation: np.ndarray | tuple[float, ...] = ZERO3
    kahn_factor: float = 0.0
    wavelength: float = 0.0
    log_wavelength: float = 0.0
    weights: np.ndarray | None = None
    panel_translations: np.ndarray | None = None
    panel_rotations: np.ndarray | None = None

    def __add__(self, other: Tangent) -> Tangent:
        return Tangent(**{f.name: _sum(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)})

    def __mul__(self, factor: float) -> Tangent:
        scaled: dict[str, Any] = {
            f.name: None if getattr(self, f.name) is None else factor * np.asarray(getattr(self, f.name))
            for f in fields(self)
        }
        return Tangent(**scaled)

    __rmul__ = __mul__

    @property
    def common(self) -> np.ndarray:
        """(11,) the numbers that are neither of a block, nor of a source, nor of a panel."""
        return np.concatenate(
            [
                np.asarray(self.n_cells, float),
                [self.log_spots, self.log_background],
                np.asarray(self.beam_rotation, float),
                [self.kahn_factor, self.wavelength, self.log_wavelength],
            ]
        )

    @property
    def panel_motions(self) -> np.ndarray | None:
        """(n, 6) translation and rotation of each panel; None if none moves."""
        given = [moves for moves in (self.panel_translations, self.panel_rotations) if moves is not None]
        if not given:
            return None
        still = np.zeros_like(np.asarray(given[0], float))
        both = [still if moves is None else moves for moves in (self.panel_translations, self.panel_rotations)]
        return np.concatenate(both, axis=1)


def stacked(tangents: list[Tangent], part: Callable[[Tangent], np.ndarray | None]) -> np.ndarray:
    """Returns one part of all tangents, flat, parameter by parameter; empty if none has it.

    Raises:
        ValueError: tangents of different models.
    """
    parts = [part(tangent) for tangent in tangents]
    shapes = {np.shape(array) for array in parts if array is not None}
    if not shapes:
        return np.zeros(0)
    if len(shapes) > 1:
        raise ValueError(f"tangents must be of the same models, but have arrays of the shapes {sorted(shapes)}")
    zero = np.zeros(shapes.pop())
    return np.concatenate([(zero if array is None else np.asarray(array, float)).ravel() for array in parts])


def _sum(first, second):
    if first is None or second is None:
        return second if first is None else first
    return np.asarray(first) + np.asarray(second)
