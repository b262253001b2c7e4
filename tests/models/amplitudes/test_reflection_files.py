"""Coordinates and amplitudes from the files that crystallographers have; damaged ones are refused, and do no harm."""

from __future__ import annotations

import gzip
from pathlib import Path

import iotbx.cif.model
import iotbx.pdb
import numpy as np
import pytest
from cctbx import crystal as cctbx_crystal
from cctbx import miller, sgtbx, uctbx
from cctbx.array_family import flex
from dxtbx.model import Experiment, ExperimentList
from helpers.jobs import contents, pixels
from helpers.small_models import small_beam, small_detector
from iotbx.cif import miller_arrays_as_cif_block
from iotbx.reflection_file_reader import any_reflection_file
from libtbx.utils import Sorry

from nanobragg_kokkos import protein
from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.models.amplitudes.reflection_files import read_amplitudes

CELLS = {"P 1": (30, 40, 50, 80, 95, 110), "C 1 2 1": (40, 30, 50, 90, 105, 90), "P 61": (40, 40, 60, 90, 90, 120)}


def mmcif_text() -> str:
    """The default coordinates as mmCIF."""
    records = iotbx.pdb.input(file_name=protein.default_coordinates())
    file = iotbx.cif.model.cif()
    file["rubredoxin"] = records.construct_hierarchy().as_cif_block(crystal_symmetry=records.crystal_symmetry())
    return str(file)


def data(space_group: str, anomalous: bool = True, d_min: float = 4.0, seed: int = 1) -> miller.array:
    symmetry = cctbx_crystal.symmetry(CELLS[space_group], space_group)
    reflections = symmetry.build_miller_set(anomalous_flag=anomalous, d_min=d_min)
    values = np.random.default_rng(seed).exponential(100, reflections.size())
    return reflections.array(flex.double(values)).set_observation_type_xray_amplitude()


def write_mtz(path: Path, **columns: miller.array) -> str:
    (first, array), *others = columns.items()
    dataset = array.as_mtz_dataset(column_root_label=first)
    for label, array in others:
        dataset.add_miller_array(array, column_root_label=label)
    dataset.mtz_object().write(str(path))
    return str(path)


def write_cif(path: Path, array: miller.array) -> str:
    file = iotbx.cif.model.cif()
    file["r1xyzsf"] = miller_arrays_as_cif_block(array, array_type="meas", format="mmcif").cif_block
    path.write_text(str(file))
    return str(path)


def assert_same(found: miller.array, expected: miller.array, rel: float = 1e-6) -> None:
    assert found.is_xray_amplitude_array() and found.sigmas() is None
    assert found.anomalous_flag() == expected.anomalous_flag()
    assert found.is_similar_symmetry(expected)
    a, b = found.common_sets(expected)
    assert a.size() == expected.size() == found.size()
    assert np.array(a.data()) == pytest.approx(np.array(b.data()), rel=rel)


@pytest.mark.parametrize("compressed", [False, True])
def test_mmcif_holds_what_pdb_holds(compressed, tmp_path):
    text = mmcif_text().encode()
    path = tmp_path / ("x.cif.gz" if compressed else "no_ending")
    path.write_bytes(gzip.compress(text) if compressed else text)
    found, expected = (protein.read_coordinates(str(p)) for p in (path, protein.default_coordinates()))
    assert found.is_similar_symmetry(expected)
    a, b = (protein.amplitudes(structure, 3.0, 1.7) for structure in (found, expected))
    assert np.array(a.data()) == pytest.approx(np.array(b.data()), rel=1e-6)


@pytest.mark.parametrize("anomalous", [False, True])
@pytest.mark.parametrize("space_group", CELLS)
def test_amplitudes_come_back_from_mtz_and_cif(space_group, anomalous, tmp_path):
    array = data(space_group, anomalous)
    assert_same(read_amplitudes(write_mtz(tmp_path / "x.mtz", F=array)).amplitudes, array)
    cif = write_cif(tmp_path / "x-sf.cif", array)
    assert_same(read_amplitudes(cif).amplitudes, array, rel=1e-5)
    compressed = tmp_path / "x-sf.cif.gz"
    compressed.write_bytes(gzip.compress(Path(cif).read_bytes()))
    assert_same(read_amplitudes(str(compressed)).amplitudes, array, rel=1e-5)


