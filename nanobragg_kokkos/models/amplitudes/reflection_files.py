"""Structure factor amplitudes from files of reflections: MTZ, and CIF of structure factors."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import iotbx.cif
import iotbx.mtz
from cctbx import crystal, french_wilson, miller, sgtbx, uctbx
from cctbx.array_family import flex
from libtbx import smart_open
from libtbx.utils import Sorry

from nanobragg_kokkos.models.amplitudes import cif_text, given_symmetry, mtz_header
from nanobragg_kokkos.util.reading import reading

# What a file should have been.
EXPECTED = "an MTZ file or a CIF of structure factors"

NAME = "crystal.structure_factors.file"
LABEL = "crystal.structure_factors.label"

# How far a cell may be from that of the file, for the same crystal at another temperature, say.
LENGTH_TOLERANCE = 0.03
ANGLE_TOLERANCE_DEG = 3.0


@dataclass(frozen=True, eq=False)
class ReadAmplitudes:
    """What a file of reflections gives.

    Its amplitudes in its space group, a description of what they were made of, and a line for each thing that was given
    and contradicts the file.
    """

    amplitudes: miller.array
    description: str
    warnings: tuple[str, ...] = ()


def read_amplitudes(
    path: str,
    label: str | None = None,
    unit_cell: uctbx.unit_cell | None = None,
    space_group: sgtbx.space_group_info | None = None,
) -> ReadAmplitudes:
    """Returns amplitudes of an MTZ file or a CIF of structure factors; the latter may be compressed (.gz).

    Of complex structure factors (map coefficients) the absolute value counts. Intensities with errors become amplitudes
    by the method of French & Wilson (1978, Acta Cryst. A34, 517-525), as cctbx has it; without errors, by the square
    root, and 0 if they are negative. Bijvoet mates are kept apart where the file has them apart.

    Args:
        label: of a column of the amplitudes, intensities or structure factors. None: the file has one set only.
        unit_cell: takes the place of that of the file, from which it may differ a little.
        space_group: takes the place of that of the file, with which it must have the point group in common.

    Raises:
        Sorry: the file is not there or damaged, has no such label or several sets of data, or has no unit cell or space
            group, or others than those given.
    """
    name = f"{NAME}={path}"
    with reading(name, EXPECTED, path):
        arrays = _arrays(path)
    array = _chosen(name, arrays, label)
    of_file = array.crystal_symmetry() or crystal.symmetry()
    array = array.customized_copy(crystal_symmetry=_symmetry(name, of_file, unit_cell, space_group), info=array.info())
    with reading(name, EXPECTED):
        amplitudes, how = _amplitudes(array)
        values = amplitudes.data()
        keep = ~amplitudes.sys_absent_flags().data() & (amplitudes.indices() != (0, 0, 0)) & (values < 1e300)
        amplitudes = amplitudes.select(keep)
        if not amplitudes.size():
            raise ValueError("it has no amplitudes")
    warnings = given_symmetry.contradictions(name, of_file, unit_cell, space_group)
    return ReadAmplitudes(amplitudes, f"{_label(array)}, {how}", warnings)


def _arrays(path: str) -> list[miller.array]:
    with smart_open.for_reading(path, mode="rb") as file:
        contents = file.read()
    if contents.startswith(b"MTZ "):
        mtz_header.check(contents)
        return iotbx.mtz.object(file_name=path).as_miller_arrays()
    text = contents.decode("utf-8", "replace")
    if not cif_text.is_cif(text):
        raise ValueError("it is neither")
    cif_text.check(text)
    return iotbx.cif.reader(input_string=text).as_miller_arrays()


def _chosen(name: str, arrays: Sequence[miller.array], label: str | None) -> miller.array:
    """Returns the data with this label, or the only ones."""
    candidates = [array for array in arrays if _is_data(array)]
    labels = ", ".join(_label(array) for array in candidates)
    if not candidates:
        raise Sorry(f"{name}: expected amplitudes, intensities or complex structure factors, but the file has none")
    if label is None:
        if len(candidates) > 1:
            raise Sorry(f"{name} requires {LABEL}, as the file has several sets of data: {labels}")
        return candidates[0]
    wanted = label.strip().lower()
    for words in (_words, _short_words):
        found = [array for array in candidates if wanted == _label(array).lower() or wanted in words(array)]
        if len(found) == 1:
            return found[0]
        if found:
            raise Sorry(f"{LABEL}={label}: expected a label of one set of data in {name}, which has {labels}")
    raise Sorry(f"{LABEL}={label}: expected a label of {name}, which has {labels}")


def _is_data(array: miller.array) -> bool:
    return array.is_xray_amplitude_array() or array.is_xray_intensity_array() or array.is_complex_array()


def _label(array: miller.array) -> str:
    return array.info().label_string()


def _words(array: miller.array) -> list[str]:
    """Returns the labels of an array's columns."""
    return [label.lower() for label in array.info().labels]


def _short_words(array: miller.array) -> list[str]:
    """Returns the labels of an array's columns without the category of a CIF, _refln."""
    return [label.split(".", 1)[-1] for label in _words(array)]


def _symmetry(
    name: str,
    given: crystal.symmetry,
    unit_cell: uctbx.unit_cell | None,
    space_group: sgtbx.space_group_info | None,
) -> crystal.symmetry:
    in_file, group_in_file = given.unit_cell(), given.space_group_info()
    if unit_cell is None and in_file is None:
        raise Sorry(f"{name}: expected a unit cell in this file; else give crystal.unit_cell")
    if space_group is None and group_in_file is None:
        raise Sorry(f"{name}: expected a space group in this file; else give crystal.space_group")
    if unit_cell and in_file and not unit_cell.is_similar_to(in_file, LENGTH_TOLERANCE, ANGLE_TOLERANCE_DEG):
        raise Sorry(
            f"crystal.unit_cell={given_symmetry.numbers(unit_cell)}: expected None or a cell within "
            f"{100 * LENGTH_TOLERANCE:g} % and {ANGLE_TOLERANCE_DEG:g} degrees of that of {name}, "
            f"{given_symmetry.numbers(in_file)}"
        )
    if space_group and group_in_file:
        of_file, asked_for = (info.group().build_derived_point_group() for info in (group_in_file, space_group))
        if of_file != asked_for:
            raise Sorry(
                f"crystal.space_group={space_group}: expected None or a group with the point group of that of {name}, "
                f"{group_in_file}"
            )
    return given_symmetry.chosen(name, given, unit_cell, space_group)


def _amplitudes(array: miller.array) -> tuple[miller.array, str]:
    """Returns amplitudes (real, without errors) of data of any kind, and how they were made."""
    how = "amplitudes"
    if array.is_complex_array():
        array, how = array.amplitudes(), "absolute values of structure factors"
    if not array.is_unique_set_under_symmetry():
        array = array.merge_equivalents().array()
    if array.is_xray_intensity_array():
        scaled = None
        if array.sigmas() is not None and flex.max(array.sigmas()) > 0:
            scaled = french_wilson.french_wilson_scale(array, log=io.StringIO())
        how = "intensities, by French & Wilson"
        if scaled is None:
            positive = array.data().set_selected(array.data() < 0, 0)
            scaled, how = array.customized_copy(data=flex.sqrt(positive)), "square roots of intensities"
        array = scaled
    array = array.customized_copy(data=flex.abs(array.data().as_double()), sigmas=None)
    return array.set_observation_type_xray_amplitude(), how
