"""Structure factor amplitudes from files of reflections: MTZ, and CIF of structure factors."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import iotbx.cif
import iotbx.cif.model
import iotbx.mtz
import numpy as np
from cctbx import crystal, french_wilson, miller, sgtbx, uctbx
from cctbx.array_family import flex
from dxtbx import flumpy
from libtbx.utils import Sorry

from nanobragg_kokkos.models.amplitudes import cif_text, given_symmetry, mtz_data, mtz_header
from nanobragg_kokkos.util.compressed_files import read_contents
from nanobragg_kokkos.util.reading import reading

# The expected kind of file.
EXPECTED = "an MTZ file or a CIF of structure factors"

NAME = "crystal.structure_factors.file"
LABEL = "crystal.structure_factors.label"

# Largest difference between a given cell and the file's, for example due to temperature.
LENGTH_TOLERANCE = 0.03
ANGLE_TOLERANCE_DEG = 3.0

# The largest crystals of viruses have some 1000 reflections along an axis.
LARGEST_INDEX = 10000

# Measurements of one reflection that differ more from their mean give a warning.
LARGEST_R_MERGE = 0.3


@dataclass(frozen=True, eq=False)
class ReadAmplitudes:
    """The contents of a file of reflections.

    Attributes:
        amplitudes: amplitudes in the space group of the file.
        description: the data from which the amplitudes were made.
        warnings: a line for each given value that contradicts the file.
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
    """Returns amplitudes of an MTZ file or a CIF of structure factors, compressed (gzip, bzip2, xz) or not.

    Complex structure factors (map coefficients) give their absolute values. Intensities with errors become amplitudes
    by the method of French & Wilson (1978, Acta Cryst. A34, 517-525) in cctbx; intensities without errors by the square
    root, or 0 if they are negative. Bijvoet mates stay separate if the file separates them.

    Args:
        label: label of a column of amplitudes, intensities or structure factors. None: the file has only one set.
        unit_cell: replaces that of the file, from which it may differ slightly.
        space_group: replaces that of the file, with which it must share the point group.

    Raises:
        Sorry: the file is missing or damaged, has no such label, several sets of data, no unit cell or space group, or
            a unit cell or space group that contradicts the given one.
    """
    name = f"{NAME}={path}"
    with reading(name, EXPECTED, path):
        candidates = _candidates(read_contents(path))
    chosen = _chosen(name, candidates, label)
    with reading(name, EXPECTED):
        array = chosen.read()
    of_file = array.crystal_symmetry() or crystal.symmetry()
    array = array.customized_copy(crystal_symmetry=_symmetry(name, of_file, unit_cell, space_group))
    warnings = list(given_symmetry.contradictions(name, of_file, unit_cell, space_group))
    with reading(name, EXPECTED):
        amplitudes, how, told = _amplitudes(array, chosen.of_phases)
        values = amplitudes.data()
        keep = ~amplitudes.sys_absent_flags().data() & (amplitudes.indices() != (0, 0, 0)) & (values < 1e300)
        amplitudes = amplitudes.select(keep)
        if not amplitudes.size():
            raise ValueError("it has no amplitudes")
    if amplitudes.data().all_eq(0):
        told.append("all amplitudes are 0: they scatter nothing")
    warnings += [f"Warning: {name}: {line}" for line in told]
    return ReadAmplitudes(amplitudes, f"{chosen.label}, {how}", tuple(warnings))


@dataclass(frozen=True)
class _Candidate:
    """A set of data of a file.

    Args:
        labels: labels of its columns.
        of_phases: whether they include phases.
        read: returns the data.
    """

    labels: tuple[str, ...]
    of_phases: bool
    read: Callable[[], miller.array]

    @property
    def label(self) -> str:
        return ",".join(self.labels)

    @property
    def words(self) -> list[str]:
        return [label.lower() for label in self.labels]

    @property
    def short_words(self) -> list[str]:
        """The labels without the category of a CIF, _refln."""
        return [label.split(".", 1)[-1] for label in self.words]


def _candidates(contents: bytes) -> list[_Candidate]:
    """Returns the sets of amplitudes, intensities and complex structure factors of a file."""
    if contents.startswith(b"MTZ "):
        return _of_mtz(contents)
    text = contents.decode("utf-8", "replace")
    if not cif_text.is_cif(text):
        raise ValueError("it is neither")
    cif_text.check(text)
    file = iotbx.cif.reader(input_string=text)
    for block in file.model().values():
        _require_whole_indices(block)
    return [
        _Candidate(tuple(array.info().labels), array.is_complex_array(), _ready(array))
        for array in file.as_miller_arrays()
        if _is_data(array)
    ]


def _ready(array: miller.array) -> Callable[[], miller.array]:
    return lambda: array


