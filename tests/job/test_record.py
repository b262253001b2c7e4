"""The record of a job: what differs is refused, what is damaged is made again, and other people's files stay."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from dxtbx.model import Experiment, ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory
from helpers.jobs import COMMAND, contents, pixels
from helpers.small_models import small_beam, small_detector
from libtbx import easy_pickle
from scitbx.array_family import flex

from nanobragg_kokkos.imaging.image_simulator import ImageSimulator
from nanobragg_kokkos.job import conclusion, inputs, parameters, record
from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.job.file_names import FileNames
from nanobragg_kokkos.job.plan import Plan
from nanobragg_kokkos.job.record import Job, Record
from nanobragg_kokkos.util.phil import as_text
from nanobragg_kokkos.util.whole_files import CannotWrite, Checksum, whole_file

SMALL = ("n_images=2", "crystal.mosaic_domains=2", "spectrum.nchannels=1")


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("detector") / "small.expt"
    experiment = Experiment(detector=small_detector(pixels=40, pixel_mm=1.0), beam=small_beam())
    ExperimentList([experiment]).as_file(str(path))
    return path


@pytest.fixture
def simulate(detector_file, tmp_path, capsys):
    """Runs the command in this process; returns its exit code, output and errors."""

    def run(*arguments: str, directory: str = "out") -> tuple[int, str, str]:
        given = [f"detector.reference={detector_file}", f"output.directory={tmp_path / directory}", *SMALL, *arguments]
        capsys.readouterr()
        code = main(given)
        return (code, *capsys.readouterr())

    return run


def refused(found: tuple[int, str, str], *texts: str) -> bool:
    """Returns whether a command has ended with one line that has some texts in it."""
    code, _, complained = found
    return (
        code == 1
        and complained.startswith("Sorry: ")
        and complained.count("\n") == 1
        and all(text in complained for text in texts)
    )


@pytest.mark.parametrize("name", ["shot.phil", "shot_record.jsonl"])
@pytest.mark.parametrize("size", [0, 100])
def test_other_parameters_are_refused_whatever_is_damaged(name, size, simulate, tmp_path):
    assert simulate()[0] == 0
    path = tmp_path / "out" / name
    path.write_bytes(path.read_bytes()[:size])
    before = contents(tmp_path / "out")
    assert refused(simulate("seed=2"), "output.prefix=shot: expected another one, or output.overwrite=True")
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    "earlier, later, text",
    [
        ("crystal.unit_cell=34.12345,35,44,90,90,90", "crystal.unit_cell=34.12346,35,44,90,90,90", "34.12346"),
        ("crystal.anomalous_tables=S={}/a.txt", "crystal.anomalous_tables=Fe={}/a.txt", "(S, now Fe)"),
        ("crystal.anomalous_tables=S={}/a.txt", "crystal.anomalous_tables=S={}/b.txt", "(contents of S)"),
        ("beam.total_flux=1e11", "beam.total_flux=100000000001", "(1e+11, now 100000000001.0)"),
        ("crystal.pdb.file=None", "crystal.pdb.file={}/model.pdb", "crystal.pdb.file (None, now "),
        ("crystal.space_group=P212121", "crystal.space_group=19", None),
        ("crystal.anomalous_tables=S={}/a.txt", "crystal.anomalous_tables=S={}/c.txt", None),
    ],
)
def test_exact_values_and_contents_decide_whether_a_job_is_the_same(earlier, later, text, tmp_path):
    energies = np.linspace(9e3, 1e4, 3)
    for name, factor in (("a", 1), ("b", 2), ("c", 1)):
        np.savetxt(tmp_path / f"{name}.txt", np.column_stack([energies, -np.ones(3), factor * np.ones(3)]))
    (tmp_path / "model.pdb").touch()

    def job(argument: str) -> Job:
        working = parameters.parse([argument.format(tmp_path)])
        return Job.of(working, inputs.read_inputs(working))

    differences = job(later).differences(job(earlier))
    assert differences == [] if text is None else len(differences) == 1 and text in differences[0]


def test_files_behind_files_decide_whether_a_job_is_the_same(detector_file, tmp_path):
    models = json.loads(detector_file.read_text())
    models["imageset"] = [{"__id__": "ImageSet", "images": ["none.cbf"], "mask": "mask.pickle", "params": {}}]
    models["experiment"][0]["imageset"] = 0
    (tmp_path / "masked.expt").write_text(json.dumps(models))
    with h5py.File(tmp_path / "spectrum.h5", "w") as file:
        file["entry/beam/weights"] = h5py.ExternalLink("weights.h5", "/weights")
        images = file.create_group("entry/data")
        images.attrs["NX_class"] = "NXdata"
        images["data_000001"] = h5py.ExternalLink("images.h5", "/data")
    (tmp_path / "images.h5").touch()
    working = parameters.parse([f"detector.reference={tmp_path}/masked.expt", f"spectrum.file={tmp_path}/spectrum.h5"])

    def job(masked: int, weight: float) -> Job:
        mask = flex.bool(flex.grid(40, 40), True)
        mask[masked] = False
        easy_pickle.dump(str(tmp_path / "mask.pickle"), (mask,))
        with h5py.File(tmp_path / "weights.h5", "w") as file:
            file["weights"] = [1.0, weight]
        return Job.of(working, inputs.read_inputs(working))

    first = job(3, 1.0)
    assert sorted(file.label for files in first.inputs.values() for file in files if file.label) == [
        "mask.pickle", "weights.h5",
    ]  # fmt: skip
    assert job(3, 1.0).differences(first) == []
    assert job(4, 1.0).differences(first) == ["detector.reference (contents of mask.pickle)"]
    assert job(3, 2.0).differences(first) == ["spectrum.file (contents of weights.h5)"]


def test_all_missing_files_are_named_at_once(simulate, tmp_path):
    found = simulate("crystal.pdb.file=none.pdb", "crystal.orientation.file=none.expt")
    assert refused(found, "crystal.pdb.file=none.pdb, crystal.orientation.file=none.expt: there are no such files")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["cut", "emptied", "zeros", "gone"])
def test_damaged_files_are_made_again(damage, simulate, tmp_path):
    assert simulate("output.reduce=sum")[0] == 0
    out = tmp_path / "out"
    whole = contents(out)
    for name in sorted(whole.keys() - {"shot_record.jsonl"}):
        broken = bytearray(whole[name])
        middle = len(broken) // 2
        if damage == "zeros":
            broken[middle : middle + 20] = bytes(20) if any(broken[middle : middle + 20]) else b"x" * 20
        (out / name).write_bytes(broken[: {"cut": middle, "emptied": 0}.get(damage)])
        if damage == "gone":
            (out / name).unlink()
        code, said, complained = simulate("output.reduce=sum")
        assert code == 0 and complained == ""
        assert ("made again: " + name in said) == (damage != "gone")
        found = contents(out)
        # The record goes on, and the summary is that of the last run that had images to make or to add up.
        for changed in ("shot_record.jsonl", "shot_summary.json"):
            found[changed] = whole[changed]
        assert found == whole, name


def test_summary_of_a_complete_job_stays(simulate, tmp_path):
    assert simulate()[0] == 0
    summary = tmp_path / "out" / "shot_summary.json"
    before = summary.read_bytes()
    assert json.loads(before)["images"] == 2
    (tmp_path / "out" / "shot_master.h5").unlink()
    assert simulate()[0] == 0 and summary.read_bytes() == before
    summary.unlink()
    assert simulate()[0] == 0 and summary.read_bytes() == before


def test_damaged_lines_of_a_record_count_as_missing(tmp_path):
    working = parameters.parse([])
    job = Job.of(working, {})
    path = tmp_path / "shot_record.jsonl"
    with Record(path) as written:
        written.lock(create=True)
        written.begin(job)
        written.claim(2, 1, ["shot.phil"])
        for name in ("a", "b", "c"):
            written.add(name, Checksum(name, 1))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[3].replace(b'"b"', b'"d"'), lines[4][:-5]]))
    found = Record(path)
    assert (found.job, found.n_data, found.names, set(found.files)) == (job, 2, {"shot.phil"}, {"a"})
    with found:
        found.lock(create=True)
        found.add("e", Checksum("e", 1))
    assert set(Record(path).files) == {"a", "e"}
    path.write_bytes(b"x" + b"".join(lines))
    assert Record(path).job is None


def test_lock_is_one_file_for_ever(tmp_path, monkeypatch):
    """A job that waits for another one locks the same file as those that come later."""
    monkeypatch.setattr(record, "PATIENCE_S", 0.0)
    path = tmp_path / "shot_record.jsonl"
    with Record(path) as held:
        held.lock(create=True)
        inode = path.stat().st_ino
        for seed in (1, 2):
            held.begin(Job.of(parameters.parse([f"seed={seed}"]), {}))
        assert path.stat().st_ino == inode
        with Record(path) as other, pytest.raises(Exception, match="another job is writing files of this prefix"):
            other.lock(create=False)
    # Removed by hand between opening and locking.
    with open(path) as file:
        path.unlink()
        path.touch()
        fcntl.flock(file, fcntl.LOCK_EX)
        with Record(path) as held:
            held.lock(create=True)
            assert held.locked


def test_of_two_jobs_started_together_one_is_refused(detector_file, tmp_path):
    """Both find nothing, wait for each other, and go on at the same time."""
    before = f"""
