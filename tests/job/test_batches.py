"""Batches of images: killed and started again, shared among ranks, with images that fail and disks that are full."""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from dxtbx.model import Experiment, ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory
from helpers.places import CLONE, COMMAND_LINE
from helpers.small_models import small_beam, small_detector
from libtbx.utils import Sorry

from nanobragg_kokkos.files import nexus
from nanobragg_kokkos.imaging.image_simulator import ImageSimulator
from nanobragg_kokkos.job import parameters, record, summary
from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.models.amplitudes.protein import default_coordinates
from nanobragg_kokkos.mpi.ranks import OneRank, choose_device
from nanobragg_kokkos.mpi.work_sharing import Schedule

COMMAND = COMMAND_LINE / "simulate.py"
SCRIPTS = CLONE / "docs" / "slurm"

SPOTS = ("crystal.mosaic_domains=2", "spectrum.nchannels=2")

# What to do before an image, in processes of their own; `images` counts those of the process. Sums are saved after
# every data file, and ranks that hang are waited for less long.
PROGRAM = """
import os, runpy, signal, sys, time
from nanobragg_kokkos.job import output
from nanobragg_kokkos.mpi import ranks, work_sharing
from nanobragg_kokkos.imaging.image_simulator import ImageSimulator

work_sharing.GRACE_S = 2
output.SAVE_EVERY_S = output.SAVE_SHARE = 0

simulate, images, rank = ImageSimulator.start, 0, ranks.world().rank

def before(image):
    {before}

def call(self, image):
    global images
    images += 1
    before(image)
    return simulate(self, image)

ImageSimulator.start = call
sys.argv[0] = {command!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""

needs_mpirun = pytest.mark.skipif(not shutil.which("mpirun"), reason="mpirun is not installed")


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """Of small images in a directory."""
    path = tmp_path_factory.mktemp("detector") / "small.expt"
    detector = small_detector(pixels=60, pixel_mm=1.0)
    detector[0].add_mask(5, 3, 10, 8)
    ExperimentList([Experiment(detector=detector, beam=small_beam())]).as_file(str(path))
    return lambda directory, *others: [f"detector.reference={path}", f"output.directory={directory}", *SPOTS, *others]


def start(ranks: int, before: str, arguments: list[str]) -> subprocess.Popen:
    """The command, in processes of its own: one on its own, or several under mpirun."""
    launcher = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_btl": "^tcp",  # all ranks are on this machine: no warnings of its network
    }
    program = PROGRAM.format(before=before, command=str(COMMAND))
    command = [*launcher, sys.executable, "-c", program, *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(ranks: int, before: str, arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, output and errors of the command."""
    process = start(ranks, before, arguments)
    said, complained = process.communicate(timeout=120)
    return process.returncode, said, complained


