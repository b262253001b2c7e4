"""benchmarks/compare: what it prints of two files of the benchmark, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import CLONE

MACHINE = {
    "program": "Python",
    "version": "0.1.0",
    "commit": "0123456789ab",
    "backend": "Cuda",
    "device": "NVIDIA H100",
    "processor": "AMD EPYC",
    "threads": 1,
    "kokkos": "4.7.0",
    "compiler": "nvcc 12.4",
}


def row(step: str, milliseconds: float, photons: float = 1e9, **more: str) -> dict:
    named = {"workload": "rayonix", "scaled": None, "factor": 1, "step": step, "engine": None, "sample": None}
    return {**named, "median_ms": milliseconds, "photons": photons, **more}


OLD = [row("spots", 2.0, engine="reflection"), row("sum", 0.5), row("image", 10.0, sample="noise")]


def compared(
    directory: Path, new: list[dict], *options: str, machine: dict = MACHINE
) -> subprocess.CompletedProcess[str]:
    old_file, new_file = directory / "old.json", directory / "new.json"
    old_file.write_text(json.dumps({"machine": MACHINE, "results": OLD}))
    new_file.write_text(json.dumps({"machine": machine, "results": new}))
    return compare(str(old_file), str(new_file), *options)


def compare(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(CLONE / "benchmarks/compare"), *arguments], capture_output=True, text=True
    )


def test_slower_steps_are_named(tmp_path):
    new = [row("spots", 2.2, engine="reflection"), row("sum", 0.25), row("image", 10.2, sample="noise")]
    done = compared(tmp_path, new)
    assert done.returncode == 1 and done.stderr == ""
    assert [
        line.split()[-3:] for line in done.stdout.splitlines() if line.startswith("rayonix") and "%" not in line
    ] == [
        ["2.000", "2.200", "1.100"],
        ["0.500", "0.250", "0.500"],
        ["10.000", "10.200", "1.020"],
    ]
    assert [line for line in done.stdout.splitlines() if "slower" in line] == [
        "rayonix, spots, reflection-driven: 10.0 % slower"
    ]
    assert "commit 0123456789ab" in done.stdout and "Warning" not in done.stdout


@pytest.mark.parametrize(("threshold", "code"), [("9", 1), ("11", 0)])
def test_threshold_can_be_chosen(tmp_path, threshold, code):
    done = compared(tmp_path, [row("spots", 2.2, engine="reflection")], f"--threshold={threshold}")
    assert done.returncode == code
    assert ("No step became slower by more than 11 %." in done.stdout) == (code == 0)


def test_other_machines_and_other_images_get_a_warning(tmp_path):
    new = [row("spots", 2.0, engine="reflection", photons=1.001e9), row("sum", 0.5, photons=1e9 + 1), row("job", 1.0)]
    done = compared(tmp_path, new, machine={**MACHINE, "device": "NVIDIA A100", "commit": None})
    assert done.returncode == 0
    lines = [line for line in done.stdout.splitlines() if line.startswith(("Warning", "Only"))]
    assert lines == [
        "Warning: device differs, so that times say little about the code: NVIDIA H100, NVIDIA A100",
        "Warning: rayonix, spots, reflection-driven: the images have different numbers of photons",
        "Only in the old file: rayonix, image, noise",
        "Only in the new file: rayonix, job",
    ]


def test_files_of_other_kinds_are_refused(tmp_path):
    done = compared(tmp_path, [row("write", 1.0)])
    assert done.returncode == 1 and "expected a step that" in done.stderr
    other = tmp_path / "other.json"
    for contents in ("[1, 2]", "no JSON"):
        other.write_text(contents)
        done = compare(str(other), str(other))
        assert (
            done.returncode == 1 and done.stderr.startswith(f"Sorry: {other}: ") and len(done.stderr.splitlines()) == 1
        )
    assert compare(str(tmp_path / "missing.json"), str(other)).stderr.startswith("Sorry: ")
