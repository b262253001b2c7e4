"""The sets of data in an MTZ file, each read by itself: what is wrong with one column does not concern the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import iotbx.mtz
import numpy as np
from cctbx import crystal, miller
from cctbx.array_family import flex
from dxtbx import flumpy

# Beyond, a number is no amplitude or intensity.
LARGEST = 1e30

# cctbx's rule: data are anomalous if so many of the acentric reflections have a Bijvoet mate.
LEAST_BIJVOET_PAIRS = 2 / 3

# The types of columns that belong together, in their order (F amplitude, J intensity, G and K those of Bijvoet mates,
# Q L M standard deviations, P phase, D anomalous difference), and the places of values and their standard deviations.
# Longer ones come first.
PATTERNS = (
    ("FQDQ", (0,), ()),
    ("GLGL", (0, 2), (1, 3)),
    ("GGLL", (0, 1), (2, 3)),
    ("GPGP", (0, 2), ()),
    ("GGPP", (0, 1), ()),
    ("KMKM", (0, 2), (1, 3)),
    ("KKMM", (0, 1), (2, 3)),
    ("GG", (0, 1), ()),
    ("KK", (0, 1), ()),
    ("FQ", (0,), (1,)),
    ("FP", (0,), ()),
    ("JQ", (0,), (1,)),
    ("F", (0,), ()),
    ("J", (0,), ()),
    ("G", (0,), ()),
    ("K", (0,), ()),
)


@dataclass(frozen=True)
class MtzData:
    """A set of data: amplitudes or intensities, with or without their standard deviations.

    Args:
        labels: of its columns.
        kind: one of the patterns of types.
    """

    file: iotbx.mtz.object
    symmetry: crystal.symmetry
    labels: tuple[str, ...]
    kind: str

    @property
    def of_phases(self) -> bool:
        """Whether they come with phases, as map coefficients do."""
        return "P" in self.kind

    def read(self) -> miller.array:
        """Returns amplitudes or intensities; those that the file has no value of are left out."""
        if self.kind == "FQDQ":
            return self._reconstructed()
        values, sigmas = next((values, sigmas) for kind, values, sigmas in PATTERNS if kind == self.kind)
        indices, data, errors = [], [], []
        hkl = flumpy.to_numpy(self.file.extract_miller_indices().as_vec3_double()).astype(int).reshape(-1, 3)
        centric = np.zeros(len(hkl), bool)
        if len(values) == 2:
            every = miller.set(self.symmetry, self.file.extract_miller_indices(), anomalous_flag=False)
            centric = flumpy.to_numpy(every.centric_flags().data())
        used, all_errors = np.zeros(len(hkl), bool), True
        for place, sign in zip(range(len(values)), (1, -1)):
            column, valid = self._column(values[place])
            error = np.zeros(len(hkl))
            if sigmas:
                error, valid_error = self._column(sigmas[place])
                # An intensity without its error was not measured; an amplitude needs none.
                if self.kind[0] in "JK":
                    valid = valid & valid_error
                all_errors = all_errors and valid_error[valid].all()
            # A centric reflection is its own mate.
            valid = valid & ~(centric & used)
            used |= valid
            indices.append(sign * hkl[valid])
            data.append(column[valid])
            errors.append(error[valid])
        rows = flex.miller_index(list(map(tuple, np.concatenate(indices).tolist())))
        anomalous = miller.set(self.symmetry, rows, anomalous_flag=True) if len(values) == 2 else None
        if anomalous is None:
            found = miller.set(self.symmetry, rows).auto_anomalous(min_fraction_bijvoet_pairs=LEAST_BIJVOET_PAIRS)
        elif anomalous.n_bijvoet_pairs():
            found = anomalous
        else:
            found = miller.set(self.symmetry, rows, anomalous_flag=False)
        sigma = flex.double(np.concatenate(errors)) if sigmas and all_errors else None
        array = found.array(data=flex.double(np.concatenate(data)), sigmas=sigma)
        if self.kind[0] in "JK":
            return array.set_observation_type_xray_intensity()
        return array.set_observation_type_xray_amplitude()

    def _column(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the values of a column, and which of them are values."""
        column = self.file.get_column(self.labels[place])
        values = flumpy.to_numpy(column.extract_values(not_a_number_substitute=0).as_double())
        valid = flumpy.to_numpy(column.selection_valid()) & np.isfinite(values) & (np.abs(values) < LARGEST)
        return np.where(valid, values, 0.0), valid

    def _reconstructed(self) -> miller.array:
        """Returns F(+) and F(-) from the mean amplitude and the anomalous difference."""
        halves = self.labels[4] if len(self.labels) > 4 else None
        group = self.file.extract_delta_anomalous(*self.labels[:4], halves, True)
        array = miller.array(miller.set(self.symmetry, group.indices, anomalous_flag=True), group.data)
        return array.set_observation_type_xray_amplitude()


def sets_of_data(file: iotbx.mtz.object) -> list[MtzData]:
    """Returns the sets of data of a file that hold amplitudes or intensities, in the order of their columns."""
    found = []
    for of_file in file.crystals():
        symmetry = crystal.symmetry(
            unit_cell=of_file.unit_cell(), space_group=file.space_group(), assert_is_compatible_unit_cell=False
        )
        for dataset in of_file.datasets():
            labels = dataset.column_labels()
            types = iotbx.mtz.mend_non_conforming_anomalous_column_types(dataset.column_types(), labels)
            for kind, names in _groups(types, labels):
                halves = _label_of_halves(dataset) if kind == "FQDQ" else ()
                found.append(MtzData(file, symmetry, (*names, *halves), kind))
    return found


def _label_of_halves(dataset: iotbx.mtz.dataset) -> tuple[str, ...]:
    """Returns the label of a column that says of each reflection whether both mates were measured (0) or one (1, 2)."""
    for column in dataset.columns():
        values = column.extract_valid_values() if column.type() == "Y" else flex.float()
        if values.size() and values.all_ge(0) and values.all_le(2):
            return (column.label(),)
    return ()


def _groups(types: str, labels: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    place = 0
    while place < len(types):
        kind = next((kind for kind, _, _ in PATTERNS if types.startswith(kind, place)), None)
        if kind:
            yield kind, tuple(labels[place : place + len(kind)])
        place += len(kind) if kind else 1
