"""Values of parameters that make no sense end with one line."""

from __future__ import annotations

import pytest

from nanobragg_kokkos.job.command import main

REFUSED = {
    "crystal.pdb.file=Auto": "expected the name of a file",
    "crystal.pdb.model=Auto": "expected None, mean or the number of a model",
    "crystal.structure_factors.file=Auto": "expected the name of a file",
    "crystal.structure_factors.label=Auto": "expected the label of a column",
    "crystal.anomalous_tables=Auto": "expected ELEMENT=FILE, one or several",
    "crystal.unit_cell=Auto": "expected a unit cell: six numbers",
    "crystal.space_group=Auto": "expected the symbol or number of a space group",
    "crystal.anomalous=Auto": "expected one of sasaki, henke",
    "crystal.k_sol=1e300": "expected 0 to 10 electrons/angstrom^3",
    "crystal.b_sol=1e300": "expected 0 to 10000 angstrom^2",
    "crystal.b_iso=1e300": "expected 0 to 10000 angstrom^2",
    "crystal.anomalous_tables=Fe=/dev/zero": "there is no such file",
}


@pytest.mark.parametrize("argument", REFUSED)
def test_values_without_sense_are_refused(argument, tmp_path, capsys):
    assert main([argument, f"output.directory={tmp_path / 'none'}"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"Sorry: {argument.split('=')[0]}") and REFUSED[argument] in line
    assert not (tmp_path / "none").exists()


def test_a_measured_table_beyond_all_elements_is_refused(tmp_path, capsys):
    path = tmp_path / "iron.txt"
    path.write_text("7000 1e300 1e300\n12000 1e300 1e300\n")
    assert main([f"crystal.anomalous_tables=Fe={path}", f"output.directory={tmp_path / 'none'}"]) == 1
    assert "f' or f'' more than 1000" in capsys.readouterr().err
