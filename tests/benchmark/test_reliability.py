"""benchmarks/reliability: a case of each attack holds, and what does not hold is noticed."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys

import h5py
import numpy as np
import pytest
from helpers.places import CLONE

from nanobragg_kokkos.job import parameters

PROGRAM = CLONE / "benchmarks" / "reliability"


@pytest.fixture
def attacks(monkeypatch):
    """The program's modules, by name, as the program imports them."""
    monkeypatch.syspath_prepend(str(PROGRAM))
    import damaged_files
    import harness
    import parameter_sets

    yield {"damaged_files": damaged_files, "harness": harness, "parameter_sets": parameter_sets}
    for path in PROGRAM.glob("*.py"):
        sys.modules.pop(path.stem, None)


def attack(*arguments: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, str(PROGRAM), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_a_case_of_each_attack_holds():
    names = ("parameters", "files", "resumes", "disks", "together", "signals")
    done = attack(*names, "--cases", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row.split(" | ")[1:3] for row in done.stdout.splitlines()] == len(names) * [["1", "1"]]


def test_a_case_is_repeated_by_its_number():
    done = attack("files", "3")
    assert done.returncode == 0 and "files 3: " in done.stdout and "held; its files are in" in done.stdout


@pytest.mark.parametrize(
    "code, said, problem",
    [
        (0, "Written to out", ""),
        (1, "Reading\nSorry: seed=-1: expected 0 or more\n", ""),
        (1, "Traceback (most recent call last):\nValueError: no\n", "a traceback: ValueError: no"),
        (1, "", "exit code 1 without exactly one message"),
        (1, "Sorry: a\nSorry: b\n", "exit code 1 without exactly one message"),
        (1, "Sorry: a\nand more\n", "its message is not the last line, or longer than a line: and more"),
        (2, "Sorry: a", "exit code 2"),
        (-11, "", "signal 11 ended it"),
        (-14, "", "it took longer than 120 s"),
    ],
)
def test_ends_that_are_wrong_are_noticed(code, said, problem, attacks):
    assert attacks["harness"].Ended(code, said).problem == problem


def test_files_that_are_wrong_are_noticed(attacks, tmp_path):
    harness, out = attacks["harness"], tmp_path / "out"
    done, refused = harness.Ended(0, ""), harness.Ended(1, "Sorry: no")
    assert harness.left_by(out, refused) == ""
    assert harness.left_by(out, done) == "done, but there is no master file"
    out.mkdir()
    with h5py.File(out / "shot_master.h5", "w") as file:
        file["entry/data/data"] = np.arange(100_000)
    assert harness.left_by(out, done) == ""
    assert harness.left_by(out, refused) == "refused, but it wrote shot_master.h5"
    whole = harness.digests(out)
    contents = (out / "shot_master.h5").read_bytes()
    (out / "shot_master.h5").write_bytes(contents[: len(contents) // 2])
    assert harness.left_by(out, done) == "unreadable: shot_master.h5"
    assert harness.difference(harness.digests(out), whole).endswith("undisturbed job: shot_master.h5")
    (out / ".shot_00001.h5.part").touch()
    assert harness.left_by(out, done) == "half-written files: .shot_00001.h5.part"
    (out / ".shot_00001.h5.part").unlink()
    (tmp_path / harness.EXECUTED).mkdir()
    assert harness.left_by(out, done) == "it executed the contents of a file"


def test_every_parameter_has_plausible_values(attacks):
    names = {locator.path for locator in parameters.parse([]).all_definitions()}
    assert names == attacks["parameter_sets"].PLAUSIBLE.keys()


def test_malicious_pickles_do_execute(attacks, tmp_path, monkeypatch):
    """Where nothing prevents it."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(attacks["damaged_files"].malicious(b"", random.Random(1)))
    assert (tmp_path / attacks["harness"].EXECUTED).exists()


def test_formats_take_turns_with_all_kinds_of_damage(attacks):
    files = attacks["damaged_files"]
    pairs = {(n % len(files.FORMATS), files.way_of(n)) for n in range(files.ATTACK.n_cases)}
    assert len(pairs) == files.ATTACK.n_cases
    assert {way for _, way in pairs} == set(range(len(files.DAMAGES) + len(files.REPLACEMENTS)))


def test_undamaged_files_are_all_read(tmp_path):
    """In a process of its own, as the program forks, which a process with threads must not."""
    program = f"""
import sys
sys.path.insert(0, {str(PROGRAM)!r})
from pathlib import Path
from harness import run
from inputs import FORMATS, arguments, copy_inputs
here = Path({str(tmp_path)!r})
copy_inputs(here)
formats = {{form.title: form for form in FORMATS}}
for titles in (
    ["PDB", "orientations", "detector", "spectra as text", "anomalous table"],
    ["mmCIF", "mask", "spectra in HDF5"],
    ["small-molecule CIF", "image"],
    ["MTZ"],
    ["reflection CIF"],
    ["gzip", "parameters"],
    ["bzip2"],
):
    given = [argument for title in titles for argument in arguments(formats.pop(title), here)]
    ended = run([*given, "--dry-run", f"output.directory={{here / titles[0]}}"], here)
    assert ended.code == 0, (titles, ended.said)
assert not formats
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