import os, sys, time
from pathlib import Path
from nanobragg_kokkos.job import directory, record
record.PATIENCE_S = 0.5
claim = directory.Workspace.claim
def wait(self):
    here = Path(sys.argv[-1])
    (here / str(os.getpid())).touch()
    while len(list(here.iterdir())) < 2: time.sleep(0.01)
    return claim(self)
directory.Workspace.claim = wait
import runpy
sys.argv[0] = {str(COMMAND)!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""
    (tmp_path / "meeting").mkdir()
    (tmp_path / "trial.phil").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    shared = [f"detector.reference={detector_file}", f"output.directory={tmp_path / 'out'}", *SMALL]
    program = before.replace("sys.argv[-1]", repr(str(tmp_path / "meeting")))
    jobs = [
        subprocess.Popen([sys.executable, "-c", program, *shared, f"seed={seed}"], env=environment,
                         stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for seed in (1, 2)
    ]  # fmt: skip
    complaints = [job.communicate(timeout=120)[1] for job in jobs]
    assert sorted(job.returncode for job in jobs) == [0, 1]
    (complaint,) = filter(None, complaints)
    assert complaint.startswith("Sorry: output.prefix=shot: expected another one") and complaint.count("\n") == 1
    seed = [job.returncode for job in jobs].index(0) + 1
    assert parameters.parse([str(tmp_path / "out" / "shot.phil")]).extract().seed == seed


def test_amplitudes_replace_no_file_but_their_own(simulate, detector_file, tmp_path):
    assert simulate()[0] == 0
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "link").symlink_to("nothing")
    before = contents(tmp_path / "out")
    names = [
        "mine.txt",
        "link",
        "out",
        *(f"out/{name}" for name in before if name != "shot_truth.mtz"),
        "out/shot_00009.h5",
    ]
    for name in [*(tmp_path / name for name in names), detector_file, "/dev/null", "/dev/stdout"]:
        for overwrite in ("False", "True"):
            found = simulate(f"output.true_amplitudes={name}", f"output.overwrite={overwrite}")
            assert refused(found), name
    assert contents(tmp_path / "out") == before and (tmp_path / "mine.txt").read_text() == "mine"
    own = f"output.true_amplitudes={tmp_path / 'own.mtz'}"
    for others in ([], ["n_images=3"], ["seed=2", "output.overwrite=True"]):
        assert simulate(own, *others)[0] == 0


def test_prefixes_do_not_share_files(simulate, tmp_path):
    assert simulate("output.prefix=shot_partial")[0] == 0
    assert simulate("output.prefix=shot_rank")[0] == 0
    before = contents(tmp_path / "out")
    temporary = tmp_path / "out" / f".shot_partial_00002.h5.{'0' * 32}.part"
    temporary.touch()
    for others in ([], ["seed=2", "output.overwrite=True"]):
        assert simulate("output.reduce=sum", "output.images=False", *others)[0] == 0
    after = contents(tmp_path / "out")
    assert temporary.exists() and {name: after[name] for name in before} == before


def test_files_of_nobody_stay(simulate, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in ("shot_00002.h5", "shot_truth.mtz", "shot.png"):
        (out / name).write_text("measured")
        assert refused(simulate(), name, "no readable shot_record.jsonl")
        assert [path.name for path in out.iterdir()] == [name] and (out / name).read_text() == "measured"
        (out / name).unlink()
    assert simulate()[0] == 0
    (out / "shot_00003.h5").write_text("measured")
    assert simulate()[0] == 0
    assert refused(simulate("n_images=3"), "shot_00003.h5 exists and is no file of this job")
    assert simulate("n_images=2", "seed=2", "output.overwrite=True")[0] == 0
    assert (out / "shot_00003.h5").read_text() == "measured"


def test_inputs_are_not_overwritten(simulate, tmp_path):
    assert simulate()[0] == 0
    reference = f"detector.reference={tmp_path / 'out' / 'shot_master.h5'}"
    before = contents(tmp_path / "out")
    assert refused(simulate(reference, "output.overwrite=True"), "as the job reads ", "shot_master.h5")
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    "value", ["a\nseed = 99", "x; seed = 99", "} seed = 99 {", "a'b\"c", "$HOME", "a\\", "#a", "é"]
)
def test_parameters_are_read_as_they_were_written(value, tmp_path, monkeypatch):
    monkeypatch.setenv("OUT_DIR", value)
    (tmp_path / "trial.phil").write_text("output.directory = $OUT_DIR\n")
    working = parameters.parse([str(tmp_path / "trial.phil")])
    for level in (0, 1):
        (tmp_path / "again.phil").write_text(as_text(working, attributes_level=level))
        params = parameters.parse([str(tmp_path / "again.phil")]).extract()
        assert params.output.directory == value and params.seed == 1


@pytest.mark.parametrize(
    "argument, expected",
    [
        ("output.reduce=Auto", "one or several of sum, mean"),
        ("output.true_amplitudes=Auto", "the name of a file"),
        ("output.prefix=shot\udcff", "printable characters"),
        ("output.prefix='a\tb'", "printable characters"),
        ("output.directory=", "a value after ="),
        ("output.directory=\udcff", "in UTF-8"),
        (f"output.prefix={'x' * 210}", "at most 197 bytes, not 210"),
        (f"output.directory={'x' * 300}", "a directory to write in"),
        ("output.directory=/dev/null", "/dev/null is no directory"),
        ("engine=*auto *pixel reflection", "expected one of auto, pixel, reflection"),
    ],
)
def test_names_that_cannot_be_are_refused(argument, expected, detector_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([f"detector.reference={detector_file}", *SMALL, argument]) == 1
    complained = capsys.readouterr().err
    assert complained.startswith("Sorry: ") and expected in complained and complained.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_job_without_any_image_names_no_master(simulate, tmp_path, monkeypatch):
    def fail(self, image):
        raise ValueError("no photons")

    with monkeypatch.context() as patch:
        patch.setattr(ImageSimulator, "start", fail)
        code, said, complained = simulate()
    assert code == 1 and "Sorry: 2 of 2 images failed" in complained
    written = said.split("Written to ")[1]
    assert "master" not in written and "dials.import" not in written and "shot.png" not in written
    assert all((tmp_path / "out" / line.split()[0]).exists() for line in written.splitlines()[1:])


def test_names_are_utf_8_in_any_locale(detector_file, tmp_path):
    (tmp_path / "dé").mkdir()
    shutil.copy(detector_file, tmp_path / "dé" / "ü.expt")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                   "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}  # fmt: skip
    command = [sys.executable, COMMAND, "detector.reference=dé/ü.expt", "output.directory=ö", "output.prefix=ß", *SMALL]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "ß_master.h5" in os.listdir(tmp_path / "ö") and "ß_master.h5" in done.stdout.decode()


def test_files_are_on_the_disk_before_they_have_their_names(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: calls.append(os.fstat(file).st_ino) or fsync(file))
    monkeypatch.setattr(os, "replace", lambda a, b: calls.append("renamed") or replace(a, b))
    with whole_file(tmp_path / "a") as temporary:
        Path(temporary).write_text("contents")
    assert calls == [(tmp_path / "a").stat().st_ino, "renamed", tmp_path.stat().st_ino]
    with pytest.raises(CannotWrite, match="it is a device"), whole_file("/dev/null") as temporary:
        pass


def test_background_alone_is_simulated_without_a_crystal(simulate, tmp_path):
    code, said, complained = simulate("crystal.count=0", "output.reduce=sum", "background.water_mm=1")
    assert code == 0, complained
    assert "No crystal: the background alone" in said and "mtz" not in said
    out = tmp_path / "out"
    assert not (out / "shot_truth.mtz").exists()
    found = ExperimentListFactory.from_json_file(str(out / "shot_truth.expt"), check_format=False)
    assert len(found) == 2 and all(experiment.crystal is None for experiment in found)
    bright = ("n_images=1", "noise=False", "crystal.length_um=20", "crystal.Deff_A=100", "mosaic_spread_deg=2")
    assert simulate(*bright, directory="with")[0] == 0
    assert simulate(*bright, "crystal.count=0", directory="alone")[0] == 0
    with_spots, alone = (pixels(tmp_path / name / "shot_00001.h5") for name in ("with", "alone"))
    assert (with_spots >= alone).all() and alone.max() > 0 and (with_spots > alone).any()
    assert simulate("crystal.count=0", "output.reduce=sum", "background.water_mm=1")[1].startswith("All images already")


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["crystal.count=1000000"], "0 to 10000"),
        (["oversample=1000000"], "1 to 100"),
        (["n_images=2147483647", "scan.width_deg=0.1"], "at most 10000000 with scan.width_deg"),
        (["crystal.count=0", "scan.width_deg=0.1"], "exclude each other"),
    ],
)
def test_work_without_end_is_refused(arguments, expected, simulate, tmp_path):
    assert refused(simulate(*arguments), expected)
    assert not (tmp_path / "out").exists()


