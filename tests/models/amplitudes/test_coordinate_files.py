"""Coordinate files as people have them: what they leave open is told, and what they say counts."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

import numpy as np
import pytest
from cctbx import uctbx, xray
from cctbx.eltbx.xray_scattering import wk1995
from dxtbx import flumpy
from libtbx.utils import Sorry

from nanobragg_kokkos import protein
from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.models.amplitudes import direct_summation

DATA = Path(__file__).parent / "data"


def read(name: str, **given) -> tuple[xray.structure, list[str]]:
    lines: list[str] = []
    return protein.read_coordinates(str(DATA / name), warn=lines.append, **given), lines


def factors(structure: xray.structure, d_min: float = 4.0) -> np.ndarray:
    """Structure factors of the atoms alone, summed in NumPy."""
    reflections = protein.reflections(structure.crystal_symmetry(), d_min)
    structure = structure.deep_copy_scatterers()
    structure.scattering_type_registry(table="wk1995")
    return direct_summation.summed(structure, reflections)


@pytest.mark.parametrize("name", ["mtrix.pdb", "mtrix.cif"])
def test_copies_by_noncrystallographic_symmetry_are_added(name):
    structure, lines = read(name)
    sites = flumpy.to_numpy(structure.sites_cart())
    # The operator of the file: -x + 10, -y + 20, z + 5.
    assert len(sites) == 28
    assert sites[14:] == pytest.approx(sites[:14] * (-1, -1, 1) + (10, 20, 5), abs=1e-3)
    assert "1 copies by non-crystallographic symmetry" in "".join(lines)


def test_copies_that_the_file_holds_are_not_added_again(tmp_path):
    text = (DATA / "mtrix.pdb").read_text()
    atoms = [line for line in text.splitlines() if line.startswith("HETATM")]
    copies = []
    for line in atoms:
        x, y, z = (float(line[place : place + 8]) for place in (30, 38, 46))
        copies.append(f"{line[:30]}{10 - x:8.3f}{20 - y:8.3f}{z + 5:8.3f}{line[54:]}")
    path = tmp_path / "all.pdb"
    path.write_text(text.replace("END", "\n".join([*copies, "END"])))
    assert protein.read_coordinates(str(path)).scatterers().size() == 28


def test_an_atom_without_an_occupancy_has_1():
    structure, lines = read("trunc.pdb")
    assert structure.scatterers().extract_occupancies().all_eq(1)
    assert "14 atoms have no occupancy: 1 is taken" in lines[0]
    structure, lines = read("occ0.pdb")
    assert structure.scatterers().extract_occupancies().all_eq(0)
    assert "all atoms have an occupancy of 0: they scatter nothing" in "".join(lines)


@pytest.mark.parametrize("name", ["models.pdb", "models.cif"])
def test_one_of_several_models_counts_or_their_mean(name):
    one, lines = read(name)
    assert one.scatterers().size() == 14 and "has 2 models: the first (1) counts" in lines[0]
    other, lines = read(name, model="2")
    assert other.scatterers().size() == 14 and not lines
    mean, lines = read(name, model="mean")
    assert mean.scatterers().size() == 28 and "their mean counts" in lines[0]
    # The models of these files are alike.
    assert factors(mean) == pytest.approx(factors(one), abs=1e-9)
    with pytest.raises(Sorry, match=r"crystal.pdb.model=3: expected mean or a model of .*, which has 1, 2"):
        read(name, model="3")


def test_models_differ(tmp_path):
    path = tmp_path / "moved.pdb"
    first, second = (DATA / "models.pdb").read_text().split("MODEL        2")
    path.write_text(first + "MODEL        2" + second.replace("24.916", "21.916"))
    one, two, mean = (protein.read_coordinates(str(path), model=model) for model in ("1", "2", "mean"))
    assert one.sites_cart()[0][0] == pytest.approx(24.916) and two.sites_cart()[0][0] == pytest.approx(21.916)
    assert factors(mean) == pytest.approx((factors(one) + factors(two)) / 2, abs=1e-9)


def test_a_cell_that_is_made_symmetric_is_told_of():
    structure, lines = read("angle.pdb")
    assert structure.unit_cell().parameters() == (40, 50, 60, 90, 90, 90)
    (line,) = lines
    assert "40 50 60 90 91 90" in line and "P 21 21 21: 40 50 60 90 90 90 is used" in line
    cell = uctbx.unit_cell((40.3, 50, 60, 90, 90.4, 90))
    _, lines = read("occ0.pdb", unit_cell=cell)
    assert "crystal.unit_cell=40.3 50 60 90 90.4 90 does not have the symmetry" in lines[0]


def test_displacements_that_are_not_positive_definite_are_told_of():
    structure, lines = read("anisoNP.pdb")
    assert "14 atoms have B factors or ANISOU that are not positive definite" in lines[0] and "HOH A 1" in lines[0]
    amplitudes = np.abs(factors(structure, 1.5))
    # No more than if nothing moved.
    assert amplitudes.max() < np.abs(factors(structure.set_b_iso(value=0), 1.5)).max()


def test_scale_records_count():
    structure, lines = read("scale.pdb")
    plain = flumpy.to_numpy(read("occ0.pdb")[0].sites_cart())
    assert flumpy.to_numpy(structure.sites_cart()) == pytest.approx(plain + (10, 0, 0), abs=1e-3)
    assert "SCALE records" in lines[0] and "they are used" in lines[0]


def test_a_turn_of_the_axes_turns_displacements_too(tmp_path):
    # The axes of this file are z, x, y of the crystal.
    scale = ["SCALE1      0.000000  0.025000  0.000000        0.00000"]
    scale += ["SCALE2      0.000000  0.000000  0.020000        0.00000"]
    scale += ["SCALE3      0.016667  0.000000  0.000000        0.00000"]
    lines = (DATA / "anisoNP.pdb").read_text().replace("-1000", " 1000").splitlines()
    turned = [lines[0], *scale]
    for line in lines[1:]:
        if line.startswith("HETATM"):
            x, y, z = line[30:38], line[38:46], line[46:54]
            line = line[:30] + z + x + y + line[54:]
        elif line.startswith("ANISOU"):
            u11, u22, u33, u12, u13, u23 = (line[place : place + 7] for place in range(28, 70, 7))
            line = line[:28] + u33 + u11 + u22 + u13 + u23 + u12 + line[70:]
        turned.append(line)
    plain, other = tmp_path / "plain.pdb", tmp_path / "turned.pdb"
    plain.write_text("\n".join(lines))
    other.write_text("\n".join(turned))
    expected, found = (factors(protein.read_coordinates(str(path))) for path in (plain, other))
    assert found == pytest.approx(expected, abs=2e-3)


def test_special_positions_count_as_often_as_they_are_there():
    structure, _ = read("fcc.pdb")
    assert structure.scatterers()[0].multiplicity() == 4
    with pytest.raises(Sorry, match=r"crystal.unit_cell=2 2 2 90 90 90: expected a cell with room"):
        read("fcc.pdb", unit_cell=uctbx.unit_cell((2, 2, 2, 90, 90, 90)))


def pdb(path: Path, cell: tuple[float, ...], group: str, *lines: str) -> Path:
    """A file with lines of atoms: element, x, y, z (angstrom), occupancy; or other records as they are."""
    a, b, c, alpha, beta, gamma = cell
    text = [f"CRYST1{a:9.3f}{b:9.3f}{c:9.3f}{alpha:7.2f}{beta:7.2f}{gamma:7.2f} {group}"]
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if len(words) == 5:
            element, x, y, z, occupancy = words[0], *map(float, words[1:])
            place = f"{x:8.3f}{y:8.3f}{z:8.3f}{occupancy:6.2f}{0.5:6.2f}"
            line = f"HETATM{number:5d} {element:<4} ION A{number:4d}    {place}          {element:>2}"
        text.append(line)
    path.write_text("\n".join(text) + "\n")
    return path


# Cell edge (cubic), space group, atoms, amplitudes by hand in terms of form factors (Kittel, Introduction to Solid
# State Physics, chapter 2): at (1 1 1), (2 0 0) and (2 2 0).
SALT = (5.64, "F m -3 m", ("NA 0 0 0 1", "CL 2.82 2.82 2.82 1"), {"Na": (4, 4, 4), "Cl": (-4, 4, 4)})
FLUORITE = (5.463, "F m -3 m", ("CA 0 0 0 1", "F 1.36575 1.36575 1.36575 1"), {"Ca": (4, 4, 4), "F": (0, -8, 8)})
SILICON = (5.431, "F d -3 m S", ("SI 0 0 0 1",), {"Si": (4 - 4j, 0, 8)})
ALLOY = (3.8, "F m -3 m", ("CU 0 0 0 0.75", "AU 0 0 0 0.25"), {"Cu": (3, 3, 3), "Au": (1, 1, 1)})
SHARES = (3.615, "F m -3 m", ("CU 0 0 0 0.02",), {"Cu": (3.84, 3.84, 3.84)})


@pytest.mark.parametrize("edge, group, atoms, weights", [SALT, FLUORITE, SILICON, ALLOY, SHARES])
def test_minerals_have_the_amplitudes_of_textbooks(edge, group, atoms, weights, tmp_path):
    structure = protein.read_coordinates(str(pdb(tmp_path / "x.pdb", (edge, edge, edge, 90, 90, 90), group, *atoms)))
    reflections = protein.reflections(structure.crystal_symmetry(), edge / 3)
    calculated = protein.structure_factors(structure, reflections, {}, k_sol=0, algorithm="direct").expand_to_p1()
    found = dict(zip(calculated.indices(), np.abs(calculated.data())))
    for place, index in enumerate([(1, 1, 1), (2, 0, 0), (2, 2, 0)]):
        stol_sq = sum(i * i for i in index) / edge**2 / 4
        damping = np.exp(-0.5 * stol_sq)
        forms = {element: wk1995(element).fetch().at_stol_sq(stol_sq) for element in weights}
        expected = abs(sum(forms[element] * weight[place] for element, weight in weights.items())) * damping
        assert found.get(index, 0) == pytest.approx(expected, abs=0.01)


def test_the_mean_of_models_on_special_positions_is_that_of_one(tmp_path):
    cell, model = (3.615, 3.615, 3.615, 90, 90, 90), ("CU 0 0 0 1", "ENDMDL")
    path = pdb(tmp_path / "x.pdb", cell, "F m -3 m", "MODEL        1", *model, "MODEL        1", *model)
    mean, one = (protein.read_coordinates(str(path), model=model) for model in ("mean", None))
    assert [atom.multiplicity() for atom in mean.scatterers()] == [4, 4] and one.scatterers().size() == 1
    assert factors(mean, 1.0) == pytest.approx(factors(one, 1.0), abs=1e-9)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_compression_is_told_by_the_contents(pack, tmp_path):
    path = tmp_path / "packed"
    path.write_bytes(pack((DATA / "fcc.pdb").read_bytes()))
    assert protein.read_coordinates(str(path)).scatterers().size() == 1
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(Sorry, match=r"crystal.pdb.file=.*: expected"):
        protein.read_coordinates(str(path))


CORE_CIF = """data_urea_like
_cell_length_a 7.1(2)
_cell_length_b 8.2
_cell_length_c 9.3
_cell_angle_alpha 90
_cell_angle_beta 101.5(1)
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'P 21/n'
loop_
_symmetry_equiv_pos_as_xyz
'x, y, z'
'-x+1/2, y+1/2, -z+1/2'
'-x, -y, -z'
'x-1/2, -y-1/2, z-1/2'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
_atom_site_occupancy
_atom_site_calc_flag
Cu1 Cu 0 0 0 0.02(1) 1 d
O1 O 0.21(3) 0.33 0.41 0.03 ? d
C1 C 0.71 0.12 0.25 0.03 0.5 d
Cg1 C 0.5 0.5 0.4 0.03 1 dum
"""


def test_small_molecule_cif_is_read(tmp_path):
    path = tmp_path / "small.cif"
    path.write_text(CORE_CIF)
    lines: list[str] = []
    structure = protein.read_coordinates(str(path), warn=lines.append)
    assert [s.element_symbol() for s in structure.scatterers()] == ["Cu", "O", "C"]
    assert list(structure.scatterers().extract_occupancies()) == [1, 1, 0.5]
    # Copper lies on a centre of symmetry.
    assert [s.multiplicity() for s in structure.scatterers()] == [2, 4, 4]
    assert str(structure.space_group_info()) == "P 1 21/n 1" and structure.unit_cell().parameters()[4] == 101.5
    assert "1 atoms without a place, or dummies, are left out" in lines[0]


@pytest.mark.parametrize(
    "change",
    {
        "new names": (("_symmetry_equiv_pos_as_xyz", "_space_group_symop_operation_xyz"),),
        "symbol alone": ((CORE_CIF[CORE_CIF.index("loop_") : CORE_CIF.index("loop_\n_atom_site_label")], ""),),
        "points": (("_cell_", "_cell."), ("_atom_site_", "_atom_site."), ("_symmetry_", "_symmetry.")),
        "lines of Windows": (("\n", "\r\n"),),
        "byte order mark": (("data_urea", "\ufeffdata_urea"),),
    }.values(),
)
def test_small_molecule_cif_is_read_in_every_dress(change, tmp_path):
    text = CORE_CIF
    for old, new in change:
        text = text.replace(old, new)
    paths = [tmp_path / "plain.cif", tmp_path / "other.cif"]
    paths[0].write_text(CORE_CIF)
    paths[1].write_bytes(text.encode())
    plain, other = (protein.read_coordinates(str(path)) for path in paths)
    assert factors(other, 1.5) == pytest.approx(factors(plain, 1.5), abs=1e-9)
    assert other.crystal_symmetry().is_similar_symmetry(plain.crystal_symmetry())


def test_the_number_of_a_space_group_means_its_standard_setting(tmp_path):
    path = tmp_path / "number.cif"
    operations = CORE_CIF[CORE_CIF.index("_symmetry_space") : CORE_CIF.index("loop_\n_atom_site_label")]
    lines: list[str] = []
    path.write_text(CORE_CIF.replace(operations, "_space_group_IT_number 14\n"))
    structure = protein.read_coordinates(str(path), warn=lines.append)
    assert str(structure.space_group_info()) == "P 1 21/c 1" and "the standard setting" in lines[0]
    path.write_text(CORE_CIF.replace(operations, ""))
    with pytest.raises(Sorry, match="it has no space group: give crystal.space_group"):
        protein.read_coordinates(str(path))


def test_an_open_origin_is_told(tmp_path):
    lines: list[str] = []
    path = pdb(tmp_path / "x.pdb", (5.431, 5.431, 5.431, 90, 90, 90), "F d -3 m", "SI 0 0 0 1")
    protein.read_coordinates(str(path), warn=lines.append)
    assert lines == [
        f"crystal.pdb.file={path}: of the two origins of F d -3 m, the second is taken; "
        "crystal.space_group='F d -3 m :1' is the first"
    ]


def test_a_crystal_whose_reflections_miss_the_detector_gives_an_image(tmp_path, capsys):
    path = pdb(tmp_path / "x.pdb", (2.866, 2.866, 2.866, 90, 90, 90), "I m -3 m", "FE 0 0 0 1")
    few = ("n_images=1", "mosaic_domains=1", "nchannels=1", "detector.name=jungfrau_4m", "detector.distance_mm=2000")
    assert main([f"crystal.pdb.file={path}", f"output.directory={tmp_path / 'out'}", *few]) == 0
    assert "Detector: no reflection reaches it" in capsys.readouterr().out
