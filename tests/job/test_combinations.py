"""What several parts of a job do together: spectra, crystals, rotation, detectors, data, restart and trial.phil."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from cctbx import factor_ev_angstrom
from dxtbx.model import Experiment, ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory
from helpers.jobs import contents, launch, needs_mpirun, pixels
from helpers.small_models import small_beam, small_detector
from iotbx.reflection_file_reader import any_reflection_file

from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.report.command import main as report

IRON_EDGE_EV = 7112
TWO_SPECTRA = "7090 1 0\n7100 3 0\n7110 1 1\n7120 0 3\n7130 0 1\n"
SASE = ("spectrum.shape=sase", "spectrum.sase.pulse_length_fs=4", f"mean_energy={IRON_EDGE_EV}", "spectrum.fwhm=3")


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory) -> str:
    """A small detector with a sensor of silicon."""
    detector = small_detector(pixels=80, pixel_mm=1.2, distance_mm=100)
    detector[0].set_material("Si")
    detector[0].set_thickness(0.45)
    path = tmp_path_factory.mktemp("detector") / "small.expt"
    ExperimentList([Experiment(detector=detector, beam=small_beam())]).as_file(str(path))
    return str(path)


@pytest.fixture(scope="module")
def arguments(detector_file) -> list[str]:
    """What all jobs here have in common."""
    return [f"detector.reference={detector_file}", "crystal.mosaic_domains=2", "spectrum.nchannels=3", "fwhm=3"]


@pytest.fixture(scope="module")
def earlier(arguments, tmp_path_factory) -> Path:
    """The directory of an earlier job, of two crystals in one image."""
    directory = tmp_path_factory.mktemp("earlier")
    assert main([*arguments, "n_images=1", "crystal.count=2", f"output.directory={directory}"]) == 0
    return directory


@pytest.fixture
def simulate(arguments, tmp_path, capsys):
    """Runs a job; returns its directory, and what it has said."""

    def run(name: str, *more: str) -> tuple[Path, str]:
        code = main([*arguments, *more, f"output.directory={tmp_path / name}"])
        out, err = capsys.readouterr()
        assert code == 0, err
        return tmp_path / name, out + err

    return run


def truth(directory: Path) -> ExperimentList:
    return ExperimentListFactory.from_json_file(str(directory / "shot_truth.expt"), check_format=False)


def test_moving_pulses_have_the_structure_factors_of_their_own_energies(simulate):
    """At an absorption edge, an image of a pulse that was moved is that of a beam that has its energy by itself."""
    one_energy = ("spectrum.nchannels=1", "noise=False", "total_flux=1e13", "background.water_mm=0", "air_mm=0")
    moved, said = simulate(
        "moved", *one_energy, "n_images=3", f"mean_energy={IRON_EDGE_EV}", "spectrum.energy_jitter_eV=8"
    )
    assert "Structure factors: 81 channels, 7072 to 7152 eV" in said
    energies = [factor_ev_angstrom / experiment.beam.get_wavelength() for experiment in truth(moved)]
    assert np.ptp(energies) > 5
    image, energy = max(enumerate(energies), key=lambda each: abs(each[1] - IRON_EDGE_EV))
    alone, _ = simulate("alone", *one_energy, "n_images=3", f"mean_energy={energy!r}")
    found, expected = (pixels(directory / "shot_master.h5")[image].astype(float) for directory in (moved, alone))
    assert expected.max() > 1000
    assert np.abs(found - expected).max() < 0.01 * expected.max()


def test_pulses_that_differ_on_a_detector_with_a_sensor(simulate, tmp_path):
    """The second spectrum lies beyond the energy at which the sensor's absorption is looked up, the mean of both."""
    (tmp_path / "spectra.txt").write_text(TWO_SPECTRA)
    job = ("n_images=3", "spectrum.shape=file", "noise=False")
    out, _ = simulate("out", *job, f"spectrum.file={tmp_path / 'spectra.txt'}")
    experiments = ExperimentListFactory.from_filenames([str(out / "shot_master.h5")])
    read = [factor_ev_angstrom / experiment.beam.get_wavelength() for experiment in experiments]
    assert read == pytest.approx([7100, 7120, 7100], abs=1e-3)
    assert experiments[0].detector[0].get_thickness() == pytest.approx(0.45)
    # The master is a file of spectra as good as the first one.
    again, _ = simulate("again", *job, f"spectrum.file={out / 'shot_master.h5'}")
    assert np.abs(pixels(again / "shot_master.h5") - pixels(out / "shot_master.h5")).max() <= 1


