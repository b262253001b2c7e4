"""nanobragg_kokkos.simulate as a whole: its files, its ranks, its failures, and DIALS as the judge of its images."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import h5py
import libtbx.load_env
import numpy as np
import pytest
from conftest import small_beam, small_detector
from dxtbx.model import Experiment, ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory
from iotbx.reflection_file_reader import any_reflection_file

from nanobragg_kokkos import models, parameters
from nanobragg_kokkos.job import main

COMMAND = Path(__file__).parents[1] / "command_line" / "simulate.py"

# What a process that does something with the images has imported by then; none of it may change a bit.
PROGRAM = f"""
import sys, cctbx.array_family.flex, cctbx.miller, dxtbx.model, runpy
try:
    import dials.array_family.flex
except ImportError:
    pass
sys.argv[0] = {str(COMMAND)!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""

SPOTS = ("crystal.mosaic_domains=3", "spectrum.nchannels=3")


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory) -> str:
    """A small detector near the crystal."""
    path = tmp_path_factory.mktemp("detector") / "small.expt"
    experiment = Experiment(detector=small_detector(pixels=160, pixel_mm=1.0), beam=small_beam())
    ExperimentList([experiment]).as_file(str(path))
    return str(path)


@pytest.fixture
def simulate(detector_file, tmp_path, capsys):
    """Runs the command in this process; returns the directory of its files."""

    def run(*arguments: str, directory: str = "out") -> Path:
        files = (f"detector.reference={detector_file}", f"output.directory={tmp_path / directory}")
        code = main([*files, *SPOTS, *arguments])
        assert code == 0, capsys.readouterr().err
        return tmp_path / directory

    return run


def launch(ranks: int, arguments: list[str], threads: int = 1) -> subprocess.CompletedProcess:
    """Runs the command in processes of its own: one on its own, or several under mpirun."""
    launcher = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": str(threads),
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    command = [*launcher, sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}


