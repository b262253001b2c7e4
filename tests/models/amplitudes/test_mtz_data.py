"""MTZ files as people have them, with columns and indices that are partly wrong."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from pathlib import Path

import numpy as np
import pytest
from cctbx import crystal, miller
from cctbx.array_family import flex
from libtbx.utils import Sorry

from nanobragg_kokkos.models.amplitudes.reflection_files import read_amplitudes

NAN = float("nan")
LABELS = ("H", "K", "L", "FP", "SIGFP", "FC", "SIGFC", "IMEAN", "SIGIMEAN")


@pytest.fixture(scope="module")
def measured() -> miller.array:
    symmetry = crystal.symmetry((40, 50, 60, 90, 90, 90), "P 21 21 21")
    reflections = miller.build_set(symmetry, anomalous_flag=False, d_min=8)
    random = np.random.default_rng(1)
    values, errors = (flex.double(random.uniform(1, 100, reflections.size())) for _ in range(2))
    return reflections.array(values, errors).set_observation_type_xray_amplitude()


@pytest.fixture(scope="module")
def whole(measured, tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("mtz") / "whole.mtz"
    dataset = measured.as_mtz_dataset(column_root_label="FP")
    dataset.add_miller_array(measured.customized_copy(data=measured.data() * 2), column_root_label="FC")
    dataset.add_miller_array(
        measured.customized_copy().set_observation_type_xray_intensity(), column_root_label="IMEAN"
    )
    assert tuple(dataset.mtz_object().column_labels()) == LABELS
    dataset.mtz_object().write(str(path))
    return path.read_bytes()


def changed(contents: bytes, label: str, value: float, rows: range = range(2)) -> bytes:
    """The file with other values in the first rows of a column: 4 bytes each, row by row from byte 80 on."""
    found = bytearray(contents)
    for row in rows:
        struct.pack_into("<f", found, 80 + 4 * (row * len(LABELS) + LABELS.index(label)), value)
    return bytes(found)


def read(contents: bytes, tmp_path: Path, label: str = "FP"):
    path = tmp_path / "x.mtz"
    path.write_bytes(contents)
    return read_amplitudes(str(path), label)


@pytest.mark.parametrize("column", ["FC", "SIGFC", "IMEAN", "SIGIMEAN", "SIGFP"])
@pytest.mark.parametrize("value", [NAN, float("inf"), 1e38])
def test_what_is_wrong_in_other_columns_does_not_matter(column, value, whole, measured, tmp_path):
    found = read(changed(whole, column, value), tmp_path).amplitudes
    assert found.indices().all_eq(measured.indices())
    assert np.array(found.data()) == pytest.approx(np.array(measured.data()), rel=1e-6)


@pytest.mark.parametrize("value", [NAN, float("inf"), 1e38])
def test_what_is_no_number_is_left_out(value, whole, measured, tmp_path):
    assert read(changed(whole, "FP", value), tmp_path).amplitudes.indices().all_eq(measured.indices()[2:])
    # An intensity needs its error.
    found = read(changed(whole, "SIGIMEAN", value), tmp_path, "IMEAN").amplitudes
    assert set(found.indices()) <= set(measured.indices()[2:])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_mtz_may_be_compressed(pack, whole, measured, tmp_path):
    assert read(pack(whole), tmp_path).amplitudes.size() == measured.size()


@pytest.mark.parametrize(
    "value, message",
    [
        (0.5, "its Miller indices are not whole numbers: 0.5"),
        (NAN, "its Miller indices are not whole numbers: nan"),
        (1e9, "it has a Miller index of 1e[+]09, more than 10000"),
    ],
)
def test_indices_that_are_none_are_refused(value, message, whole, tmp_path):
    with pytest.raises(Sorry, match=message):
        read(changed(whole, "H", value), tmp_path)


def test_values_of_one_reflection_that_differ_are_told_of(whole, measured, tmp_path):
    contents = whole
    for index in "HKL":
        contents = changed(contents, index, 1.0, range(measured.size()))
    found = read(contents, tmp_path)
    assert list(found.amplitudes.indices()) == [(1, 1, 1)]
    assert found.description == f"FP,SIGFP, amplitudes, {measured.size()} values averaged to 1"
    assert "equivalent values differ by" in found.warnings[0]


def test_negative_amplitudes_and_those_that_are_all_0_are_told_of(whole, measured, tmp_path):
    (line,) = read(changed(whole, "FP", -5.0), tmp_path).warnings
    assert f"2 of {measured.size()} amplitudes are negative" in line
    (line,) = read(changed(whole, "FP", 0.0, range(measured.size())), tmp_path).warnings
    assert "all amplitudes are 0" in line