def test_several_crystals_turn_in_random_pulses(simulate):
    rotation = ("n_images=4", "scan.width_deg=0.4", "scan.steps=3", "scan.axis=0,1,0", "scan.start_deg=10")
    out, _ = simulate("out", *rotation, *SASE, "crystal.count=2", "cell_variation=0.01", "images_per_file=3")
    (sequence,) = ExperimentListFactory.from_filenames([str(out / "shot_master.h5")])
    assert sequence.scan.get_oscillation() == pytest.approx((10, 0.4)) and len(sequence.imageset) == 4
    crystals = [experiment.crystal for experiment in truth(out)]
    assert len(crystals) == 2 and crystals[0].get_unit_cell() != crystals[1].get_unit_cell()
    with h5py.File(out / "shot_master.h5") as file:
        assert len(set(file["entry/instrument/beam/total_flux_integrated"][()])) == 4
    assert report([str(out), "images=1"]) == 0


def test_recorded_crystals_and_measured_data(simulate, earlier):
    """What one job has for truth, another takes for its models; its crystals vary around those."""
    given = [f"crystal.orientation.file={earlier / 'shot_truth.expt'}"]
    given += [f"structure_factors.file={earlier / 'shot_truth.mtz'}"]
    same, _ = simulate("same", "n_images=1", "crystal.count=2", *given)
    differences = np.abs(pixels(same / "shot_master.h5") - pixels(earlier / "shot_master.h5"))
    # An orientation or an amplitude that was written and read may differ in its last digit.
    assert differences.max() <= 1
    varied, said = simulate("varied", "n_images=2", *given, "cell_variation=0.01,0,0.02", "energy_jitter_eV=3")
    for experiment, recorded in zip(truth(varied), truth(earlier)):
        assert experiment.crystal.get_U() == pytest.approx(recorded.crystal.get_U(), abs=1e-9)
        cells = (each.crystal.get_unit_cell().parameters() for each in (experiment, recorded))
        a, b, c = np.divide(*cells)[:3]
        assert abs(a - 1) > 1e-5 and b == pytest.approx(1) and abs(c - 1) > 1e-5
    assert "ends at" in said
    arrays = [any_reflection_file(str(out / "shot_truth.mtz")).as_miller_arrays()[0] for out in (earlier, varied)]
    assert np.array(arrays[0].data()) == pytest.approx(np.array(arrays[1].data()))


@needs_mpirun
def test_ranks_and_restarts_change_nothing(simulate, arguments, tmp_path):
    job = ["scan.width_deg=0.4", "scan.steps=2", *SASE, "crystal.count=2", "images_per_file=2", "reduce=sum"]
    whole, _ = simulate("whole", "n_images=4", *job)
    begun, _ = simulate("begun", "n_images=3", *job)
    (begun / "shot_00001.h5").unlink()
    finished = launch(2, [*arguments, *job, "n_images=4", f"output.directory={begun}"])
    assert finished.returncode == 0, finished.stderr
    found, expected = contents(begun), contents(whole)
    # They are in different directories, and take different times.
    for name in ("shot.phil", "shot_record.jsonl", "shot_summary.json"):
        del found[name], expected[name]
    assert found == expected


