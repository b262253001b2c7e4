"""Compares unit cells and space groups given by the user with those of a file and with each other."""

from __future__ import annotations

from cctbx import crystal, sgtbx, uctbx
from libtbx.utils import Sorry

# Larger differences between a given cell and a file's give a warning: changes with temperature are smaller.
LENGTHS = 0.01
ANGLES_DEG = 1.0

# How far a cell may be from the symmetry of its space group before it is worth a word: lengths in files have three
# digits after the point, or 24 bits; relative, and degrees.
ROUNDING = 2e-5
ROUNDING_DEG = 1e-3


def chosen(
    file: str,
    of_file: crystal.symmetry,
    unit_cell: uctbx.unit_cell | None,
    space_group: sgtbx.space_group_info | None,
) -> crystal.symmetry:
    """Returns the given unit cell and space group, or those of the file; either must exist.

    Args:
        file: the parameter and the name of the file, for messages.

    Raises:
        Sorry: the cell does not have the symmetry of the space group.
    """
    cell, group = unit_cell or of_file.unit_cell(), space_group or of_file.space_group_info()
    if not group.group().is_compatible_unit_cell(cell):
        if unit_cell is not None:
            wrong = f"crystal.unit_cell={numbers(cell)}: expected a cell that has the symmetry of space group {group}"
        elif space_group is not None:
            wrong = f"crystal.space_group={group}: expected a group whose symmetry the cell of {file} has"
            wrong = f"{wrong}, {numbers(cell)}; else give crystal.unit_cell"
        else:
            wrong = f"{file}: expected a cell that has the symmetry of its space group {group}, not {numbers(cell)}"
        raise Sorry(wrong)
    return crystal.symmetry(unit_cell=cell, space_group_info=group)


def contradictions(
    file: str,
    of_file: crystal.symmetry,
    unit_cell: uctbx.unit_cell | None,
    space_group: sgtbx.space_group_info | None,
) -> tuple[str, ...]:
    """Returns a line for each given value that contradicts the file, and for a cell that is made symmetric.

    Args:
        of_file: unit cell and space group as in the file, before the cell is adapted to the group.
    """
    found: list[str] = []
    cell, group = of_file.unit_cell(), of_file.space_group_info()
    found.extend(_averaging(file, unit_cell, cell, space_group or group))
    if unit_cell and cell and not unit_cell.is_similar_to(cell, LENGTHS, ANGLES_DEG):
        found.append(f"Warning: crystal.unit_cell={numbers(unit_cell)} takes the place of {numbers(cell)} in {file}")
    if space_group and group and space_group.group() != group.group():
        found.append(f"Warning: crystal.space_group={space_group} takes the place of {group} in {file}")
    return tuple(found)


def _averaging(
    file: str,
    given: uctbx.unit_cell | None,
    of_file: uctbx.unit_cell | None,
    group: sgtbx.space_group_info | None,
) -> tuple[str, ...]:
    cell = given or of_file
    if cell is None or group is None or not group.group().is_compatible_unit_cell(cell):
        return ()
    symmetric = group.group().average_unit_cell(cell)
    if symmetric.is_similar_to(cell, ROUNDING, ROUNDING_DEG):
        return ()
    origin = f"crystal.unit_cell={numbers(given)}" if given else f"the cell {numbers(cell)} of {file}"
    return (f"Warning: {origin} does not have the symmetry of {group}: {numbers(symmetric)} is used",)


def numbers(cell: uctbx.unit_cell) -> str:
    """Returns the six parameters of a unit cell as text."""
    return " ".join(f"{value:g}" for value in cell.parameters())
