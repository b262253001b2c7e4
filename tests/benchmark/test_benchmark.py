"""The benchmark command and the C++ program: what they write, that they simulate the same, and what they refuse."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import libtbx.load_env
import numpy as np
import pytest
from helpers.places import CLONE

import nanobragg_kokkos
from nanobragg_kokkos import air, named_detectors, water
from nanobragg_kokkos.benchmark import workloads
from nanobragg_kokkos.benchmark.command import main
from nanobragg_kokkos.benchmark.report import contents
from nanobragg_kokkos.benchmark.timing import measure
from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.files import nexus

TOP = CLONE
PROGRAM = Path(libtbx.env.under_build("exe/nanobragg_kokkos_benchmark"))

NUMBERS = ("median_ms", "min_ms", "max_ms", "first_ms", "pixels", "pixels_per_s", "photons", "brightest", "checksum")
OR_NOTHING = {
    "scaled": str,
    "of_base": float,
    "engine": str,
    "sample": str,
    "evaluations": float,
    "evaluations_per_s": float,
    "bytes": float,
    "bytes_per_s": float,
    "floor_ms": float,
    "fraction_of_floor": float,
    "device_memory_MB": float,
}


def command(*arguments: str) -> int:
    """In this process: for what ends before anything is measured, which takes half a gigabyte."""
    return main(list(arguments))


def script(name: str, *arguments: str) -> subprocess.CompletedProcess:
    return launch(sys.executable, str(TOP / name), *arguments)


def program(*arguments: str) -> subprocess.CompletedProcess:
    return launch(str(PROGRAM), *arguments)


def launch(*line: str) -> subprocess.CompletedProcess:
    # On a busy machine, threads that wait for each other would take most of the time.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
    return subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, dict]:
    """What both write of the same small workloads."""
    directory = tmp_path_factory.mktemp("benchmark")
    arguments = ("workload=all", "small=True", "runs=2")
    for done in (
        script("command_line/benchmark.py", *arguments, f"json={directory}/python.json"),
        program(*arguments, f"json={directory}/cpp.json"),
    ):
        assert (done.returncode, done.stderr) == (0, "")
        # The workload's name says that it is small, wherever its figures go.
        assert "rayonix_small" in done.stdout and "rayonix " not in done.stdout
    assert {path.name for path in directory.iterdir()} == {"python.json", "cpp.json"}
    return {name: json.loads((directory / f"{name}.json").read_text()) for name in ("python", "cpp")}


@pytest.mark.parametrize("name", ["python", "cpp"])
def test_file_has_what_is_documented(files, name):
    machine, results = files[name]["machine"], files[name]["results"]
    assert list(files[name]) == ["machine", "results"]
    assert machine["threads"] >= 1 and machine["bytes_per_s"] > 0 and machine["fma_per_s"] > 0
    for key in ("program", "version", "backend", "device", "processor", "kokkos", "compiler"):
        assert isinstance(machine[key], str), key
    assert machine["version"] == files["python"]["machine"]["version"]
    assert name == "cpp" or machine["commit"] is None or re.fullmatch(r"[0-9a-f]{12,}(-dirty)?", machine["commit"])
    for row in results:
        assert row["workload"].endswith("_small")
        assert (row["backend"], row["threads"], row["runs"]) == (machine["backend"], machine["threads"], 2)
        assert 0 < row["min_ms"] <= row["median_ms"] <= row["max_ms"]
        assert all(isinstance(row[key], (int, float)) for key in NUMBERS)
        assert all(row[key] is None or isinstance(row[key], (kind, int)) for key, kind in OR_NOTHING.items())
        assert row["photons"] > row["brightest"] > 0
        assert (row["engine"] is not None) == (row["step"] == "spots")
        assert (row["sample"] is None) == (row["step"] in ("spots", "sum", "transfer"))
        assert (row["evaluations"] is not None) == (row["engine"] == "pixel")
        assert (row["bytes"] is not None) == (row["step"] in ("transfer", "write"))
    rayonix = [(row["step"], row["engine"], row["sample"]) for row in results if row["workload"] == "rayonix_small"]
    assert rayonix == [
        ("spots", "pixel", None),
        ("spots", "reflection", None),
        ("background", None, "water"),
        ("background", None, "air"),
        ("sum", None, None),
        ("response", None, "noise"),
        ("response", None, "noise+psf"),
        *([] if machine["device"] == "host" else [("transfer", None, None)]),
        ("image", None, "noise"),
        ("image", None, "noise+psf"),
        *([(step, None, nexus.compressor()) for step in ("write", "job")] if name == "python" else []),
    ]
    assert {row["workload"] for row in results} == {f"{name}_small" for name in ext.workload_names()}
    scaling = [(row["scaled"], row["factor"]) for row in results if row["workload"] == "scaling_small"]
    grown = {(name, factor) for name in ("pixels", "reflections", "domains", "rotation_steps") for factor in (2, 4)}
    assert scaling[0] == ("base", 1) and set(scaling[1:]) == grown
    assert all((row["of_base"] is not None) == (row["workload"] == "scaling_small") for row in results)


def test_python_and_cpp_simulate_the_same(files):
    python = [row for row in files["python"]["results"] if row["step"] not in ("write", "job")]
    cpp = files["cpp"]["results"]
    assert len(python) == len(cpp)
    for ours, theirs in zip(python, cpp):
        assert list(ours) == list(theirs)
        for key in ("workload", "scaled", "factor", "step", "engine", "sample", "pixels", "evaluations"):
            assert ours[key] == theirs[key]
        for key in ("photons", "brightest", "checksum"):
            assert ours[key] == pytest.approx(theirs[key], rel=1e-10), (ours["workload"], ours["step"], key)


def test_engines_simulate_the_same(files):
    spots = [row for row in files["python"]["results"] if row["step"] == "spots" and not row["scaled"]]
    for name in {row["workload"] for row in spots} - {"square_small"}:
        pixel, reflection = (row for row in spots if row["workload"] == name)
        assert pixel["checksum"] == pytest.approx(reflection["checksum"], rel=1e-10), name


@pytest.mark.parametrize("workload", ["rayonix_small", "jungfrau_16m_small"])
def test_counts_are_those_of_the_expected_photons(files, workload):
    results = [row for row in files["python"]["results"] if row["workload"] == workload]
    rows = {(row["step"], row["engine"] or row["sample"]): row for row in results}
    pixels = rows["sum", None]["pixels"]
    parts = (("spots", "reflection"), ("background", "water"), ("background", "air"))
    expected = sum(rows[part]["photons"] for part in parts)
    counts = rows["response", "noise"]
    assert abs(counts["photons"] - 10 * pixels - expected) < 5 * (expected + 9 * pixels) ** 0.5
    assert rows["response", "noise+psf"]["brightest"] < counts["brightest"]
    assert rows["write", nexus.compressor()]["checksum"] == counts["checksum"]
    # The last of a batch is another image.
    last = rows["image", "noise"]
    assert rows["job", nexus.compressor()]["checksum"] == last["checksum"]
    assert last["photons"] == pytest.approx(counts["photons"], rel=0.01) and last["checksum"] != counts["checksum"]


def test_more_unlit_pixels_add_no_photon(files):
    rows = {(row["scaled"], row["factor"]): row for row in files["python"]["results"] if row["scaled"]}
    base = rows["base", 1]
    for factor in (2, 4):
        assert rows["pixels", factor]["pixels"] == factor * base["pixels"]
        assert rows["pixels", factor]["photons"] == pytest.approx(base["photons"], rel=1e-10)


def test_rayonix_is_as_designed():
    (workload,) = ext.workloads("rayonix", False)
    (panel,), (reference,) = workloads.detector(workload), named_detectors.by_name("rayonix_mx340")
    assert panel.get_image_size() == (3840, 3840)
    for name in ("get_origin", "get_fast_axis", "get_slow_axis", "get_pixel_size"):
        assert getattr(panel, name)() == pytest.approx(getattr(reference, name)()), name
    assert workload.evaluations == 3840**2 * 100 * 25
    assert len(ext.reflections(workload.cell_edges, workload.d_min)) == pytest.approx(
        4 / 3 * np.pi * 67 * 60 * 47 / 1.8**3, rel=0.01
    )
    crystal = workloads.crystal(workload)
    angles = np.degrees(np.arccos((np.trace(crystal.mosaic_blocks, axis1=1, axis2=2) - 1) / 2))
    assert len(angles) == 25 and np.sqrt(np.mean(angles**2)) == pytest.approx(0.05, rel=1e-6)
    amplitudes = np.array(ext.random_amplitudes(ext.reflections(workload.cell_edges, workload.d_min), 7))
    assert np.sqrt(np.mean(amplitudes**2)) == pytest.approx(100, rel=0.01)


def test_jungfrau_has_no_overlapping_panels_and_a_hole():
    (workload,) = ext.workloads("jungfrau_16m", False)
    assert workload.n_pixels == 256 * 254**2
    corners = np.array([origin[:2] for origin, *_ in workload.panels]) * (1, -1)
    side = 254 * 0.075
    apart = np.abs(corners[:, None] - corners[None]).max(axis=2) + np.eye(256) * side
    assert apart.min() >= side
    # The beam, at (0, 0), hits none of them.
    assert not ((corners <= 0) & (corners + side >= 0)).all(axis=1).any()


def test_backgrounds_are_those_of_the_package():
    (workload,) = ext.workloads("rayonix", False)
    samples = workloads.backgrounds(workload)
    assert samples["water"].thickness_mm == water(0.01).thickness_mm
    assert samples["air"].molecules(1.0) == air(5).molecules(1.0)


def test_checksum_tells_places_apart():
    image = np.zeros((60, 40))
    image[1, 2] = 3.0
    assert contents((image,)) == {"photons": 3.0, "brightest": 3.0, "checksum": 3.0 * 42}
    assert contents((np.zeros((30, 40)), image))["checksum"] == 3.0 * ((30 * 40 + 42) % 1009)


def document_with_tables(directory: Path, *files: dict) -> str:
    document = directory / "performance.md"
    document.write_text("before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n")
    paths = []
    for number, file in enumerate(files):
        paths.append(directory / f"{number}.json")
        paths[-1].write_text(json.dumps(file))
    for _ in range(2):  # the second time, too
        done = script("benchmarks/tables.py", str(document), *map(str, paths))
        assert (done.returncode, done.stderr) == (0, "")
    return document.read_text()


def test_tables_are_written_from_files(files, tmp_path):
    text = document_with_tables(tmp_path, *files.values())
    assert text.startswith("before\n<!-- measured: begin -->\nCeilings") and text.endswith(
        "<!-- measured: end -->\nafter\n"
    )
    assert "old" not in text
    lines = [line for line in text.splitlines() if line.startswith("| rayonix_small, spots, reflection-driven |")]
    medians = [file["results"][1]["median_ms"] for file in files.values()]
    assert len(lines) == 1 and [float(cell.split()[0]) for cell in lines[0].split("|")[2:-1]] == [
        float(f"{median:.3g}") for median in medians
    ]
    assert "| scaling_small, domains × 4, spots, reflection-driven |" in text
    assert text.index("| Whole image") < text.index("| rayonix_small, image, noise+psf |")


def test_tables_have_no_column_without_a_cell(files, tmp_path):
    writing = {**files["python"], "results": [row for row in files["python"]["results"] if row["step"] == "write"]}
    lines = document_with_tables(tmp_path, files["cpp"], writing).splitlines()
    columns = {line.split()[1]: line.count("|") - 2 for line in lines if line.startswith(("| Milliseconds", "| Whole"))}
    assert columns == {"Milliseconds:": 1, "Whole": 2}
    (written,) = (line for line in lines if line.startswith("| rayonix_small, write"))
    assert written.split("|")[2].strip() == "" and written.endswith(" MB/s |")


class Clock:
    """Time that passes only in what is timed."""

    def __init__(self, monkeypatch, *runs: float) -> None:
        self.now, self.left, self.prepared = 0.0, list(runs), 0
        monkeypatch.setattr("time.perf_counter", lambda: self.now)

    def run(self) -> None:
        self.now += self.left.pop(0)

    def prepare(self) -> None:
        self.now += 1000
        self.prepared += 1


def test_first_run_warms_up(monkeypatch):
    clock = Clock(monkeypatch, 5, 1, 3, 2)
    timing = measure(clock.prepare, clock.run, runs=3, limit=100)
    assert (timing.first, sorted(timing.runs), timing.median, clock.prepared) == (5, [1, 2, 3], 2, 4)


def test_times_are_of_one_image(monkeypatch):
    clock = Clock(monkeypatch, 6, 4, 8, 8)
    timing = measure(clock.prepare, clock.run, runs=9, limit=20, images=2)
    assert (timing.first, timing.runs) == (3, (2, 4, 4))


@pytest.mark.parametrize("times, counted", [((50,), 1), ((10, 11), 1), ((5, 5, 5, 5), 3)], ids=str)
def test_no_further_run_after_the_limit(monkeypatch, times, counted):
    clock = Clock(monkeypatch, *times)
    timing = measure(clock.prepare, clock.run, runs=10, limit=20)
    assert len(timing.runs) == counted and not clock.left


# Arguments, the message of the command, and that of the program.
WRONG_ARGUMENTS = {
    "misspelt_workload": ("workload=rayonx", "workload: rayonx", "workload=rayonx: expected rayonix, rayonix_1ch"),
    "no_run": ("runs=0", "runs=0: expected a whole number, 1 or more", "runs=0: expected a whole number, 1 or more"),
    "part_of_a_run": ("runs=1.5", "runs=1.5: expected a whole number", "runs=1.5: expected a whole number"),
    "no_time": ("limit=0", "limit=0.0: expected more than 0 s", "limit=0: expected more than 0 s"),
    "no_number": ("limit=soon", "limit=soon: expected a number", "limit=soon: expected more than 0 s"),
    "misspelt_step": ("step=spot", "step: spot", "step=spot: expected spots, background, sum, response"),
    "misspelt_engine": ("engine=pixels", "engine: pixels", "engine=pixels: expected pixel, reflection"),
    "perhaps_small": (
        "small=perhaps",
        "small=perhaps: expected True or False",
        "small=perhaps: expected True or False",
    ),
    "no_such_folder": ("json=missing/a.json", "json=missing/a.json: expected", "json=missing/a.json: expected"),
    "folder": ("json=.", "json=.: expected the name of a file", "json=.: expected the name of a file"),
    "misspelt_name": ("workloads=rayonix", "Did you mean workload?", "workloads: there is no such parameter"),
    "no_name": ("rayonix", "rayonix: expected name=value", "rayonix: expected --help or name=value"),
    "no_such_spots": (
        "workload=square step=spots engine=reflection",
        "workload=square, step=spots and engine=reflection: expected at least one step that these workloads have",
        "workload=square, step=spots and engine=reflection: expected at least one step that these workloads have",
    ),
    "no_such_step": ("workload=gauss step=image", "step=image and engine=pixel", "step=image and engine=pixel"),
}


@pytest.mark.parametrize("name", WRONG_ARGUMENTS)
def test_wrong_argument_is_refused(name, tmp_path, monkeypatch, capsys):
    arguments, of_command, of_program = WRONG_ARGUMENTS[name]
    monkeypatch.chdir(tmp_path)
    arguments = ["small=True", "json=out.json", *arguments.split()]
    assert command(*arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("Sorry: ") and captured.err.count("\n") == 1 and captured.out == ""
    assert of_command in captured.err
    done = program(*arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("nanobragg_kokkos_benchmark: ") and done.stderr.count("\n") == 1
    assert of_program in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(nanobragg_kokkos.backend()["device"] != "host", reason="counts are copied from a GPU")
def test_nothing_is_transferred_where_the_device_is_the_host(capsys):
    assert command("small=True", "step=transfer") == 1
    assert "step=transfer" in capsys.readouterr().err
    done = program("small=True", "step=transfer")
    assert done.returncode == 1 and "step=transfer" in done.stderr


def test_results_of_an_earlier_run_stay_if_this_one_fails(tmp_path, monkeypatch, capsys):
    def refuse(*arguments):
        raise MemoryError

    monkeypatch.setattr("nanobragg_kokkos.benchmark.command.this_machine", refuse)
    path = tmp_path / "out.json"
    path.write_text("earlier")
    assert command("small=True", f"json={path}") == 1
    assert "memory" in capsys.readouterr().err
    assert path.read_text() == "earlier" and list(tmp_path.iterdir()) == [path]


def test_help_tells_every_parameter_and_workload(capsys):
    assert command("--help") == 0
    text = capsys.readouterr().out
    assert all(name in text for name in (*ext.workload_names(), "step=", "engine=", "runs=", "limit=", "json="))
    done = program("--help")
    assert done.returncode == 0 and all(name in done.stdout for name in ext.workload_names())


def test_config_is_shown(capsys):
    assert command("--show-config", "workload=gauss+square", "runs=3") == 0
    text = capsys.readouterr().out
    assert "*square *gauss" in text and "runs = 3" in text
