"""Pickled masks are read as data: no code of theirs is run, and no size of theirs believed."""

from __future__ import annotations

import os
import pickle
import struct
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scitbx.array_family import flex

from nanobragg_kokkos.util.flex_pickle import read_flex_bools


@pytest.fixture
def read(tmp_path):
    def write_and_read(contents: bytes) -> list[np.ndarray]:
        (tmp_path / "mask").write_bytes(contents)
        return read_flex_bools(tmp_path / "mask")

    return write_and_read


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (300, 250), (7,)])
def test_arrays_come_back(read, protocol, shape):
    masks = [np.random.default_rng(k).random(shape) < 0.5 for k in range(2)]
    arrays = tuple(flex.bool(np.ascontiguousarray(mask)) for mask in masks)
    for contents in (arrays, list(arrays), arrays[0]):
        found = read(pickle.dumps(contents, protocol))
        expected = masks[:1] if contents is arrays[0] else masks
        assert len(found) == len(expected) and all(map(np.array_equal, found, expected))


def test_other_origins_and_bytes_of_python_2(read):
    grid = flex.bool(flex.grid((1, 2), (3, 5)), True)
    assert read(pickle.dumps(grid, 2))[0].shape == grid.as_numpy_array().shape
    old = b"\x80\x02cscitbx_array_family_flex_ext\nbool\nq\x01)Rq\x02cscitbx_array_family_flex_ext\ngrid\nq\x03"
    old += b"K\x00K\x00\x86K\x01K\x03\x86\x88\x87RK\x01K\x03\x86bU\x05\x02\x03101\x86b."
    assert np.array_equal(read(old)[0], [[True, False, True]])


class _Runs:
    """A pickle that would make a directory."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __reduce__(self):
        return os.mkdir, (self._place,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_not_run(read, tmp_path, protocol):
    place = tmp_path / "made"
    for contents in (_Runs(str(place)), (flex.bool(3), _Runs(str(place))), {"a": _Runs(str(place))}):
        with pytest.raises(ValueError, match="only flex.bool is read|no sound pickle"):
            read(pickle.dumps(contents, protocol))
    # Opcodes that import or call by other ways.
    for code in (b"(S'%b'\nios\nmkdir\n.", b"(cos\nmkdir\nS'%b'\no.", b"cos\nmkdir\n(S'%b'\ntR."):
        with pytest.raises(ValueError, match="no sound pickle|no flex array|only flex.bool is read|something else"):
            read(code % bytes(str(place), "ascii"))
    assert not place.exists()


def test_sizes_are_not_believed(read):
    state = b"\x80\x02cscitbx_array_family_flex_ext\nbool\n)Rcscitbx_array_family_flex_ext\ngrid\n"
    # A grid of 2**30 x 2**30 elements, with three of them in the file; and with a count to match.
    for count in (b"\x02\x03", b"\x0a" + struct.pack("<Q", 2**60) + b"\x00"):
        contents = state + b"K\x00K\x00\x86J\x00\x00\x00\x40J\x00\x00\x00\x40\x86\x88\x87R"
        contents += b"U" + bytes([len(count) + 3]) + count + b"101\x86b."
        with pytest.raises(ValueError, match="size is not that of its contents"):
            read(contents)
    # A string, a bytearray and a place in the memo of some exbibytes.
    for code in (
        b"\x80\x04\x8e" + struct.pack("<Q", 2**60) + b"abc.",
        b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc.",
        b"\x80\x02Kar" + struct.pack("<I", 2**32 - 1) + b".",
        b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"abc.",
    ):
        with pytest.raises(ValueError, match="no sound pickle|no flex array|only flex.bool is read|something else"):
            read(code)


@given(st.data())
def test_damaged_pickles_are_arrays_or_refused(data):
    contents = bytearray(pickle.dumps((flex.bool(flex.grid(4, 5), True),), data.draw(st.integers(0, 5))))
    for _ in range(data.draw(st.integers(1, 4))):
        contents[data.draw(st.integers(0, len(contents) - 1))] = data.draw(st.integers(0, 255))
    with NamedTemporaryFile() as file:
        file.write(contents)
        file.flush()
        try:
            found = read_flex_bools(file.name)
        except ValueError:
            return
    assert all(array.dtype == bool for array in found)