def test_map_coefficients_count_with_their_absolute_value(tmp_path):
    array = data("P 61", anomalous=False)
    phases = flex.double(np.random.default_rng(2).uniform(0, 360, array.size()))
    read = read_amplitudes(write_mtz(tmp_path / "x.mtz", FWT=array.phase_transfer(phases, deg=True)))
    assert_same(read.amplitudes, array)
    assert read.description == "FWT,PHIFWT, absolute values of structure factors"


def test_intensities_become_amplitudes(tmp_path):
    array = data("P 61", d_min=3)
    true = array.f_as_f_sq()
    weak = 0.3 * np.mean(true.data())
    noisy = np.array(true.data()) + np.random.default_rng(3).normal(0, weak, true.size())
    measured = true.customized_copy(data=flex.double(noisy), sigmas=flex.double(true.size(), weak))
    measured = measured.set_observation_type_xray_intensity()
    read = read_amplitudes(write_mtz(tmp_path / "i.mtz", I=measured))
    assert read.description == "I(+),SIGI(+),I(-),SIGI(-), intensities, by French & Wilson"
    assert read.amplitudes.anomalous_flag() and flex.min(read.amplitudes.data()) > 0
    # What the method is for: strong ones are square roots, negative ones are small and positive.
    found, given = read.amplitudes.common_sets(measured)
    found, given = np.array(found.data()), np.array(given.data())
    strong = given > 20 * weak
    assert strong.sum() > 20 and found[strong] == pytest.approx(np.sqrt(given[strong]), rel=0.01)
    assert (given < 0).sum() > 20 and found[given < 0].max() < np.sqrt(weak)

    bare = read_amplitudes(write_mtz(tmp_path / "bare.mtz", I=measured.customized_copy(sigmas=None)))
    assert bare.description == "I(+),I(-), square roots of intensities"
    found = np.array(bare.amplitudes.common_sets(measured)[0].data())
    assert found == pytest.approx(np.sqrt(np.maximum(given, 0)), rel=1e-6)


def test_a_column_is_chosen_by_its_label(tmp_path):
    one, other = data("P 61", False, seed=1), data("P 61", False, seed=2)
    path = write_mtz(tmp_path / "x.mtz", FOBS=one, FCALC=other)
    assert_same(read_amplitudes(path, "FOBS").amplitudes, one)
    assert_same(read_amplitudes(path, "fcalc").amplitudes, other)
    with pytest.raises(Sorry, match="requires crystal.structure_factors.label, .* sets of data: FOBS, FCALC"):
        read_amplitudes(path)
    with pytest.raises(Sorry, match="crystal.structure_factors.label=F: expected a label of .*, which has FOBS, FCALC"):
        read_amplitudes(path, "F")
    cif = write_cif(tmp_path / "x.cif", one)
    for label in ("_refln.F_meas", "F_meas"):
        assert_same(read_amplitudes(cif, label).amplitudes, one, rel=1e-5)


def test_symmetry_that_contradicts_the_file_is_refused(tmp_path):
    path = write_mtz(tmp_path / "x.mtz", F=data("P 61"))
    with pytest.raises(Sorry, match="crystal.unit_cell=42 42 60 90 90 120: expected a cell within 3 %"):
        read_amplitudes(path, unit_cell=uctbx.unit_cell((42, 42, 60, 90, 90, 120)))
    with pytest.raises(Sorry, match="crystal.space_group=P 3: expected a group with the point group"):
        read_amplitudes(path, space_group=sgtbx.space_group_info("P 3"))
    near = read_amplitudes(path, None, uctbx.unit_cell((40.5, 40.5, 60, 90, 90, 120)), sgtbx.space_group_info("P 65"))
    assert near.amplitudes.unit_cell().parameters()[0] == 40.5
    assert str(near.amplitudes.space_group_info()) == "P 65"


