"""Unit cells that differ from crystal to crystal within their symmetry."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from cctbx import sgtbx, uctbx


def varied_cell(
    cell: uctbx.unit_cell, space_group: sgtbx.space_group, relative: Sequence[float], generator: np.random.Generator
) -> uctbx.unit_cell:
    """Returns a cell whose axes are drawn from normal distributions around those of another; its angles stay.

    Args:
        cell: has the symmetry of the space group.
        relative: (3,) standard deviations of a, b and c, over their lengths. Axes that symmetry makes equal change
            alike, as the first of them.
    """
    factors = 1.0 + np.multiply(relative, generator.standard_normal(3))
    factors = factors[first_equal_axes(cell, space_group)]
    # A cell has lengths; with the deviations that make sense, this is never reached.
    factors = np.maximum(factors, 1e-3)
    parameters = np.array(cell.parameters())
    parameters[:3] *= factors
    return space_group.average_unit_cell(uctbx.unit_cell(tuple(parameters)))


def first_equal_axes(cell: uctbx.unit_cell, space_group: sgtbx.space_group) -> list[int]:
    """Returns for a, b and c the number of the first axis that symmetry makes equally long."""
    first = [0, 1, 2]
    for axis in (2, 1, 0):
        parameters = list(cell.parameters())
        parameters[axis] *= 1.01
        average = space_group.average_unit_cell(uctbx.unit_cell(tuple(parameters))).parameters()
        for other in range(axis + 1, 3):
            if average[other] > 1.001 * cell.parameters()[other]:
                first[other] = axis
    return first
