"""What users get wrong: every mistake ends with one line that names it, exit code 1, and nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from dxtbx.model import Experiment, ExperimentList
from helpers.small_models import small_beam, small_detector
from libtbx.utils import Sorry

from nanobragg_kokkos import protein
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.util import phil

# Arguments, and what the message has to say of them.
WRONG_ARGUMENTS = {
    "no_image": ("n_images=0", "n_images=0: expected a whole number, 1 or more"),
    "part_of_an_image": ("n_images=2.5", "n_images=2.5: expected a whole number"),
    "no_number": ("n_images=many", "n_images=many: expected a whole number"),
    "no_value": ("n_images=", "n_images=: expected a value after =, or None"),
    "negative_seed": ("seed=-1", "seed=-1: expected a whole number, 0 or more"),
    "no_sub_pixel": ("oversample=0", "oversample=0: expected a whole number, 1 to 100"),
    "everything_left_out": ("tolerance=1", "tolerance=1.0: expected 1e-15 to 0.1"),
    "no_tolerance_at_all": ("tolerance=nan", "tolerance=nan: expected 1e-15 to 0.1"),
    "square_reflections": ("engine=reflection crystal.shape=square", "with crystal.shape=square, which has no end"),
    "round_reflections": ("engine=reflection crystal.shape=round", "or a tolerance, 1e-4 for example"),
    "half_true": ("noise=perhaps", "noise=perhaps: expected True or False"),
    "negative_energy": ("beam.mean_energy=-9500", "beam.mean_energy=-9500.0: expected 1000 to 100000 eV"),
    "no_energy_at_all": ("beam.mean_energy=nan", "beam.mean_energy=nan: expected 1000 to 100000 eV"),
    "energy_without_tables": ("beam.mean_energy=500", "beam.mean_energy=500.0: expected 1000 to 100000 eV"),
    "giga_electron_volt": ("beam.mean_energy=1e9", "beam.mean_energy=1000000000.0: expected 1000 to 100000 eV"),
    "too_many_reflections": ("beam.mean_energy=1e5 detector.distance_mm=1", "reflections"),
    "bright_and_small": ("beam.total_flux=1e300 beam.size_mm=1e-10", "expected at most 1e+30 photons/mm^2"),
    "negative_flux": ("beam.total_flux=-1", "beam.total_flux=-1.0: expected 0 photons or more"),
    "no_beam": ("beam.size_mm=0", "beam.size_mm=0.0: expected more than 0 mm"),
    "no_channel": ("spectrum.nchannels=0", "spectrum.nchannels=0: expected a whole number"),
    "channels_without_width": ("spectrum.channel_width=0", "spectrum.channel_width=0.0: expected more than 0 eV"),
    "energies_below_0": ("spectrum.channel_width=5000", "expected a spectrum above 0 eV"),
    "unknown_spectrum": ("spectrum.shape=flat", "Not a possible choice for spectrum.shape: flat"),
    "spectrum_from_nowhere": ("spectrum.shape=file", "spectrum.shape=file requires spectrum.file"),
    "spectrum_for_nothing": ("spectrum.file=a.txt", "spectrum.file=a.txt requires spectrum.shape=file"),
    "missing_spectrum": ("spectrum.shape=file spectrum.file=a.txt", "spectrum.file=a.txt: there is no such file"),
    "sase_of_any_length": (
        "spectrum.shape=sase",
        "spectrum.shape=sase requires one of spectrum.sase.pulse_length_fs and",
    ),
    "sase_of_two_lengths": (
        "spectrum.shape=sase pulse_length_fs=10 spike_width_eV=1",
        "spectrum.shape=sase requires one of spectrum.sase.pulse_length_fs and spectrum.sase.spike_width_eV",
    ),
    "sase_in_a_moment": (
        "spectrum.shape=sase pulse_length_fs=0",
        "spectrum.sase.pulse_length_fs=0.0: expected 0.1 to 1000 fs",
    ),
    "spikes_of_no_width": ("spike_width_eV=-1", "spectrum.sase.spike_width_eV=-1.0: expected 0.001 to 100 eV"),
    "spikes_on_a_gaussian": ("spike_width_eV=1", "spike_width_eV=1 requires spectrum.shape=sase"),
    "negative_jitter": ("energy_jitter_eV=-1", "spectrum.energy_jitter_eV=-1.0: expected 0 eV or more"),
    "jitter_to_nothing": ("energy_jitter_eV=2000", "spectrum.energy_jitter_eV=2000: expected less than"),
    "jitter_in_percent": ("pulse_energy_jitter=10", "spectrum.pulse_energy_jitter=10.0: expected 0 to 1"),
    "no_crystals": ("crystal.count=-1", "crystal.count=-1: expected a whole number, 0 "),
    "cells_of_any_size": ("cell_variation=0.5", "crystal.cell_variation=0.5: expected 0 to 0.1, one number or three"),
    "two_axes": ("cell_variation=0.01,0.01", "cell_variation=0.01 0.01: expected 0 to 0.1, one number or three"),
    "axes_in_words": ("cell_variation=little", "crystal.cell_variation=little: expected numbers"),
    "two_edges": ("crystal.n_cells=3,3", "crystal.n_cells=3 3: expected three whole numbers"),
    "half_a_cell": ("crystal.n_cells=3,3,0.5", "crystal.n_cells=3,3,0.5: expected whole numbers"),
    "no_cells": ("crystal.n_cells=0,3,3", "crystal.n_cells=0 3 3: expected three whole numbers"),
    "missing_orientations": ("orientation.file=a.expt", "crystal.orientation.file=a.expt: there is no such file"),
    "two_spreads": ("mosaic_spread_deg=0.1,0.2", "mosaic_spread_deg=0.1 0.2: expected 0 to 180 degrees, one number"),
    "half_symmetric": ("symmetrize=perhaps", "crystal.symmetrize=perhaps: expected True or False"),
    "far_turn": ("scan.width_deg=200", "scan.width_deg=200.0: expected 0 to 180 degrees"),
    "turn_back": ("scan.width_deg=-1", "scan.width_deg=-1.0: expected 0 to 180 degrees"),
    "turn_without_end": ("scan.start_deg=inf", "scan.start_deg=inf: expected -360 to 360 degrees"),
    "no_axis": ("scan.axis=0,0,0", "scan.axis=0.0 0.0 0.0: expected three numbers, not all 0"),
    "flat_axis": ("scan.axis=1,0", "scan.axis=1.0 0.0: expected three numbers, not all 0"),
    "no_steps": ("scan.width_deg=1 scan.steps=0", "scan.steps=0: expected Auto or a whole number"),
    "steps_of_a_still": ("scan.steps=5", "scan.steps=5 requires scan.width_deg"),
    "small_domains": ("crystal.Deff_A=0", "crystal.Deff_A=0.0: expected more than 0 angstrom"),
    "large_domains": ("crystal.Deff_A=1e6", "expected mosaic domains no larger than the crystal"),
    "no_crystal": ("crystal.length_um=0", "crystal.length_um=0.0: expected more than 0 micrometres"),
    "unknown_shape": ("crystal.shape=cube", "Not a possible choice for crystal.shape: cube"),
    "negative_spread": ("crystal.mosaic_spread_deg=-0.1", "crystal.mosaic_spread_deg=-0.1: expected 0 to 180 degrees"),
    "no_domain": ("crystal.mosaic_domains=0", "crystal.mosaic_domains=0: expected a whole number"),
    "impossible_cell": ("crystal.unit_cell=34,35,44,90,90,200", "=34,35,44,90,90,200: expected a unit cell"),
    "tiny_cell": ("crystal.unit_cell=3,4,5,90,90,90", "expected a cell with room for the atoms of"),
    "wrong_cell_for_group": (
        "crystal.space_group=P61",
        "crystal.space_group=P 61: expected a group whose symmetry the cell of",
    ),
    "no_such_group": ("crystal.space_group=P9", "crystal.space_group=P9: expected the symbol"),
    "missing_pdb": ("crystal.pdb.file=missing.pdb", "crystal.pdb.file=missing.pdb: there is no such file"),
    "negative_water": ("background.water_mm=-1", "background.water_mm=-1.0: expected 0 mm or more"),
    "missing_detector": ("detector.reference=missing.expt", "detector.reference=missing.expt: there is no such file"),
    "detector_upstream": ("detector.offset_mm=-200", "expected one that leaves the detector downstream of the sample"),
    "negative_distance": ("detector.distance_mm=-1", "detector.distance_mm=-1.0: expected more than 0 mm"),
    "no_layer": ("detector.layers=0", "detector.layers=0: expected a whole number"),
    "unknown_spread": ("psf.shape=lorentz", "Not a possible choice for psf.shape: lorentz"),
    "spread_of_no_width": ("psf.shape=fiber psf.fwhm_mm=0", "psf.fwhm_mm=0.0: expected more than 0 mm"),
    "spread_of_any_width": ("psf.shape=fiber psf.fwhm_mm=inf", "psf.fwhm_mm=inf: expected more than 0 mm"),
    "width_of_no_spread": ("psf.fwhm_mm=0.1", "psf.fwhm_mm=0.1 requires psf.shape=gauss or psf.shape=fiber"),
    "radius_of_no_spread": ("psf.radius_pixels=5", "psf.radius_pixels=5 requires psf.shape=gauss or psf.shape=fiber"),
    "spread_without_width": (
        "psf.shape=gauss detector_response.preset=eiger",
        "psf.shape=gauss requires psf.fwhm_mm, as detector_response.preset=eiger has none",
    ),
    "no_radius": ("psf.shape=fiber psf.radius_pixels=0", "psf.radius_pixels=0: expected 1 to 500 pixels"),
    "spread_everywhere": ("psf.shape=fiber psf.fwhm_mm=1e5", "psf.fwhm_mm=100000: expected at most 22 mm with pixels"),
    "unknown_preset": ("preset=camera", "Not a possible choice for detector_response.preset: camera"),
    "negative_flicker": ("flicker=-0.1", "detector_response.flicker=-0.1: expected 0 to 1"),
    "flicker_in_percent": ("flicker=3", "detector_response.flicker=3.0: expected 0 to 1"),
    "negative_calibration": ("calibration_noise=-1", "calibration_noise=-1.0: expected 0 to 1"),
    "no_calibration_at_all": ("calibration_noise=nan", "calibration_noise=nan: expected 0 to 1"),
    "negative_detector": ("calibration_seed=-1", "calibration_seed=-1: expected a whole number"),
    "no_gain": ("quantum_gain=0", "detector_response.quantum_gain=0.0: expected more than 0"),
    "any_gain": ("quantum_gain=inf", "detector_response.quantum_gain=inf: expected more than 0"),
    "negative_readout": ("readout_noise=-3", "detector_response.readout_noise=-3.0: expected 0 to 1e+09 ADU"),
    "any_readout": ("readout_noise=inf", "detector_response.readout_noise=inf: expected 0 to 1e+09 ADU"),
    "negative_offset": ("adc_offset=-10", "detector_response.adc_offset=-10.0: expected 0 to 1e+09 ADU"),
    "blinding_offset": (
        "adc_offset=1e5 detector.offset_mm=2000",
        "detector_response.adc_offset=100000: expected less than the highest count that is trusted",
    ),
    "no_saturation": ("saturation=0", "saturation=0: expected a whole number, 1 to 2147483646"),
    "saturation_without_room": ("saturation=2147483647", "expected a whole number, 1 to 2147483646"),
    "saturation_over_16_bits": (
        "saturation=65534 data_type=uint16",
        "detector_response.saturation=65534: expected at most 65533 with detector_response.data_type=uint16",
    ),
    "unknown_type": ("data_type=float", "Not a possible choice for detector_response.data_type: float"),
    "prefix_with_directory": ("output.prefix=a/b", "output.prefix=a/b: expected a name without '/'"),
    "misspelt": ("beam.mean_enrgy=9500", "there is no such parameter. Did you mean beam.mean_energy?"),
    "misspelt_without_scope": ("nimages=3", "nimages: there is no such parameter. Did you mean n_images?"),
    "ambiguous": ("beam=3", "Ambiguous parameter definition: beam = 3"),
    "missing_parameters": ("missing.phil", "missing.phil: expected name=value or a file of parameters"),
    "unknown_option": ("--fast", "--fast: there is no such option (--help lists them)"),
}

# Contents of a file, the argument that names it ({}), and what the message has to say.
PDB = Path(protein.default_coordinates()).read_text()
CELL = "34.123   34.874   43.683"
DUMMY_CELL = " 1.000    1.000    1.000"
DAMAGED_FILES = {
    "misspelt": ("n_images = 3\nbeam { mean_enrgy = 9500 }\n", "{}", "line 2). Did you mean beam.mean_energy?"),
    "unclosed": ("n_images = 3\nbeam {\n", "{}", 'no matching "}"'),
    "binary": (bytes(range(256)), "{}", "expected a file of parameters"),
    "wrong_value": ("n_images = few\n", "{}", "n_images=few: expected a whole number"),
    "wrong_choice": ("crystal.shape = cube\n", "{}", "Not a possible choice for crystal.shape: cube"),
    "empty_pdb": ("", "crystal.pdb.file={}", "reading it failed (it has no atoms)"),
    "binary_pdb": (bytes(range(256)), "crystal.pdb.file={}", "reading it failed"),
    "bad_coordinate": (PDB.replace("21.774", "2x.774"), "crystal.pdb.file={}", "unexpected character"),
    "bad_element": (PDB.replace("10.44           N", "10.44          Qq"), "crystal.pdb.file={}", "Unknown chemical element"),
    "bad_cell": (PDB.replace("34.123", "  abcd"), "crystal.pdb.file={}", "Corrupt unit cell parameters"),
    "zero_cell": (PDB.replace("34.123", " 0.000"), "crystal.pdb.file={}", "reading it failed"),
    "dummy_cell": (PDB.replace(CELL, DUMMY_CELL), "crystal.pdb.file={}", "expected a cell with room"),
    "no_cell": (PDB.replace("CRYST1", "REMARK"), "crystal.pdb.file={}", "expected a unit cell (CRYST1, or _cell in mmCIF)"),
    "no_space_group": (PDB.replace("P 21 21 21", "P 9 9 9   "), "crystal.pdb.file={}", "expected a space group"),
    "empty.expt": ("", "detector.reference={}", "expected a dxtbx model file"),
    "cut.expt": ('{"__id__": "ExperimentList", "expe', "detector.reference={}", "expected a dxtbx model file"),
    "hollow.expt": ('{"__id__": "ExperimentList", "experiment": []}', "detector.reference={}", "model of a detector"),
    "no_image": ("not an image", "detector.reference={}", "model of a detector"),
}  # fmt: skip


def assert_refused(arguments: list[str], message: str, capsys, directory: Path) -> None:
    before = sorted(directory.iterdir())
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("Sorry: ") and error.count("\n") == 1
    assert message in error
    assert sorted(directory.iterdir()) == before


@pytest.mark.parametrize("argument, message", WRONG_ARGUMENTS.values(), ids=WRONG_ARGUMENTS)
def test_wrong_argument_is_refused(argument, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(argument.split(), message, capsys, tmp_path)


@pytest.mark.parametrize("name", DAMAGED_FILES)
def test_damaged_file_is_refused(name, capsys, tmp_path, monkeypatch):
    contents, argument, message = DAMAGED_FILES[name]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    assert_refused([argument.format(name)], message, capsys, tmp_path)


# What a panel of a model file says, and what the message has to say of it.
DAMAGED_PANELS = {
    "pixels_of_no_size": ({"pixel_size": [0, 0]}, "panel 0: expected pixels of 1e-6 to 1e3 mm (pixel_size)"),
    "huge_pixels": ({"pixel_size": [1e300, 1e300]}, "panel 0: expected pixels of 1e-6 to 1e3 mm (pixel_size)"),
    "sensor_of_no_thickness": ({"thickness": float("nan")}, "panel 0: expected 0 to 1e3 mm for its thickness"),
    "unknown_absorption": ({"thickness": 0.4, "mu": float("nan")}, "panel 0: expected a finite attenuation"),
    "no_pixels": ({"image_size": [0, 96]}, "panel 0: expected a pixel or more along each side (image_size)"),
    "many_pixels": ({"image_size": [100000, 100000]}, "expected at most 1073741824 pixels, but it has 10000000000"),
    "skew_axes": ({"fast_axis": [0.8, 0.6, 0]}, "panel 0: expected perpendicular axes"),
    "no_place": ({"origin": [float("nan"), 0, -80]}, "panel 0: expected three finite numbers for its origin"),
    "no_origin": ({"origin": None}, "detector.reference"),
    "upstream": ({"origin": [-24, 24, 80]}, "detector.reference: expected a detector downstream of the sample"),
    "count_of_text": ({"trusted_range": "abc"}, "detector.reference"),
}


@pytest.mark.parametrize("name", DAMAGED_PANELS)
def test_damaged_detector_is_refused_and_an_old_master_stays(name, capsys, tmp_path):
    change, message = DAMAGED_PANELS[name]
    path = tmp_path / "damaged.expt"
    ExperimentList([Experiment(detector=small_detector(), beam=small_beam())]).as_file(str(path))
    contents = json.loads(path.read_text())
    panel = {**contents["detector"][0]["panels"][0], **change}
    contents["detector"][0]["panels"][0] = {key: value for key, value in panel.items() if value is not None}
    path.write_text(json.dumps(contents))
    (tmp_path / "shot_master.h5").write_text("of an earlier job")
    arguments = [f"detector.reference={path}", f"output.directory={tmp_path}", "output.overwrite=True"]
    assert_refused(arguments, message, capsys, tmp_path)


def test_job_that_the_simulation_refuses_leaves_an_old_master_alone(capsys, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("nanobragg_kokkos.imaging.experiment.Simulation", refuse)
    (tmp_path / "shot_master.h5").write_text("of an earlier job")
    arguments = [f"output.directory={tmp_path}", "detector.offset_mm=2000", "output.overwrite=True"]
    assert_refused(arguments, "does not fit in this computer's memory", capsys, tmp_path)


def test_config_of_values_that_make_no_sense_is_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(["--show-config", "n_images=0"], "n_images=0: expected a whole number", capsys, tmp_path)


def test_help_can_be_cut_off(run_python):
    program = "import sys; from nanobragg_kokkos.job.command import main; sys.exit(main(['--help']))"
    shell = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {program!r}], stdout=-1, stderr=-1)\n"
    done = run_python(shell + "p.stdout.close(); print(p.stderr.read().decode(), p.wait())")
    assert done.stdout.split() == ["141"], done.stdout


def test_distance_of_a_detector_from_a_file_is_refused(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["detector.reference=some.expt", "detector.distance_mm=100"]
    assert_refused(
        arguments, "detector.distance_mm and detector.reference exclude each other; move the detector", capsys, tmp_path
    )


@pytest.mark.parametrize("directory", ["file", "file/below", "/proc/here"])
def test_directory_that_cannot_be_written_is_refused(directory, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    message = f"output.directory={directory}: expected a directory to write in"
    assert_refused([f"output.directory={directory}", "detector.offset_mm=2000"], message, capsys, tmp_path)


def test_later_arguments_win_and_parts_of_names_do(tmp_path):
    path = tmp_path / "some.phil"
    path.write_text("n_images = 3\nbeam.mean_energy = 8000\n")
    params = parameters.parse([str(path), "mean_energy=9000", "pdb.file=a b.pdb"]).extract()
    assert (params.n_images, params.beam.mean_energy, params.crystal.pdb.file) == (3, 9000, "a b.pdb")
    with pytest.raises(Sorry):
        parameters.parse(["crystal.pdb.fil e=x"])


@pytest.mark.parametrize("name", ["engine", "detector_response.preset", "detector_response.data_type"])
def test_auto_is_a_name_of_choices_that_have_it(name):
    """Left to itself, phil takes the word for its own Auto, and dies of another value after it."""
    default, others = parameters.parse([]), {"engine": "pixel", "detector_response.preset": "eiger"}
    other = others.get(name, "uint16")
    for arguments in (["=auto"], ["=Auto"], [f"={other}", "=auto"]):
        assert parameters.parse([name + value for value in arguments]).as_str() == default.as_str()
    for auto in ("auto", "Auto"):
        params = parameters.parse([f"{name}={auto}", f"{name}={other}"]).extract()
        assert phil.value_of(params, name) == other
    for name in ("psf.shape", "output.reduce"):
        with pytest.raises(Sorry, match=f"{name}=Auto: expected one"):
            parameters.parse([f"{name}=auto", f"{name}=None"])


def test_config_tells_what_every_parameter_means(capsys):
    assert main(["--show-config"]) == 0
    text = capsys.readouterr().out
    for locator in parameters.phil_scope.all_definitions():
        assert locator.object.help, f"{locator.path} has no help"
        assert f"{locator.object.name} = " in text
    assert text.count(".help = ") >= len(parameters.phil_scope.all_definitions())


def test_config_is_shown_in_a_form_that_can_be_read_back(capsys, tmp_path):
    assert main(["n_images=7", "--show-config"]) == 0
    path = tmp_path / "shown.phil"
    path.write_text(capsys.readouterr().out)
    assert parameters.parse([str(path)]).as_str() == parameters.parse(["n_images=7"]).as_str()
