"""Foreign files: whatever reading them raises becomes one line that names the file and what was expected."""

from __future__ import annotations

import json

import pytest
from libtbx.utils import Sorry

from nanobragg_kokkos.util.reading import reading


@pytest.mark.parametrize(
    "error, told",
    [
        (ValueError("two\n  lines"), "two lines"),
        (KeyError("crystal"), "KeyError: 'crystal'"),
        (AssertionError(), "AssertionError"),
        (RuntimeError("a\x00b"), "a?b"),
        (PermissionError(13, "Permission denied", "x.pdb"), "Permission denied"),
        (Sorry("no cell"), "no cell"),
        (json.JSONDecodeError("Expecting value", "", 0), "Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(error, told):
    with pytest.raises(Sorry) as raised, reading("file=x.pdb", "a PDB file"):
        raise error
    assert str(raised.value) == f"file=x.pdb: expected a PDB file, but reading it failed ({told})"
    assert raised.value.__cause__ is error


def test_file_must_exist(tmp_path):
    absent = tmp_path / "x.pdb"
    with pytest.raises(Sorry, match=r"^file=x\.pdb: there is no such file$"), reading("file=x.pdb", "a PDB", absent):
        raise AssertionError("is not reached")
    (tmp_path / "x.pdb").touch()
    with reading("file=x.pdb", "a PDB file", tmp_path / "x.pdb"):
        pass


def test_interruptions_pass():
    with pytest.raises(KeyboardInterrupt), reading("x.pdb", "a PDB file"):
        raise KeyboardInterrupt