def test_a_trial_takes_the_keys_of_all_parts(simulate, tmp_path, monkeypatch):
    monkeypatch.setenv("N_SIM", "2")
    monkeypatch.setenv("MOS_DOM", "3")
    (tmp_path / "trial.phil").write_text(
        "psf = False\nabsorption = spread\nres_limit = 3\ncrystal.symmetrize_Flatt = True\ncrystal.count = 2\n"
        f"beam.mean_energy = {IRON_EDGE_EV}\nspectrum.energy_jitter_eV = 1\nscan.width_deg = 0.2\nscan.steps = 2\n"
    )
    out, said = simulate("out", str(tmp_path / "trial.phil"), "crystal.mosaic_domains=2")
    assert "res_limit=3 has no effect" in said and "channels" in said and "2 orientations in each image" in said
    assert len(truth(out)) == 2 and len(pixels(out / "shot_master.h5")) == 2


WARNED = {
    "cell": ("crystal.unit_cell=36,36,44,90,90,90", "crystal.unit_cell=36 36 44 90 90 90 takes the place of 34.123"),
    "group": ("crystal.space_group=P222", "crystal.space_group=P 2 2 2 takes the place of P 21 21 21 in crystal"),
    "spectrum": ("spectrum.fwhm=100", "spectrum.fwhm=100 is more than spectrum.nchannels=3 energies cover, 3 eV"),
    "channels": ("spectrum.channel_width=4", "spectrum.fwhm=3 is less than spectrum.channel_width=4"),
    "domains": ("crystal.Deff_A=20", "crystal.Deff_A=20 is less than the unit cell, 43.683 angstrom"),
    "far": ("detector.offset_mm=20000", "Detector: no reflection reaches it; the crystal's largest d is 27"),
    "missed": ("detector.beam_center_mm=-300,48", "Detector: the beam passes 300 mm beside it"),
}


@pytest.mark.parametrize("wrong", WARNED)
def test_what_makes_little_sense_is_warned_of_by_name(simulate, wrong):
    argument, expected = WARNED[wrong]
    assert expected in simulate("out", "n_images=1", argument, "--dry-run")[1]


def test_data_that_end_before_the_detector_begins_are_warned_of(simulate, earlier):
    away = ("detector.beam_center_mm=-500,48", f"structure_factors.file={earlier / 'shot_truth.mtz'}", "--dry-run")
    assert "Detector: no reflection reaches it; amplitudes end at" in simulate("away", "n_images=1", *away)[1]


REFUSED = {
    "group": (["crystal.space_group=P4"], "crystal.space_group=P 4: expected a group whose symmetry the cell of"),
    "twice": (["crystal.count=3", "crystal.orientation.file={earlier}/shot_truth.expt"], "expected at most 2, the"),
    "table": (["crystal.anomalous_tables=Fe={iron}"], "eV, but they go from 7050 to 7200 eV"),
    "jitter": (
        ["crystal.anomalous_tables=Fe={iron}", f"mean_energy={IRON_EDGE_EV}", "spectrum.energy_jitter_eV=20"],
        "7011 to 7213 eV, but they go from 7050 to 7200 eV",
    ),
    "energy": (["spectrum.shape=file", "spectrum.file={spectra}", "mean_energy=9500"], "beam.mean_energy=9500: "),
    "both": (
        ["structure_factors.file={earlier}/shot_truth.mtz", "anomalous_channels=3"],
        "crystal.anomalous_channels and crystal.structure_factors.file exclude each other",
    ),
    "start": (["scan.start_deg=40"], "scan.start_deg=40 requires scan.width_deg"),
    "behind": (["detector.offset_mm=-500"], "detector.offset_mm=-500: expected one that leaves the detector"),
}


def test_what_makes_no_sense_is_refused_before_anything_is_written(arguments, earlier, tmp_path, capsys):
    iron, spectra = tmp_path / "iron.txt", tmp_path / "spectra.txt"
    iron.write_text("7050 -5 0.5\n7112 -8 2\n7200 -5 3.8\n")
    spectra.write_text(TWO_SPECTRA)
    for wrong, expected in REFUSED.values():
        given = [argument.format(earlier=earlier, iron=iron, spectra=spectra) for argument in wrong]
        assert main([*arguments, *given, f"output.directory={tmp_path / 'out'}"]) == 1
        message = capsys.readouterr().err
        assert message.startswith("Sorry: ") and expected in message and message.count("\n") == 1
    assert not (tmp_path / "out").exists()