def test_a_cif_without_symmetry_takes_that_of_the_parameters(tmp_path):
    array = data("P 1", anomalous=False)
    rows = "".join(f"{h} {k} {l} {f:.6g}\n" for (h, k, l), f in zip(array.indices(), array.data()))
    path = tmp_path / "bare.cif"
    names = "".join(f"_refln.{name}\n" for name in ("index_h", "index_k", "index_l", "F_meas_au"))
    path.write_text(f"data_bare\nloop_\n{names}{rows}")
    with pytest.raises(Sorry, match="expected a unit cell in this file; else give crystal.unit_cell"):
        read_amplitudes(str(path))
    with pytest.raises(Sorry, match="expected a space group in this file; else give crystal.space_group"):
        read_amplitudes(str(path), None, array.unit_cell())
    read = read_amplitudes(str(path), None, array.unit_cell(), array.space_group_info())
    assert_same(read.amplitudes, array, rel=1e-5)


@pytest.fixture
def simulate(tmp_path):
    path = tmp_path / "small.expt"
    experiment = Experiment(detector=small_detector(pixels=160, pixel_mm=1.0), beam=small_beam())
    ExperimentList([experiment]).as_file(str(path))

    def run(directory: str, *arguments: str) -> Path:
        few = ("n_images=1", "mosaic_domains=3", "nchannels=3", "noise=False")
        common = (f"detector.reference={path}", "offset_mm=60", *few)
        assert main([*common, f"output.directory={tmp_path / directory}", *arguments]) == 0
        return tmp_path / directory

    return run


def test_true_amplitudes_simulated_again_give_the_same_image(simulate, capsys):
    first = simulate("first", "total_flux=1e13")
    # An MTZ file has 24 bits of the cell, too.
    cell = "unit_cell=34.123,34.874,43.683,90,90,90"
    again = simulate("again", "total_flux=1e13", f"structure_factors.file={first / 'shot_truth.mtz'}", cell)
    a, b = (pixels(out / "shot_00001.h5").astype(int) for out in (first, again))
    assert b == pytest.approx(a, rel=1e-6, abs=1) and a.max() > 1e5
    assert contents(first)["shot_truth.mtz"] == contents(again)["shot_truth.mtz"]
    assert "Structure factors: F(+),F(-), amplitudes; 100.0 % of the reflections are there" in capsys.readouterr().out


def test_a_centred_group_goes_through_a_job_as_measured(simulate, tmp_path, capsys):
    array = data("C 1 2 1", anomalous=False)
    out = simulate("c2", f"structure_factors.file={write_mtz(tmp_path / 'c2.mtz', FP=array)}")
    (true,) = any_reflection_file(str(out / "shot_truth.mtz")).as_miller_arrays()
    assert_same(true.customized_copy(sigmas=None), array)
    shown = capsys.readouterr().out
    assert "crystal.structure_factors.file ends at 4.00 angstrom, and the detector reaches" in shown
    assert "Crystal: C 1 2 1" in shown


WRONG_COMBINATIONS = {
    "model_too": ("pdb.file=a.pdb", "crystal.pdb.file and crystal.structure_factors.file exclude each other"),
    "b_factor": ("b_iso=20", "crystal.b_iso and crystal.structure_factors.file exclude each other"),
    "table": ("anomalous_tables=Fe=x", "crystal.anomalous_tables and crystal.structure_factors.file exclude"),
    "channels": ("anomalous_channels=3", "crystal.anomalous_channels and crystal.structure_factors.file exclude"),
    "nothing": ("k_sol=0", "crystal.structure_factors.file=missing.mtz: there is no such file"),
}


@pytest.mark.parametrize("argument, message", WRONG_COMBINATIONS.values(), ids=WRONG_COMBINATIONS)
def test_what_does_not_go_with_measured_amplitudes_is_refused(argument, message, capsys):
    assert main(["structure_factors.file=missing.mtz", argument]) == 1
    assert capsys.readouterr().err.startswith(f"Sorry: {message}")


def test_wrong_parameters_are_refused(capsys):
    for argument, message in (
        ("structure_factors.label=F", "crystal.structure_factors.label=F requires crystal.structure_factors.file"),
        ("b_iso=-1", "crystal.b_iso=-1.0: expected 0 to 10000 angstrom^2"),
        ("anomalous_channels=0", "crystal.anomalous_channels=0: expected a whole number, 1 or more"),
    ):
        assert main([argument]) == 1
        assert capsys.readouterr().err.startswith(f"Sorry: {message}")


