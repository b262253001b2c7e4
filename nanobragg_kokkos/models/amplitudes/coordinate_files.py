"""Parses coordinate files: PDB, mmCIF and small-molecule CIF (core dictionary), with one or several models."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import iotbx.cif
import iotbx.cif.builders
import iotbx.cif.model
import iotbx.pdb
import numpy as np
from cctbx import adptbx, crystal, sgtbx, uctbx, xray
from cctbx.array_family import flex
from iotbx.pdb import cryst1_interpretation, mmcif

from nanobragg_kokkos.models.amplitudes import cif_text, rigid_motion, special_positions

ATOMS = ("ATOM  ", "HETATM")

# Columns of the PDB format.
OCCUPANCY, B_FACTOR = slice(54, 60), slice(60, 66)

# What CIF writes for values that are not known and for those that do not apply.
NO_VALUE = ("?", ".")

# SCALE records have six digits after the point, the translation five; cells have three.
SCALE_DIGITS, SCALE_RELATIVE, ORIGIN_DIGITS = 2e-6, 2e-4, 5e-5


@dataclass(frozen=True, eq=False)
class CoordinateFile:
    """The contents of a file of coordinates.

    Args:
        symmetry: unit cell and space group as in the file, even if they contradict each other; either may be None.
        models: functions by the names of the models, in their order, that return the atoms of a model in a crystal
            with a given symmetry.
        operators: (rotation (3, 3), translation (3,) in angstrom) of the non-crystallographic symmetry whose copies
            are not in the file.
        placement: (rotation, translation) from the axes of the file to cctbx's standard ones, if they differ.
        warnings: lines of text for the user.
        of_sites: whether occupancies on special positions are always those of the sites.
    """

    symmetry: crystal.symmetry
    models: Mapping[str, Callable[[crystal.symmetry], xray.structure]]
    operators: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    placement: tuple[np.ndarray, np.ndarray] | None = None
    warnings: tuple[str, ...] = ()
    of_sites: bool = False


def parse(contents: bytes, name: str, space_group: sgtbx.space_group_info | None = None) -> CoordinateFile:
    """Parses the contents of a file.

    Args:
        name: name of the file, for warnings.
        space_group: space group for CIFs that give none.

    Raises:
        ValueError: they are none of these formats, or hold no atoms; cctbx raises many other types.
    """
    text = contents.decode("utf-8-sig", "replace")
    if not cif_text.is_cif(text):
        return _pdb(text, name)
    cif_text.check(text)
    blocks = [_with_underscores(block) for block in iotbx.cif.reader(input_string=text).model().values()]
    for key, parser in (("_atom_site.Cartn_x", _mmcif), ("_atom_site_fract_x", _core_cif)):
        found = [block for block in blocks if key in block]
        if found:
            read = parser(found[0], name, space_group)
            if len(found) > 1:
                line = f"Warning: {name} has {len(found)} structures: the first counts"
                read = CoordinateFile(**{**vars(read), "warnings": (line, *read.warnings)})
            return read
    raise ValueError("it has no atoms")


def _with_underscores(block: iotbx.cif.model.block) -> iotbx.cif.model.block:
    """Returns a block with the names of the core dictionary as they were before its version 3, which has points."""
    if "_atom_site.fract_x" not in block or "_atom_site.Cartn_x" in block:
        return block
    found = iotbx.cif.model.block()
    for key in block:
        if not isinstance(block[key], flex.std_string):
            found[key.replace(".", "_")] = block[key]
    for loop in block.loops.values():
        columns = {key.replace(".", "_"): values for key, values in loop.items()}
        found.add_loop(iotbx.cif.model.loop(data=columns))
    return found


def _pdb(text: str, name: str) -> CoordinateFile:
    lines = text.splitlines()
    if not any(line.startswith(ATOMS) for line in lines):
        raise ValueError("it has no atoms")
    lines, warnings = _with_occupancies(lines, name)
    common: list[str] = []
    models: dict[str, list[str]] = {}
    into = common
    for line in lines:
        record = line[:6].strip()
        if record == "MODEL":
            number = line[6:].strip() or str(len(models) + 1)
            # Some files number all models alike.
            into = models.setdefault(number if number not in models else f"{number}, number {len(models) + 1}", [])
        elif record == "ENDMDL":
            into = common
        else:
            into.append(line)
    models = {number: atoms for number, atoms in models.items() if any(line.startswith(ATOMS) for line in atoms)}
    texts = {number: "\n".join([*common, *atoms]) for number, atoms in models.items()} or {"1": "\n".join(common)}
    records = iotbx.pdb.pdb_input(source_info=name, lines=next(iter(texts.values())))
    symmetry = _pdb_symmetry(records, common)
    operators = _generating(records)
    placement, told = _placement(records.scale_matrix(), symmetry.unit_cell(), name)
    told = (
        *told,
        *_origins(symmetry.space_group_info(), next((x for x in common if x.startswith("CRYST1")), ""), name),
    )
    builders = {
        number: lambda symmetry, text=text: _structure(iotbx.pdb.pdb_input(source_info=name, lines=text), symmetry)
        for number, text in texts.items()
    }
    return CoordinateFile(symmetry, builders, operators, placement, (*warnings, *told))


def _with_occupancies(lines: list[str], name: str) -> tuple[list[str], tuple[str, ...]]:
    """Returns lines of the PDB format in which no atom is without an occupancy."""
    n_occupancies = n_displacements = 0
    found = []
    for line in lines:
        if line.startswith(ATOMS):
            if not line[B_FACTOR].strip():
                n_displacements += 1
            if not line[OCCUPANCY].strip():
                n_occupancies += 1
                line = f"{line[: OCCUPANCY.start]:<54}  1.00{line[OCCUPANCY.stop :]}"
        found.append(line)
    return found, _missing(name, n_occupancies, n_displacements)


def _missing(name: str, n_occupancies: int, n_displacements: int) -> tuple[str, ...]:
    counts = ((n_occupancies, "occupancy", "1"), (n_displacements, "B factor", "0"))
    return tuple(f"Warning: {name}: {n} atoms have no {what}: {value} is taken" for n, what, value in counts if n)


def _pdb_symmetry(records: iotbx.pdb.pdb_input_mixin, lines: list[str]) -> crystal.symmetry:
    try:
        averaged = records.crystal_symmetry() or crystal.symmetry()
    except AssertionError:
        # cctbx refuses cells that do not have the symmetry of the group.
        averaged = None
    cryst1 = [line for line in lines if line.startswith("CRYST1")]
    if not cryst1 or (averaged and averaged.unit_cell() is None):
        return averaged or crystal.symmetry()
    record = iotbx.pdb.records.cryst1(pdb_str=cryst1[0])
    group = averaged.space_group_info() if averaged else None
    group = group or cryst1_interpretation.categorize(record.sgroup).space_group_info(unit_cell=record.ucparams)
    return _as_given(uctbx.unit_cell(tuple(record.ucparams)), group)


def _origins(group: sgtbx.space_group_info | None, cryst1: str, name: str) -> tuple[str, ...]:
    """Returns a line if the symbol of a space group leaves open which of two origins of International Tables it has."""
    given = cryst1[55:66].strip()
    if group is None or not str(group).endswith(":2") or (given[-1:] in ("2", "S", "Z") and not given[-2:].isdecimal()):
        return ()
    first = str(group)[:-1] + "1"
    return (f"{name}: of the two origins of {given}, the second is taken; crystal.space_group='{first}' is the first",)


def _as_given(cell: uctbx.unit_cell | None, group: sgtbx.space_group_info | None) -> crystal.symmetry:
    return crystal.symmetry(
        unit_cell=cell, space_group_info=group, assert_is_compatible_unit_cell=False, force_compatible_unit_cell=False
    )


def _structure(records: iotbx.pdb.pdb_input_mixin, symmetry: crystal.symmetry) -> xray.structure:
    found = records.xray_structure_simple(crystal_symmetry=symmetry, use_scale_matrix_if_available=False)
    return special_positions.placed(symmetry, found.scatterers())


def _generating(records: iotbx.pdb.pdb_input_mixin) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Returns the operators among MTRIX records whose copies are not in the file."""
    try:
        found = records.process_MTRIX_records()
    except Exception as error:
        # cctbx looks at no record before it does arithmetic with it.
        raise ValueError("its MTRIX records are not complete") from error
    every = zip(found.serial_number, found.r, found.t, found.coordinates_present)
    return tuple(
        _operator(number, np.reshape(rotation, (3, 3)), np.reshape(translation, 3))
        for number, rotation, translation, present in every
        if not present
    )


