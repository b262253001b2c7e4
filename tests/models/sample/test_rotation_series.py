"""Rotation series: how images follow from angles, their files, and DIALS as the judge."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from dxtbx.model import Experiment, ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory
from helpers.small_models import rotation_matrix, small_beam, small_detector
from iotbx.reflection_file_reader import any_reflection_file

from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.models.amplitudes.structure_factors import StructureFactors
from nanobragg_kokkos.models.sample.rotation_series import smooth_steps

R_E_MM = 2.8179403262e-12


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("detector") / "small.expt"
    ExperimentList([Experiment(detector=small_detector(80, 1.5, 150), beam=small_beam())]).as_file(str(path))
    return str(path)


def experiment(reference: str, *arguments: str) -> from_parameters.Experiment:
    common = (f"detector.reference={reference}", "spectrum.nchannels=1", "mosaic_domains=5", "crystal.Deff_A=400")
    params = parameters.parse([*common, *arguments]).extract()
    parameters.validate(params)
    return from_parameters.experiment(params)


def photons(of: from_parameters.Experiment, image: int) -> np.ndarray:
    """Expected photons of the spots."""
    exposure = of.exposure(image)
    simulation = of.simulation(exposure.pulse)
    for crystal in exposure.crystals:
        simulation.add_spots(crystal, StructureFactors(of.amplitudes))
    return simulation.image[0].copy()


def test_images_join_without_a_gap(reference):
    coarse = experiment(reference, "scan.width_deg=1.2", "scan.start_deg=5", "scan.steps=12", "crystal.count=2")
    fine = experiment(reference, "scan.width_deg=0.6", "scan.start_deg=5", "scan.steps=6", "crystal.count=2")
    for image in (0, 1):
        halves = 0.5 * (photons(fine, 2 * image) + photons(fine, 2 * image + 1))
        # Blocks turn with the crystal by the angle in the middle of their image, a quarter of a degree apart.
        assert halves == pytest.approx(photons(coarse, image), abs=0.01 * halves.max())


def test_crystal_and_blocks_turn_about_the_axis(reference):
    axis, start, width = (0.0, 1.0, 1.0), -30.0, 2.0
    still = experiment(reference)
    sweep = experiment(reference, "scan.axis=0,1,1", "scan.start_deg=-30", "scan.width_deg=2", "scan.steps=1")
    (crystal,), (turned,) = still.exposure(0).crystals, pickle.loads(pickle.dumps(sweep)).exposure(3).crystals
    turn = rotation_matrix(axis, start + 3.5 * width)
    assert turned.model.get_A() == pytest.approx(crystal.model.get_A())
    assert (turned.rotation.start_deg, turned.rotation.steps) == (start + 3.5 * width, 1)
    assert turned.mosaic_blocks == pytest.approx(turn @ crystal.mosaic_blocks @ turn.T)
    assert sweep.goniometer.get_rotation_axis() == pytest.approx(np.array(axis) / np.sqrt(2))
    assert sweep.scan.get_oscillation() == pytest.approx((start, width)) and sweep.scan.get_num_images() == 10


def test_steps_left_to_the_job_make_a_smooth_image(reference):
    width = ("scan.width_deg=2", "crystal.mosaic_domains=1")
    automatic = experiment(reference, *width)
    steps = automatic.exposure(0).crystals[0].rotation.steps
    assert steps == smooth_steps(2, 408, automatic.amplitudes.d_min())
    image, finer = photons(automatic, 0), photons(experiment(reference, *width, f"scan.steps={8 * steps}"), 0)
    assert image == pytest.approx(finer, abs=0.005 * finer.max())
    coarse = photons(experiment(reference, *width, f"scan.steps={steps // 4}"), 0)
    assert np.abs(coarse - finer).max() > 0.1 * finer.max()


def test_sweep_is_found_again(reference, tmp_path):
    options = ("scan.width_deg=0.5", "scan.start_deg=10", "scan.axis=0,1,0", "spectrum.nchannels=2", "mosaic_domains=2")
    arguments = [f"detector.reference={reference}", "n_images=3", f"output.directory={tmp_path}", "crystal.count=2"]
    assert main([*arguments, *options]) == 0
    truth = ExperimentListFactory.from_json_file(str(tmp_path / "shot_truth.expt"))
    (found,) = ExperimentListFactory.from_filenames([str(tmp_path / "shot_master.h5")])
    assert len(truth) == 2 and len(truth.imagesets()) == 1
    for one in (*truth, found):
        assert one.scan.get_oscillation() == pytest.approx((10, 0.5)) and one.scan.get_num_images() == 3
        assert one.goniometer.get_rotation_axis() == pytest.approx((0, 1, 0)) and len(one.imageset) == 3
    again = from_parameters.experiment(parameters.parse([str(tmp_path / "shot.phil")]).extract())
    for one, crystal in zip(truth, again.exposure(2).crystals):
        assert one.crystal.get_A() == pytest.approx(crystal.model.get_A())
    # What was found of a sweep, measured or not, can be simulated.
    file = f"crystal.orientation.file={tmp_path / 'shot_truth.expt'}"
    recorded = from_parameters.experiment(parameters.parse([str(tmp_path / "shot.phil"), file, "seed=2"]).extract())
    for one, crystal in zip(truth, recorded.exposure(0).crystals):
        assert one.crystal.get_A() == pytest.approx(crystal.model.get_A())


def dials(*command: str, cwd: Path) -> None:
    # DIALS has its own interpreter and libraries.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.skipif(not shutil.which("dials.integrate"), reason="DIALS is not installed")
def test_dials_integrates_a_sweep(tmp_path):
    reference = tmp_path / "detector.expt"
    detector = small_detector(pixels=500, pixel_mm=0.25, distance_mm=100)
    ExperimentList([Experiment(detector=detector, beam=small_beam())]).as_file(str(reference))
    width_deg, flux = 0.5, 1e12
    sweep = ["n_images=14", f"scan.width_deg={width_deg}", "spectrum.nchannels=1", "crystal.Deff_A=500", "oversample=2"]
    more = ["mosaic_domains=20", "mosaic_spread_deg=0.15", f"beam.total_flux={flux}", "background.air_mm=0"]
    assert main([f"detector.reference={reference}", f"output.directory={tmp_path}", *sweep, *more]) == 0
    (true,) = ExperimentListFactory.from_json_file(str(tmp_path / "shot_truth.expt"), check_format=False)
    cell = true.crystal.get_unit_cell()

    dials("dials.import", "shot_master.h5", cwd=tmp_path)
    dials("dials.find_spots", "imported.expt", "nproc=2", cwd=tmp_path)
    known = ["unit_cell=" + ",".join(f"{x:g}" for x in cell.parameters()), "space_group=P212121", "detector.fix=all"]
    quick = ["indexing.method=real_space_grid_search", "max_combinations=30"]
    dials("dials.index", "imported.expt", "strong.refl", *known, *quick, cwd=tmp_path)
    dials("dials.refine", "indexed.expt", "indexed.refl", "detector.fix=all", "scan_varying=False", cwd=tmp_path)
    dials("dials.integrate", "refined.expt", "refined.refl", "nproc=2", cwd=tmp_path)

    (found,) = ExperimentListFactory.from_json_file(str(tmp_path / "integrated.expt"), check_format=False)
    lengths = np.array(found.crystal.get_unit_cell().parameters()[:3])
    assert lengths == pytest.approx(np.array(cell.parameters()[:3]), rel=5e-4)

    flex = pytest.importorskip("dials.array_family.flex")
    reflections = flex.reflection_table.from_file(str(tmp_path / "integrated.refl"))
    x, y, _ = (np.array(part) for part in reflections["xyzcal.px"].parts())
    # Near the edge of the detector, DIALS has a part of each background only.
    inside = (np.minimum(x, y) > 20) & (np.maximum(x, y) < 480) & (np.array(reflections["partiality"]) > 0.99)
    inside &= np.array(reflections.get_flags(reflections.flags.integrated_sum))
    reflections = reflections.select(flex.bool(inside))
    (amplitudes,) = any_reflection_file(str(tmp_path / "shot_truth.mtz")).as_miller_arrays()
    amplitudes = amplitudes.expand_to_p1()
    true_intensities = dict(zip(amplitudes.indices(), np.array(amplitudes.data()) ** 2))
    squares = np.array([true_intensities.get(hkl, 0.0) for hkl in reflections["miller_index"]])
    intensities = np.array(reflections["intensity.sum.value"]) * np.array(reflections["lp"])
    scale = intensities.sum() / squares.sum()
    disagreement = np.abs(intensities / scale - squares).sum() / squares.sum()
    # What the noise alone would make of it: the mean of |x| is 0.8 standard deviations.
    noise = np.sqrt(np.array(reflections["intensity.sum.variance"])) * np.array(reflections["lp"])
    expected = np.sqrt(2 / np.pi) * noise.sum() / scale / squares.sum()
    print(f"{len(squares)} reflections, R = {disagreement:.3f}, from noise {expected:.3f}")
    assert len(squares) > 400 and expected < disagreement < 0.06
    # Darwin's formula, with the integral 0.984 of the Gaussian domain (test_kinematics.py).
    wavelength_mm = true.beam.get_wavelength() * 1e-7
    volumes = (3e-3) ** 3 / (cell.volume() * 1e-21) ** 2 * wavelength_mm**3
    darwin = 0.984 * flux / 0.01**2 / np.radians(width_deg) * R_E_MM**2 * volumes
    assert scale == pytest.approx(darwin, rel=0.03)
    print(f"scale / Darwin = {scale / darwin:.3f}")