def without_launcher(complained: str) -> str:
    """What the command itself has to say: less the launcher's framed messages, which may come first, and lines."""
    unframed = re.sub(r"^-{20,}\n.*?^-{20,}\n", "", complained, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^\[.*\n?", "", unframed, flags=re.MULTILINE).strip()


def results(directory: Path) -> dict[str, bytes]:
    """All files but the parameters, which name the directory, and the times."""
    return {
        path.name: path.read_bytes() for path in directory.iterdir() if path.suffix not in (".phil", ".json", ".jsonl")
    }


@pytest.fixture(scope="module")
def undisturbed(arguments, tmp_path_factory):
    """What a job gives that nothing happens to."""

    @cache
    def job(*others: str) -> dict[str, bytes]:
        directory = tmp_path_factory.mktemp("undisturbed")
        assert main(arguments(directory, *others)) == 0
        return results(directory)

    return job


def pixels(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return file["entry/data/data"][()]


def image_fails(monkeypatch, images, error: BaseException) -> None:
    simulate = ImageSimulator.start

    def call(self, image):
        if image in images:
            raise error
        return simulate(self, image)

    monkeypatch.setattr(ImageSimulator, "start", call)


@pytest.mark.parametrize("n_items, n_workers", [(0, 3), (1, 4), (7, 1), (1000, 8)])
def test_every_item_is_handed_out_once_and_the_last_ones_singly(n_items, n_workers):
    schedule = Schedule(n_items, n_workers)
    shares = list(iter(schedule.take, range(0)))[: n_items + 1]
    shares = [share for share in shares if share]
    assert [item for share in shares for item in share] == list(range(n_items))
    sizes = [len(share) for share in shares]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-n_workers:] == [1] * len(sizes[-n_workers:])
    assert len(schedule.take()) == 0
    if n_items == 1000:
        assert len(sizes) < 100


@pytest.mark.parametrize("images_per_file", [3, 7])
def test_images_do_not_depend_on_the_files_that_hold_them(images_per_file, arguments, undisturbed, tmp_path):
    expected = undisturbed("n_images=8", "images_per_file=1", "output.reduce=sum")
    out = tmp_path / "several"
    assert main(arguments(out, "n_images=8", f"images_per_file={images_per_file}")) == 0
    images = pixels(out / "shot_master.h5")
    for k, image in enumerate(images):
        with h5py.File(io.BytesIO(expected[f"shot_{k + 1:05d}.h5"])) as file:
            assert np.array_equal(file["entry/data/data"], [image])
    names = sorted(path.name for path in out.glob("shot_0*"))
    assert names == [f"shot_{k + 1:05d}.h5" for k in range(-(-8 // images_per_file))]
    last = pixels(out / names[-1])
    assert len(last) == 8 - images_per_file * (len(names) - 1)
    experiments = ExperimentListFactory.from_filenames([str(out / "shot_master.h5")])
    assert len(experiments) == 8
    (image,) = experiments[7].imageset.get_raw_data(0)
    assert np.array_equal(image.as_numpy_array(), last[-1])


def test_killed_process_goes_on_where_it_was(arguments, undisturbed, tmp_path, capsys):
    out, options = tmp_path / "out", ("n_images=8", "images_per_file=3", "output.reduce=sum")
    expected = undisturbed(*options)
    # Once the writer's thread has done what came before.
    before = "if image == 7: time.sleep(0.5); os.kill(os.getpid(), signal.SIGKILL)"
    code, _, _ = run(1, before, arguments(out, *options))
    assert code == -signal.SIGKILL
    left = {path.name for path in out.iterdir()}
    temporary = left - {"shot.phil", "shot_record.jsonl", "shot_00001.h5", "shot_00002.h5"}
    assert len(left) == 5 and all(re.fullmatch(r"\.shot_00003\.h5\.[0-9a-f]{32}\.part", name) for name in temporary)
    finished = [out / "shot_00001.h5", out / "shot_00002.h5"]
    written_at = [path.stat().st_mtime_ns for path in finished]

    # That of another job stays.
    of_another = out / ".shot_b_00001.h5.0123456789abcdef0123456789abcdef.part"
    of_another.touch()
    capsys.readouterr()
    assert main(arguments(out, *options)) == 0
    assert "6 of 8 images already exist" in capsys.readouterr().out
    assert written_at == [path.stat().st_mtime_ns for path in finished]
    of_another.unlink()
    assert results(out) == expected

    assert main(arguments(out, *options)) == 0
    assert capsys.readouterr().out.startswith("All images already exist; nothing to do\n")

    # What a computer leaves behind that goes down.
    (out / "shot_00002.h5").write_bytes(expected["shot_00002.h5"][:5000])
    (out / "shot_master.h5").unlink()
    assert main(arguments(out, *options)) == 0
    assert results(out) == expected


@needs_mpirun
def test_killed_rank_ends_the_job_and_any_number_of_ranks_goes_on(arguments, undisturbed, tmp_path):
    out, options = tmp_path / "out", ("n_images=20", "images_per_file=2", "output.reduce=sum+variance")
    expected = undisturbed(*options)
    before = "rank == 1 and images == 4 and os.kill(os.getpid(), signal.SIGKILL); time.sleep(0.05)"
    code, _, _ = run(2, before, arguments(out, *options))
    assert code != 0 and not (out / "shot_master.h5").exists()
    for path in out.glob("shot_0*.h5"):
        assert path.read_bytes() == expected[path.name]
    code, _, complained = run(3, "pass", arguments(out, *options))
    assert code == 0, complained
    assert results(out) == expected


@needs_mpirun
def test_summary_tells_what_each_rank_has_done_and_what_failed(arguments, tmp_path):
    out = tmp_path / "out"
    before = "if image in (2, 5): raise ValueError('no photons')"
    code, said, _ = run(2, before, arguments(out, "n_images=8"))
    assert code == 1
    found = json.loads((out / "shot_summary.json").read_text())
    assert (found["images"], found["failed_images"]) == (6, [3, 6])
    assert found["images_per_s"] == pytest.approx(6 / found["seconds"], rel=0.05)
    assert sum(rank["images"] for rank in found["ranks"]) == 6 and len(found["ranks"]) == 2
    for rank in found["ranks"]:
        assert rank["all_s"] <= found["seconds"] and rank["peak_memory_MB"] > 50
        assert rank["simulate_s"] + rank["wait_s"] <= rank["all_s"] + 0.01
    assert summary.described(found) in said
    # The next run of the same job has the two left, and one of other parameters begins anew.
    assert main(arguments(out, "n_images=8")) == 0
    found = json.loads((out / "shot_summary.json").read_text())
    assert (found["images"], found["failed_images"], len(found["ranks"])) == (2, [], 1)
    others = ("n_images=8", "seed=2", "overwrite=True")
    code, _, _ = run(1, "os.kill(os.getpid(), signal.SIGKILL)", arguments(out, *others))
    assert code == -signal.SIGKILL
    assert not (out / "shot_summary.json").exists()


@needs_mpirun
def test_ranks_without_work_end_and_more_images_are_added(arguments, undisturbed, tmp_path):
    out, options = tmp_path / "out", ("images_per_file=3", "output.reduce=sum+mean+variance+maximum+radial+histogram")
    code, _, complained = run(3, "pass", arguments(out, "n_images=2", "output.log=True", *options))
    assert code == 0, complained
    assert len(pixels(out / "shot_master.h5")) == 2
    assert [path.name for path in out.glob("*.log")] == ["shot_rank_00000.log"]
    assert main(arguments(out, "n_images=8", *options)) == 0
    (out / "shot_rank_00000.log").unlink()
    assert results(out) == undisturbed("n_images=8", *options)


@needs_mpirun
def test_rank_that_raises_ends_all_even_one_that_hangs(arguments, tmp_path):
    """Rank 1 fails while rank 0 does not come back from its image."""
    hangs = tmp_path / "hangs"
    before = (
        f"import pathlib; hangs = pathlib.Path({str(hangs)!r})\n"
        "    if rank == 0: hangs.touch(); time.sleep(1000)\n"
        "    while not hangs.exists(): time.sleep(0.01)\n"
        "    1 // 0"
    )
    # How long it takes depends on the load; that it ends at all, and why, does not.
    code, _, complained = run(2, before, arguments(tmp_path / "out", "n_images=500"))
    assert code != 0
    ours = without_launcher(complained)
    assert "Ended ranks that did not stop within 2 s: 0\n" in ours
    assert "Rank 1:\nTraceback" in ours and ours.endswith("ZeroDivisionError: integer division or modulo by zero")


@needs_mpirun
def test_rank_that_raises_ends_the_others_in_order(arguments, tmp_path):
    before = "rank == 1 and images == 3 and 1 // 0; time.sleep(0.1)"
    out = tmp_path / "out"
    code, said, complained = run(2, before, arguments(out, "n_images=500"))
    assert code == 1 and "rank 1 " in said
    assert complained.count("Traceback") == 1
    assert without_launcher(complained).endswith("ZeroDivisionError: integer division or modulo by zero")
    assert not (out / "shot_master.h5").exists() and not list(out.glob(".*"))


@pytest.mark.parametrize("images_per_file", [1, 3])
def test_failing_image_is_told_and_the_others_are_there(
    images_per_file, arguments, undisturbed, tmp_path, monkeypatch, capsys
):
    out, options = tmp_path / "out", ("n_images=8", f"images_per_file={images_per_file}", "output.reduce=sum")
    expected = undisturbed(*options)
    capsys.readouterr()
    with monkeypatch.context() as patch:
        image_fails(patch, (1,), Sorry("the spectrum of this image is empty"))
        assert main(arguments(out, *options)) == 1
    complained = capsys.readouterr().err.splitlines()
    assert complained[0] == "Image 2 failed: the spectrum of this image is empty"
    assert complained[-1].startswith("Sorry: 1 of 8 images failed")
    with h5py.File(out / "shot_master.h5") as file:
        data = file["entry/data/data"]
        assert data.attrs["missing_images"].tolist() == [1]
        images = data[()]
    assert (images[1] == -1).all() and all(images[k].max() > 0 for k in (0, *range(2, 8)))
    with h5py.File(out / "shot_reduced.h5") as file:
        assert file["images"][()].tolist() == [[0, 0], [2, 7]]
    experiments = ExperimentListFactory.from_filenames([str(out / "shot_master.h5")])
    (mask,) = experiments[1].imageset.get_mask(0)
    assert len(experiments) == 8 and mask.count(True) == 0

    assert main(arguments(out, *options)) == 0
    assert results(out) == expected


def test_job_all_of_whose_images_fail_is_stopped(arguments, tmp_path, monkeypatch, capsys):
    image_fails(monkeypatch, range(1000), ValueError("no photons"))
    assert main(arguments(tmp_path / "out", "n_images=1000")) == 1
    complained = capsys.readouterr().err.splitlines()
    assert complained[-1] == "Sorry: the first 20 images have failed, the last because: no photons"
    assert len(complained) < 30


def test_full_disk_stops_the_job_and_leaves_whole_files(arguments, undisturbed, tmp_path, monkeypatch, capsys):
    out, options = tmp_path / "out", ("n_images=20", "images_per_file=2")
    room = [80_000]

    def write(self, contents):
        room[0] -= len(contents)
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self._stream.write(contents)

    with monkeypatch.context() as patch:
        patch.setattr(nexus._Patient, "_write_all", write)
        assert main(arguments(out, *options)) == 1
    complained = capsys.readouterr().err.splitlines()
    assert len(complained) == 1 and complained[0].startswith("Sorry: Cannot write ")
    assert complained[0].endswith("No space left on device.")
    names = sorted(path.name for path in out.iterdir())
    whole = [name for name in names if name.startswith("shot_0")]
    assert 2 < len(whole) < 10 and names == ["shot.phil", *whole, "shot_record.jsonl"]
    assert all(len(pixels(out / name)) == 2 for name in whole)
    assert main(arguments(out, *options)) == 0
    assert results(out) == undisturbed(*options)


def test_images_of_other_parameters_are_not_mixed(arguments, tmp_path, capsys):
    out, model = tmp_path / "out", tmp_path / "model.pdb"
    shutil.copy(default_coordinates(), model)
    before = f"crystal.pdb.file={model}"
    assert main(arguments(out, "n_images=2", before)) == 0
    first = results(out)
    capsys.readouterr()
    model.write_text(model.read_text() + "REMARK other contents\n")
    others = ("total_flux=2e11", "seed=7", "images_per_file=2")
    assert main(arguments(out, "n_images=2", before, *others)) == 1
    complained = capsys.readouterr().err
    for what in (
        "output.prefix=shot: expected another one, or output.overwrite=True", "seed (1, now 7)",
        "beam.total_flux (1e+11, now 2e+11)", "crystal.pdb.file (its contents)", "output.images_per_file (1, now 2)",
    ):  # fmt: skip
        assert what in complained
    assert complained.count("\n") == 1 and results(out) == first
    assert main(arguments(out, "n_images=2", before, *others, "overwrite=True")) == 0
    assert not (out / "shot_00002.h5").exists() and len(pixels(out / "shot_00001.h5")) == 2
    (out / "shot_record.jsonl").unlink()
    assert main(arguments(out, "n_images=2", before)) == 1
    assert "which job wrote it is unknown, because there is no readable shot_record.jsonl" in capsys.readouterr().err


def test_two_jobs_do_not_write_the_same_files(arguments, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert main(arguments(out, "n_images=1")) == 0
    monkeypatch.setattr(record, "PATIENCE_S", 0.2)
    with open(out / "shot_record.jsonl") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert main(arguments(out, "n_images=2")) == 1
        assert "another job is writing files of this prefix" in capsys.readouterr().err
        assert main(arguments(out, "n_images=2", "output.prefix=other")) == 0
    assert main(arguments(out, "n_images=2")) == 0


def test_sums_without_images_survive_a_kill(arguments, tmp_path):
    out, options = tmp_path / "out", ("n_images=9", "images_per_file=2", "output.reduce=sum+variance+maximum")
    assert main(arguments(out, *options)) == 0
    with h5py.File(out / "shot_reduced.h5") as file:
        expected = {name: file[name][()] for name in file}
    shutil.rmtree(out)
    options += ("output.images=False",)
    for at in (4, 7):
        before = f"if image == {at}: time.sleep(0.5); os.kill(os.getpid(), signal.SIGKILL)"
        code, _, _ = run(1, before, arguments(out, *options))
        assert code == -signal.SIGKILL
    with h5py.File(out / "shot_rank_00000_sums.h5") as file:
        assert file["images"][()].tolist() == [[0, 5]]
    assert main(arguments(out, *options)) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "shot.phil", "shot_record.jsonl", "shot_reduced.h5", "shot_summary.json", "shot_truth.expt", "shot_truth.mtz",
    ]  # fmt: skip
    with h5py.File(out / "shot_reduced.h5") as file:
        assert set(file) == set(expected)
        assert all(np.array_equal(file[name][()], values, equal_nan=True) for name, values in expected.items())


def test_sums_are_made_of_images_that_are_there(arguments, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert main(arguments(out, "n_images=4", "images_per_file=3")) == 0
    image_fails(monkeypatch, range(4), AssertionError("is not to be simulated again"))
    assert main(arguments(out, "n_images=4", "images_per_file=3", "output.reduce=sum+histogram")) == 0
    images = pixels(out / "shot_master.h5")
    with h5py.File(out / "shot_reduced.h5") as file:
        mask = file["mask"][()] == 1
        assert mask.sum() == 25 and np.array_equal(file["sum"][~mask], images.sum(0)[~mask])
        assert np.array_equal(file["histogram"], np.bincount(images[:, ~mask].ravel(), minlength=2**16))


def test_dry_run_writes_nothing(arguments, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(arguments(out, "n_images=1000", "images_per_file=100", "output.reduce=sum", "--dry-run")) == 0
    said = capsys.readouterr().out
    for what in ("Dry run, nothing is written", "To do: 1000 of 1000 images", "Data files: shot_00001.h5 to shot_00010.h5",
                 "Image 1, by every process at once", "\nTime: ", "\nDisk: "):  # fmt: skip
        assert what in said
    assert not out.exists()
    assert main(arguments(out, "n_images=2")) == 0
    before = results(out)
    assert main(arguments(out, "n_images=3", "-n")) == 0
    assert "To do: 1 of 3 images" in capsys.readouterr().out and results(out) == before


@pytest.mark.parametrize(
    "environment, device",
    [
        ({"OMPI_COMM_WORLD_LOCAL_RANK": "5", "DEVICES_PER_NODE": "4"}, "1"),
        ({"SLURM_LOCALID": "3", "DEVICES_PER_NODE": "8"}, "3"),
        ({"DEVICES_PER_NODE": "2"}, "0"),
        ({"SLURM_LOCALID": "3"}, None),  # Kokkos counts the GPUs
        ({"SLURM_LOCALID": "3", "DEVICES_PER_NODE": "8", "KOKKOS_DEVICE_ID": "7"}, "7"),
    ],
)
def test_ranks_take_the_gpus_of_their_node_in_turn(environment, device, monkeypatch):
    monkeypatch.setattr(os, "environ", environment)
    choose_device(OneRank())
    assert environment.get("KOKKOS_DEVICE_ID") == device


def test_number_of_gpus_that_is_none_is_refused(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DEVICES_PER_NODE", "four")
    assert main(arguments(tmp_path / "out")) == 1
    assert capsys.readouterr().err == "Sorry: DEVICES_PER_NODE=four: expected the number of GPUs of a node, 1 or more\n"


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda path: path.stem)
def test_batch_scripts_are_shell_and_name_parameters_that_exist(script):
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    names = re.findall(r"^ +([a-z_.]+)=\S+(?: \\)?$", script.read_text(), flags=re.MULTILINE)
    known = {locator.path for locator in parameters.phil_scope.all_definitions()}
    assert set(names) <= known and (names or "srun" not in script.read_text())