# Reads every file of a directory, and tells what came of it. A reader that crashes or never ends takes the test down.
READ_ALL = """
import faulthandler, sys
from pathlib import Path
from libtbx.utils import Sorry
from nanobragg_kokkos import protein, reflection_files
faulthandler.enable()
faulthandler.dump_traceback_later(60, exit=True)
read = {"coordinates": protein.read_coordinates, "reflections": reflection_files.read_amplitudes}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        read[path.name.split("-")[0]](str(path))
        print(path.name, "was read")
    except Sorry as refusal:
        assert str(path) in str(refusal) and "\\n" not in str(refusal)
        print(path.name, refusal)
"""


def damaged(contents: bytes, number: int) -> bytes:
    """The contents with bytes exchanged, cut off, taken out or put in, each number in its own way."""
    random = np.random.default_rng(number)
    kind, place = number % 4, int(random.integers(len(contents)))
    if kind == 0:
        return contents[:place]
    if kind == 1:
        changed = bytearray(contents)
        for _ in range(3):
            changed[random.integers(len(contents))] = random.integers(256)
        return bytes(changed)
    if kind == 2:
        return contents[:place] + contents[place + int(random.integers(1, 200)) :]
    pieces = (b"\nloop_\n", b"\ndata_x\n", b"\n;", b"\0", b"\n_cell.length_a ", b" 'x", b"\nsave_\n", b" nan ")
    return contents[:place] + pieces[random.integers(len(pieces))] + contents[place:]


def test_damaged_files_are_refused_and_do_no_harm(tmp_path, run_python):
    (tmp_path / "files").mkdir()
    mtz, cif = tmp_path / "good.mtz", tmp_path / "good.cif"
    array = data("P 61", d_min=8)
    write_mtz(mtz, F=array)
    write_cif(cif, array)
    header = mtz.read_bytes().index(b"VERS MTZ")
    atoms = mmcif_text()
    # Fewer atoms take less time.
    lines = atoms.splitlines(keepends=True)
    atoms = "".join(lines[:60] + lines[-60:])
    for number in range(40):
        files = {
            "coordinates-": damaged(atoms.encode(), number),
            "reflections-cif-": damaged(cif.read_bytes(), number),
            "reflections-mtz-": damaged(mtz.read_bytes(), number),
            # Of the header, which is short, all the more.
            "reflections-mtz-header-": mtz.read_bytes()[:header] + damaged(mtz.read_bytes()[header:], number),
        }
        for name, damaged_file in files.items():
            (tmp_path / "files" / f"{name}{number:02}").write_bytes(damaged_file)
    # On these, cctbx's own readers crash or never come back.
    cut = atoms.index("_atom_site.auth_seq_id")
    (tmp_path / "files" / "coordinates-cut-off").write_text(atoms[:cut])
    (tmp_path / "files" / "reflections-cut-off").write_bytes(mtz.read_bytes()[: header + 200])
    program = f"import sys; sys.argv[1:] = [{str(tmp_path / 'files')!r}]\n{READ_ALL}"
    done = run_python(program)
    assert done.returncode == 0, done.stderr[-2000:]
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert len(told) == 162
    assert "the file ends too early" in told["coordinates-cut-off"]
    assert "header" in told["reflections-cut-off"]
    assert sum(text == "was read" for text in told.values()) < 80


@pytest.mark.parametrize("contents", [b"", b"MTZ ", b"data_x\n", b"data_x\nloop_\n_a\n1\n", bytes(range(256)), b"x\n"])
def test_files_without_data_are_refused(contents, tmp_path):
    path = tmp_path / "some.file"
    path.write_bytes(contents)
    with pytest.raises(Sorry, match="crystal.structure_factors.file=.*: expected"):
        read_amplitudes(str(path))
    with pytest.raises(Sorry, match="crystal.pdb.file=.*: expected"):
        protein.read_coordinates(str(path))
