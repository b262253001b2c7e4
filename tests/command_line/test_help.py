"""The help of every command fits a screen, and begins with an example."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.places import COMMAND_LINE

from nanobragg_kokkos.benchmark import parameters as benchmark_parameters
from nanobragg_kokkos.benchmark.command import main as benchmark
from nanobragg_kokkos.job import help_text, parameters
from nanobragg_kokkos.job.command import main as simulate
from nanobragg_kokkos.report import parameters as report_parameters
from nanobragg_kokkos.report import view_parameters
from nanobragg_kokkos.report.command import main as report
from nanobragg_kokkos.report.view import main as view
from nanobragg_kokkos.util import phil

COMMANDS = {"benchmark": benchmark, "report": report, "simulate": simulate, "view": view}
LINES, COLUMNS, SENTENCE = 40, 100, 60


def info(arguments: list[str]) -> int:
    done = subprocess.run([sys.executable, str(COMMAND_LINE / "info.py"), *arguments], capture_output=True, text=True)
    print(done.stdout)
    return done.returncode


@pytest.mark.parametrize("name", [*COMMANDS, "info"])
def test_help_fits_a_screen_and_begins_with_an_example(name, capsys):
    assert {**COMMANDS, "info": info}[name](["--help"]) == 0
    lines = capsys.readouterr().out.rstrip().split("\n")
    assert len(lines) <= LINES
    long = [line for line in lines if len(line) > COLUMNS]
    assert not long
    assert any(line.strip().startswith(f"nanobragg_kokkos.{name}") for line in lines[:4])


@pytest.mark.parametrize("name", [*COMMANDS, "info"])
def test_no_line_of_the_help_is_cut(name, capsys):
    assert {**COMMANDS, "info": info}[name](["--help"]) == 0
    assert [line for line in capsys.readouterr().out.split("\n") if line.rstrip().endswith("…")] == []


COMMON = {
    "benchmark": (benchmark_parameters.phil_scope, None),
    "report": (report_parameters.phil_scope, None),
    "simulate": (parameters.phil_scope, help_text.COMMON),
    "view": (view_parameters.phil_scope, None),
}


@pytest.mark.parametrize("name", COMMON)
def test_first_sentence_of_each_common_parameter_fits_its_line(name):
    scope, names = COMMON[name]
    first = {
        found.path: " ".join(str(found.object.help).split()).split(". ")[0]
        for found in scope.all_definitions()
        if names is None or found.path in names
    }
    assert first and {name: text for name, text in first.items() if len(text.rstrip(".")) >= SENTENCE} == {}


@pytest.mark.parametrize("name", COMMANDS)
def test_config_is_shown_with_its_meaning_and_can_be_read_back(name, capsys, tmp_path):
    assert COMMANDS[name](["--show-config"]) == 0
    shown = capsys.readouterr().out
    path = tmp_path / "shown.phil"
    path.write_text(shown)
    assert COMMANDS[name](["--show-config", str(path)]) == 0
    assert capsys.readouterr().out == shown
    assert ".help = " in shown


def test_parameters_of_the_help_are_told_with_default_and_meaning():
    lines = help_text.help_text().split("\n")
    known = {found.path: found.object for found in parameters.phil_scope.all_definitions()}
    for name in help_text.COMMON:
        (line,) = [line for line in lines if line.startswith(f"  {name}=")]
        assert line.startswith(f"  {name}={phil.default(known[name])}") and len(line.split()) > 2


@pytest.mark.parametrize("name", ["info", "view"])
def test_reader_that_has_gone_is_nothing_to_complain_about(name):
    read, write = os.pipe()
    os.close(read)
    command_line = str(COMMAND_LINE / f"{name}.py")
    options = [] if name == "info" else ["--help"]
    done = subprocess.run([sys.executable, command_line, *options], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")