def _operator(number: object, rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if not rigid_motion.is_rotation(rotation) or not np.isfinite(translation).all():
        raise ValueError(f"its non-crystallographic symmetry operator {number} is not a rotation with a translation")
    return rotation, translation


def _placement(
    scale: list | None, cell: uctbx.unit_cell | None, name: str
) -> tuple[tuple[np.ndarray, np.ndarray] | None, tuple[str, ...]]:
    """Returns the motion from the axes and origin of a file (SCALE records, _atom_sites) to cctbx's, if there is any.

    With coordinates X in the file and fractional ones SCALE X + s, cctbx has O (SCALE X + s), O being the
    orthogonalization matrix of the cell.
    """
    if scale is None or cell is None:
        return None, ()
    matrix, origin = np.reshape(scale[0], (3, 3)), np.array(scale[1], float)
    standard = np.reshape(cell.fractionalization_matrix(), (3, 3))
    differs = np.abs(matrix - standard).max() > SCALE_DIGITS + SCALE_RELATIVE * np.abs(standard).max()
    if not differs and np.abs(origin).max() <= ORIGIN_DIGITS:
        return None, ()
    orthogonalization = np.reshape(cell.orthogonalization_matrix(), (3, 3))
    rotation = orthogonalization @ matrix if differs else np.identity(3)
    if not rigid_motion.is_rotation(rotation) or not np.isfinite(origin).all():
        line = f"Warning: {name}: SCALE records (or _atom_sites) that do not belong to its unit cell are not used"
        return None, (line,)
    # The nearest rotation, without the rounding.
    left, _, right = np.linalg.svd(rotation)
    rotation = left @ right
    line = f"{name}: SCALE records (or _atom_sites) give other axes or another origin than the unit cell: they are used"
    return (rotation, orthogonalization @ origin), (line,)


def _mmcif(block: iotbx.cif.model.block, name: str, space_group: sgtbx.space_group_info | None) -> CoordinateFile:
    atoms = block.get_loop_or_row("_atom_site")
    atoms, n_occupancies = _filled(atoms, "_atom_site.occupancy", "1")
    atoms, n_displacements = _filled(atoms, "_atom_site.B_iso_or_equiv", "0")
    numbers = list(atoms.get("_atom_site.pdbx_PDB_model_num", flex.std_string(atoms.size(), "1")))
    if "_atom_site.pdbx_PDB_model_num" not in atoms:
        atoms["_atom_site.pdbx_PDB_model_num"] = flex.std_string(numbers)

    def records(number: str) -> mmcif.cif_input:
        chosen = flex.bool([other == number for other in numbers])
        rows = {key: values.select(chosen) for key, values in atoms.items()}
        with_rows = iotbx.cif.model.cif()
        with_rows[name] = _with_loop(block, iotbx.cif.model.loop(data=rows))
        return mmcif.cif_input(cif_object=with_rows)

    names = list(dict.fromkeys(numbers))
    first = records(names[0])
    symmetry = first.crystal_symmetry() or crystal.symmetry()
    if symmetry.unit_cell():
        symmetry = _as_given(cell_of_block(block) or symmetry.unit_cell(), symmetry.space_group_info())
    placement, told = _placement(_fract_transf(block), symmetry.unit_cell(), name)
    builders = {number: lambda symmetry, number=number: _structure(records(number), symmetry) for number in names}
    warnings = (*_missing(name, n_occupancies, n_displacements), *told)
    return CoordinateFile(symmetry, builders, _struct_ncs_oper(block), placement, warnings)


def _filled(loop: iotbx.cif.model.loop, key: str, value: str) -> tuple[iotbx.cif.model.loop, int]:
    """Returns a loop with the missing values of a column filled in, and their number."""
    values = list(loop.get(key, flex.std_string(loop.size(), "?")))
    n_missing = sum(one in NO_VALUE for one in values)
    if not n_missing:
        return loop, 0
    columns = {**dict(loop.items()), key: flex.std_string([value if one in NO_VALUE else one for one in values])}
    return iotbx.cif.model.loop(data=columns), n_missing


def _with_loop(block: iotbx.cif.model.block, loop: iotbx.cif.model.loop) -> iotbx.cif.model.block:
    """Returns a block of data in which a loop takes the place of the one, or of the single values, of its names."""
    found = iotbx.cif.model.block()
    for key in block:
        if key not in loop and not isinstance(block[key], flex.std_string):
            found[key] = block[key]
    for other in block.loops.values():
        if not any(key in loop for key in other):
            found.add_loop(copy.copy(other))
    found.add_loop(loop)
    return found


def cell_of_block(block: iotbx.cif.model.block) -> uctbx.unit_cell | None:
    """Returns the unit cell of a block of a CIF, or None if the block does not give all of it."""
    for separator in (".", "_"):
        names = [f"_cell{separator}length_{axis}" for axis in "abc"]
        names += [f"_cell{separator}angle_{angle}" for angle in ("alpha", "beta", "gamma")]
        values = [block.get(name) for name in names]
        if all(isinstance(value, str) and value not in NO_VALUE for value in values):
            return uctbx.unit_cell([iotbx.cif.builders.float_from_string(value) for value in values])
    return None


def _fract_transf(block: iotbx.cif.model.block) -> list | None:
    """Returns the fractionalization (matrix, vector) that an mmCIF file gives, or None."""
    names = [f"_atom_sites.fract_transf_matrix[{i}][{j}]" for i in "123" for j in "123"]
    names += [f"_atom_sites.fract_transf_vector[{i}]" for i in "123"]
    values = [block.get(name) for name in names]
    if not all(isinstance(value, str) and value not in NO_VALUE for value in values):
        return None
    numbers = [iotbx.cif.builders.float_from_string(value) for value in values]
    return [numbers[:9], numbers[9:]]


def _struct_ncs_oper(block: iotbx.cif.model.block) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    rows = block.get_loop_or_row("_struct_ncs_oper")
    if rows is None:
        return ()
    found = []
    for row in range(rows.size()):
        value = {key: values[row] for key, values in rows.items()}
        matrix = [value[f"_struct_ncs_oper.matrix[{i}][{j}]"] for i in "123" for j in "123"]
        vector = [value[f"_struct_ncs_oper.vector[{i}]"] for i in "123"]
        rotation, translation = np.array(matrix, float).reshape(3, 3), np.array(vector, float)
        identity = np.abs(rotation - np.identity(3)).max() < 1e-6 and np.abs(translation).max() < 1e-6
        if value.get("_struct_ncs_oper.code") != "given" and not identity:
            found.append(_operator(value.get("_struct_ncs_oper.id", row + 1), rotation, translation))
    return tuple(found)


def _core_cif(block: iotbx.cif.model.block, name: str, space_group: sgtbx.space_group_info | None) -> CoordinateFile:
    """Returns the contents of a small-molecule CIF; reads it in the given space group if it has none."""
    atoms = block.get_loop("_atom_site") or _single_row(block, "_atom_site_")
    size = atoms.size()
    coordinates = [atoms[f"_atom_site_fract_{axis}"] for axis in "xyz"]
    # Dummy atoms are centroids, for example; placeholders have no coordinates.
    kind = atoms.get("_atom_site_calc_flag", flex.std_string(size, "."))
    real = [kind[k] != "dum" and not any(values[k] in NO_VALUE for values in coordinates) for k in range(size)]
    atoms = iotbx.cif.model.loop(data={key: values.select(flex.bool(real)) for key, values in atoms.items()})
    if not atoms.size():
        raise ValueError("it has no atoms")
    atoms, _ = _filled(atoms, "_atom_site_occupancy", "1")
    names = ("_atom_site_U_iso_or_equiv", "_atom_site_B_iso_or_equiv")
    displacements = next((key for key in names if key in atoms), names[0])
    atoms, n_displacements = _filled(atoms, displacements, "0")
    block = _with_loop(block, atoms)
    n_displacements = n_displacements if "_atom_site_aniso_label" not in block else 0
    told: tuple[str, ...] = ()
    if iotbx.cif.builders.crystal_symmetry_builder(block).crystal_symmetry.space_group() is None:
        number = block.get("_space_group_IT_number", block.get("_symmetry_Int_Tables_number"))
        if space_group is None and isinstance(number, str) and number.isdecimal():
            space_group = sgtbx.space_group_info(number=int(number))
            told = (f"{name} has the number of its space group alone: the standard setting, {space_group}, is taken",)
        if space_group is None:
            raise ValueError("it has no space group: give crystal.space_group")
        block["_space_group_name_Hall"] = space_group.type().hall_symbol()
    # An occupancy is that of the site, on special positions, too.
    structure = iotbx.cif.builders.crystal_structure_builder(block).structure
    symmetry = _as_given(cell_of_block(block) or structure.unit_cell(), structure.space_group_info())
    left_out = f"Warning: {name}: {size - sum(real)} atoms without a place, or dummies, are left out"
    warnings = (*told, *((left_out,) if not all(real) else ()), *_missing(name, 0, n_displacements))
    return CoordinateFile(
        symmetry, {"1": lambda symmetry: _in_symmetry(structure, symmetry)}, warnings=warnings, of_sites=True
    )


def _single_row(block: iotbx.cif.model.block, prefix: str) -> iotbx.cif.model.loop:
    names = [key for key in block if key.startswith(prefix) and not key.startswith(f"{prefix}aniso_")]
    rows = {key: block[key] if isinstance(block[key], flex.std_string) else [block[key]] for key in names}
    return iotbx.cif.model.loop(data={key: flex.std_string(values) for key, values in rows.items()})


def _in_symmetry(structure: xray.structure, symmetry: crystal.symmetry) -> xray.structure:
    """Returns the atoms at the same fractional coordinates of another crystal, their displacements in angstrom kept."""
    scatterers = structure.scatterers().deep_copy()
    for scatterer in scatterers:
        if scatterer.flags.use_u_aniso():
            u = adptbx.u_star_as_u_cart(structure.unit_cell(), scatterer.u_star)
            scatterer.u_star = adptbx.u_cart_as_u_star(symmetry.unit_cell(), u)
    return xray.structure(
        special_position_settings=symmetry.special_position_settings(min_distance_sym_equiv=0.5), scatterers=scatterers
    )