def test_plan_takes_no_memory_for_images_to_come(tmp_path):
    n_images = 2**31 - 1
    tracemalloc.start()
    try:
        plan = Plan(FileNames(tmp_path, "shot", 3), n_images, True, {0, 2, 5}, None)
        assert len(plan) == -(-n_images // 3) - 3
        assert [plan[k].number for k in (0, 1, 2, 3, 4, len(plan) - 1)] == [1, 3, 4, 6, 7, -(-n_images // 3) - 1]
        assert plan.n_simulated == plan.n_needed == n_images - 9
        assert plan.first_simulated() == 3
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    # Images that are written, but not in the sums, are read.
    plan = Plan(FileNames(tmp_path, "shot", 2), 7, True, {0, 1}, {0, 1, 2, 4})
    tasks = [plan[k] for k in range(len(plan))]
    assert [(task.number, list(task.needed), list(task.simulated)) for task in tasks] == [
        (1, [3], []), (2, [4, 5], [4, 5]), (3, [6], [6]),
    ]  # fmt: skip
    assert (plan.n_needed, plan.n_simulated) == (4, 3)


def test_dry_run_is_not_misled_by_what_else_the_computer_does(simulate, monkeypatch):
    start, images = ImageSimulator.start, []

    def call(self, image):
        images.append(image)
        if len(images) in (2, 4):
            time.sleep(3)
        return start(self, image)

    monkeypatch.setattr(ImageSimulator, "start", call)
    code, said, _ = simulate("--dry-run")
    (took,) = re.findall(r"([0-9.e+]+) ms to simulate it", said)
    assert code == 0 and float(took) < 2000


def test_lack_of_memory_for_the_end_is_told_after_one_image(simulate, tmp_path, monkeypatch):
    def full(*arguments):
        raise MemoryError

    monkeypatch.setattr(conclusion, "require_memory", full)
    code, _, complained = simulate("n_images=50")
    assert code == 1 and complained.startswith("Sorry: Out of memory")
    assert len(list((tmp_path / "out").glob("shot_0*.h5"))) < 10