def _of_mtz(contents: bytes) -> list[_Candidate]:
    mtz_header.check(contents)
    # The library reads only files.
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "reflections.mtz"
        path.write_bytes(contents)
        file = iotbx.mtz.object(file_name=str(path))
    if file.space_group().order_z() != file.n_symmetry_matrices():
        raise ValueError("its SYMM records are not a space group")
    columns = [column for column in file.columns() if column.type() == "H"][:3]
    if len(columns) < 3:
        raise ValueError("it has no columns H, K and L")
    _require_whole(np.array([flumpy.to_numpy(column.extract_values(float("nan"))) for column in columns], float))
    return [_Candidate(one.labels, one.of_phases, one.read) for one in mtz_data.sets_of_data(file)]


def _require_whole_indices(block: iotbx.cif.model.block) -> None:
    for separator in (".", "_"):
        columns = [block.get(f"_refln{separator}index_{index}") for index in "hkl"]
        if all(isinstance(column, flex.std_string) for column in columns):
            _require_whole(np.array([list(column) for column in columns], float))


def _require_whole(indices: np.ndarray) -> None:
    with np.errstate(invalid="ignore"):
        wrong = indices[~(np.isfinite(indices) & (indices == np.rint(indices)))]
    if wrong.size:
        raise ValueError(f"its Miller indices are not whole numbers: {wrong[0]:g}")
    if indices.size and np.abs(indices).max() > LARGEST_INDEX:
        raise ValueError(f"it has a Miller index of {np.abs(indices).max():g}, more than {LARGEST_INDEX}")


def _chosen(name: str, candidates: Sequence[_Candidate], label: str | None) -> _Candidate:
    """Returns the data with this label, or the only ones."""
    labels = ", ".join(one.label for one in candidates)
    if not candidates:
        raise Sorry(f"{name}: expected amplitudes, intensities or complex structure factors, but the file has none")
    if label is None:
        if len(candidates) > 1:
            raise Sorry(f"{name} requires {LABEL}, as the file has several sets of data: {labels}")
        return candidates[0]
    wanted = label.strip().lower()
    for found in (
        [one for one in candidates if wanted == one.label.lower() or wanted in one.words],
        [one for one in candidates if wanted in one.short_words],
    ):
        if len(found) == 1:
            return found[0]
        if found:
            raise Sorry(f"{LABEL}={label}: expected a label of one set of data in {name}, which has {labels}")
    raise Sorry(f"{LABEL}={label}: expected a label of {name}, which has {labels}")


def _is_data(array: miller.array) -> bool:
    return array.is_xray_amplitude_array() or array.is_xray_intensity_array() or array.is_complex_array()


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
            f"crystal.unit_cell={given_symmetry.numbers(unit_cell)}: expected a cell within "
            f"{100 * LENGTH_TOLERANCE:g} % and {ANGLE_TOLERANCE_DEG:g} degrees of that of {name}, "
            f"{given_symmetry.numbers(in_file)}"
        )
    if space_group and group_in_file:
        of_file, asked_for = (info.group().build_derived_point_group() for info in (group_in_file, space_group))
        if of_file != asked_for:
            raise Sorry(
                f"crystal.space_group={space_group}: expected a group with the point group of that of {name}, "
                f"{group_in_file}"
            )
    return given_symmetry.chosen(name, given, unit_cell, space_group)


def _amplitudes(array: miller.array, of_phases: bool) -> tuple[miller.array, str, list[str]]:
    """Returns amplitudes (real, without errors) of data of any kind, how they were made, and warnings."""
    how, merged, told = "absolute values of structure factors" if of_phases else "amplitudes", "", []
    if array.is_complex_array():
        array = array.amplitudes()
    if not array.is_unique_set_under_symmetry():
        merging = array.merge_equivalents()
        merged = f", {array.size()} values averaged to {merging.array().size()}"
        if merging.r_merge() > LARGEST_R_MERGE:
            told.append(f"equivalent values differ by {100 * merging.r_merge():.0f} % from their mean")
        array = merging.array()
    values = array.data().as_double()
    n_negative = (values < 0).count(True)
    if array.is_xray_intensity_array():
        scaled, how = None, "intensities, by French & Wilson"
        if array.sigmas() is not None and flex.max(array.sigmas()) > 0:
            scaled = french_wilson.french_wilson_scale(array, log=io.StringIO())
        if scaled is None:
            positive = values.set_selected(values < 0, 0)
            scaled, how = array.customized_copy(data=flex.sqrt(positive)), "square roots of intensities"
        array = scaled
    elif n_negative and not of_phases:
        told.append(f"{n_negative} of {array.size()} amplitudes are negative: their absolute values count")
    array = array.customized_copy(data=flex.abs(array.data().as_double()), sigmas=None)
    return array.set_observation_type_xray_amplitude(), how + merged, told