def pixels(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["entry/data/data"][()]


needs_mpirun = pytest.mark.skipif(not shutil.which("mpirun"), reason="mpirun is not installed")


def test_files_hold_what_was_simulated(simulate):
    out = simulate("n_images=3", "output.prefix=run7", "mean_energy=9000")
    names = [f"run7{end}" for end in (".phil", ".png", "_00001.h5", "_00002.h5", "_00003.h5", "_master.h5")]
    assert sorted(path.name for path in out.iterdir()) == names + ["run7_truth.expt", "run7_truth.mtz"]

    images = pixels(out / "run7_master.h5")
    assert images.dtype == np.int32 and images.shape == (3, 160, 160)
    assert (images[1] == pixels(out / "run7_00002.h5")).all()

    params = parameters.parse([str(out / "run7.phil")]).extract()
    assert (params.n_images, params.beam.mean_energy) == (3, 9000)
    experiment = models.experiment(params)

    (amplitudes,) = any_reflection_file(str(out / "run7_truth.mtz")).as_miller_arrays()
    assert amplitudes.anomalous_flag() and str(amplitudes.space_group_info()) == "P 21 21 21"
    a, b = amplitudes.common_sets(experiment.amplitudes)
    assert len(a.data()) == len(experiment.amplitudes.data())
    assert np.array(a.data()) == pytest.approx(np.array(b.data()), rel=1e-6)

    truth = ExperimentListFactory.from_json_file(str(out / "run7_truth.expt"), check_format=False)
    assert len(truth) == 3
    for k, true in enumerate(truth):
        assert true.crystal.get_A() == pytest.approx(experiment.crystal_model(k).get_A())


def test_dxtbx_opens_the_master(simulate):
    out = simulate("n_images=2")
    experiments = ExperimentListFactory.from_filenames([str(out / "shot_master.h5")])
    assert len(experiments) == 2
    truth = ExperimentListFactory.from_json_file(str(out / "shot_truth.expt"), check_format=False)
    for found, true in zip(experiments, truth):
        assert found.beam.get_wavelength() == pytest.approx(true.beam.get_wavelength())
        corner = found.detector[0].get_pixel_lab_coord((150, 3))
        assert corner == pytest.approx(true.detector[0].get_pixel_lab_coord((150, 3)), abs=1e-6)
    (image,) = experiments[1].imageset.get_raw_data(0)
    assert (image.as_numpy_array() == pixels(out / "shot_00002.h5")[0]).all()


def test_image_depends_on_seed_and_number_only(simulate):
    few, many = simulate("n_images=2", directory="few"), simulate("n_images=3", directory="many")
    other = simulate("n_images=2", "seed=2", directory="other")
    for name in ("shot_00001.h5", "shot_00002.h5"):
        assert (few / name).read_bytes() == (many / name).read_bytes()
        assert (few / name).read_bytes() != (other / name).read_bytes()
    assert (pixels(few / "shot_00001.h5") != pixels(few / "shot_00002.h5")).any()


def test_noise_is_poisson_around_the_expectation(simulate):
    expected = pixels(simulate("n_images=1", "noise=False", "total_flux=1e14", directory="expected") / "shot_00001.h5")
    drawn = pixels(simulate("n_images=1", directory="drawn") / "shot_00001.h5")
    mean = expected[expected < 2**31 - 1] / 1e3
    excess = (drawn[expected < 2**31 - 1] - mean) / np.sqrt(mean)
    assert excess.mean() == pytest.approx(0, abs=0.03) and excess.std() == pytest.approx(1, abs=0.03)


def test_photons_follow_flux_volume_and_thickness(simulate):
    def total(*arguments: str) -> float:
        return pixels(simulate("n_images=1", "noise=False", *arguments) / "shot_00001.h5").sum(dtype=float)

    bare = ("background.water_mm=0", "background.air_mm=0", "beam.size_mm=1e-3", "crystal.length_um=1")
    one = total(*bare, "total_flux=1e13")
    assert total(*bare, "total_flux=2e13") / one == pytest.approx(2, rel=0.01)
    assert total(*bare, "total_flux=1e13", "crystal.length_um=2") / one == pytest.approx(2, rel=0.01)
    assert total(*bare, "total_flux=4e13", "beam.size_mm=2e-3") / one == pytest.approx(1, rel=0.01)

    # Much water, so that the crystal does not count.
    wet = ("background.air_mm=0", "total_flux=1e10")
    ratio = total("background.water_mm=40", *wet) / total("background.water_mm=20", *wet)
    assert ratio == pytest.approx(2, rel=0.01)


def test_detector_without_a_sensor_counts_every_photon(simulate, capsys):
    with_it, without = (simulate("n_images=1", f"attenuation={x}", directory=str(x)) for x in (True, False))
    assert (with_it / "shot_00001.h5").read_bytes() == (without / "shot_00001.h5").read_bytes()
    assert capsys.readouterr().out.count("attenuation=True has no effect") == 1


def test_detector_is_read_from_an_image(simulate, tmp_path):
    first = simulate("n_images=1", "noise=False")
    again = simulate("n_images=1", "noise=False", f"detector.reference={first / 'shot_master.h5'}", directory="again")
    assert (pixels(first / "shot_00001.h5") == pixels(again / "shot_00001.h5")).all()


@needs_mpirun
def test_ranks_and_threads_do_not_change_a_byte(detector_file, tmp_path):
    found = {}
    for ranks, threads in ((1, 1), (1, 2), (2, 1), (3, 1)):
        out = tmp_path / f"{ranks}_{threads}" / "out"
        out.parent.mkdir()
        arguments = ["n_images=4", f"detector.reference={detector_file}", f"output.directory={out}", *SPOTS]
        done = launch(ranks, arguments, threads)
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Try: dials.import") == 1
        # The one thing that differs is where the files are.
        found[ranks, threads] = {k: v for k, v in contents(out).items() if not k.endswith(".phil")}
    assert len(found[1, 1]) == 8
    assert found[1, 1] == found[1, 2] == found[2, 1] == found[3, 1]


@needs_mpirun
def test_failure_of_one_rank_ends_all_with_one_message(detector_file, tmp_path):
    out = tmp_path / "out"
    # Rank 1 finds a directory where its image should go.
    (out / "shot_00002.h5" / "in_the_way").mkdir(parents=True)
    (out / "shot_master.h5").write_text("of an earlier job")
    done = launch(3, ["n_images=6", f"detector.reference={detector_file}", f"output.directory={out}", *SPOTS])
    assert done.returncode == 1
    assert done.stderr.count("Sorry: ") == 1 and "shot_00002.h5: it is a directory" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (out / "shot_master.h5").exists() and not list(out.glob(".*")) and not list(out.glob("*.part"))


@needs_mpirun
def test_bad_parameter_ends_all_ranks_with_one_message(tmp_path):
    done = launch(2, ["n_images=0", f"output.directory={tmp_path / 'out'}"])
    assert done.returncode == 1
    assert done.stderr.count("Sorry: n_images=0: expected a whole number") == 1 and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


ALONE = SimpleNamespace(MPI=SimpleNamespace(COMM_WORLD=SimpleNamespace(size=1, rank=0)))


@pytest.mark.parametrize("mpi4py, reason", [(None, "mpi4py is not there"), (ALONE, "mpi4py belongs to another MPI")])
def test_processes_that_cannot_see_each_other_are_refused(mpi4py, reason, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "mpi4py", mpi4py)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    messages = []
    for rank in ("0", "1"):
        monkeypatch.setenv("OMPI_COMM_WORLD_RANK", rank)
        assert main([f"output.directory={tmp_path / 'out'}"]) == 1
        messages.append(capsys.readouterr().err)
    assert messages[0].startswith(f"Sorry: 2 processes were started, but {reason}") and messages[1] == ""
    assert not (tmp_path / "out").exists()


def test_full_disk_leaves_no_half_written_file(detector_file, tmp_path, monkeypatch, capsys):
    def full(*names):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert main([f"detector.reference={detector_file}", f"output.directory={tmp_path / 'out'}", *SPOTS]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Sorry: ") and "No space left on device" in error
    assert not list((tmp_path / "out").iterdir())


dispatcher = Path(abs(libtbx.env.under_build("bin/nanobragg_kokkos.simulate", return_relocatable_path=True)))


@pytest.mark.skipif(not dispatcher.exists(), reason="there are no dispatchers in this environment")
@pytest.mark.parametrize(
    "arguments, message",
    [
        (["n_images=0"], "Sorry: n_images=0: expected a whole number, 1 or more"),
        (["crystal.pdb.file=missing.pdb"], "Sorry: crystal.pdb.file=missing.pdb: there is no such file"),
        (["n_imagse=3"], "Sorry: n_imagse: there is no such parameter. Did you mean n_images?"),
    ],
)
def test_dispatcher_says_sorry(arguments, message, tmp_path):
    done = subprocess.run([dispatcher, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith(message) and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def misorientation_deg(found, true) -> float:
    """Between two crystals, the smallest that the rotations of the space group leave."""
    a = np.reshape(true.get_A(), (3, 3))
    angles = []
    for operation in true.get_space_group().build_derived_acentric_group().smx():
        equivalent = a @ np.reshape(operation.r().as_double(), (3, 3))
        u = np.linalg.svd(np.reshape(found.get_A(), (3, 3)) @ np.linalg.inv(equivalent))
        rotation = u[0] @ u[2]
        angles.append(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))
    return min(angles)


@pytest.mark.skipif(not shutil.which("dials.index"), reason="DIALS is not installed")
def test_dials_indexes_the_stills(tmp_path):
    n_images = 10
    reference = tmp_path / "detector.expt"
    detector = small_detector(pixels=1280, pixel_mm=0.264, distance_mm=141.7)
    ExperimentList([Experiment(detector=detector, beam=small_beam())]).as_file(str(reference))
    assert main([f"n_images={n_images}", f"detector.reference={reference}", f"output.directory={tmp_path}"]) == 0

    images = pixels(tmp_path / "shot_master.h5")
    assert images.max() > 1000 and 3 < np.median(images) < 100

    def dials(*command: str, cwd: Path = tmp_path) -> None:
        # DIALS has its own interpreter and libraries.
        ours = ("PYTHONPATH", "LD_LIBRARY_PATH")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

    dials("dials.import", "shot_master.h5")
    dials("dials.find_spots", "imported.expt", "nproc=2")
    dials("dials.split_experiments", "imported.expt", "strong.refl")

    truth = ExperimentListFactory.from_json_file(str(tmp_path / "shot_truth.expt"), check_format=False)
    cell = truth[0].crystal.get_unit_cell().parameters()

    def indexed(image: int) -> bool:
        directory = tmp_path / f"indexed_{image}"
        directory.mkdir()
        try:
            dials(
                "dials.index",
                f"../split_{image}.expt",
                f"../split_{image}.refl",
                "indexing.stills.indexer=sequences",
                # The cell is known, so that few candidates need a look; this takes a third of the time.
                "indexing.method=real_space_grid_search",
                "max_combinations=30",
                "detector.fix=all",
                "unit_cell=" + ",".join(f"{x:g}" for x in cell),
                "space_group=P212121",
                cwd=directory,
            )
        except AssertionError:
            return False
        (found,) = ExperimentListFactory.from_json_file(str(directory / "indexed.expt"), check_format=False)
        lengths = np.array(found.crystal.get_unit_cell().parameters())[:3] / cell[:3]
        return bool((abs(lengths - 1) < 0.002).all()) and misorientation_deg(found.crystal, truth[image].crystal) < 0.1

    with ThreadPoolExecutor(2) as pool:
        good = sum(pool.map(indexed, range(n_images)))
    assert good >= 9
