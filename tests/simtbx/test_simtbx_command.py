"""Imports of simtbx's extensions that end here, and the command that runs scripts with them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import COMMAND_LINE

from nanobragg_kokkos.simtbx import script

COMMAND = COMMAND_LINE / "simtbx.py"


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[1:])}
    line = [sys.executable, COMMAND, *arguments]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=60)


def test_extensions_are_found_without_simtbx_and_without_starting_kokkos(run_python):
    program = """
import importlib.util, os, sys
sys.modules["simtbx"] = None  # as if it were not installed
import nanobragg_kokkos.simtbx as here
threads = len(os.listdir("/proc/self/task"))
here.enable()
here.enable()
import simtbx_nanoBragg_ext, simtbx_kokkos_ext, simtbx_gpu_ext
from simtbx_kokkos_ext import *
assert gpu_detector is simtbx_gpu_ext.gpu_detector is here.gpu_detector
assert simtbx_kokkos_ext.kokkos_instance is gpu_instance
assert simtbx_nanoBragg_ext.nanoBragg is here.nanoBragg and simtbx_nanoBragg_ext.Gauss is here.shapetype.Gauss
assert not hasattr(simtbx_nanoBragg_ext, "gpu_detector") and not hasattr(simtbx_gpu_ext, "enable")
assert importlib.util.find_spec("simtbx_gpu_ext").origin.startswith("nanobragg_kokkos")
assert importlib.util.find_spec("simtbx_diffBragg_ext") is None
gpu_instance(deviceId=0)
assert len(os.listdir("/proc/self/task")) == threads
from nanobragg_kokkos import backend
assert backend()["backend"] != "OpenMP" or len(os.listdir("/proc/self/task")) == threads + 2, threads
print("fine")
"""
    finished = run_python(program, OMP_NUM_THREADS="3", OPENBLAS_NUM_THREADS="1")
    assert finished.stdout.endswith("fine\n"), finished.stderr


def test_simtbxs_own_extensions_are_not_replaced_behind_a_scripts_back(run_python, tmp_path):
    (tmp_path / "simtbx_kokkos_ext.py").write_text("")
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import simtbx_kokkos_ext
import nanobragg_kokkos.simtbx
nanobragg_kokkos.simtbx.enable()
"""
    finished = run_python(program)
    assert finished.returncode == 1
    message = finished.stderr.splitlines()[-1]
    assert message.startswith("ImportError: simtbx's own simtbx_kokkos_ext is in this process already")
    # One that was not imported yet is not used.
    finished = run_python(
        program.replace("import simtbx_kokkos_ext\n", "") + "import simtbx_kokkos_ext as e; e.gpu_detector"
    )
    assert finished.returncode == 0, finished.stderr


SCRIPT = """\
import sys
import helper
from simtbx_nanoBragg_ext import nanoBragg
print(sys.argv, sys.path[0], __name__, __file__, sys.modules["__main__"].helper is helper)
def fail():
    raise KeyError("nothing")
if sys.argv[1:] == ["exit"]:
    sys.exit(7)
fail()
"""


@pytest.fixture
def file(tmp_path) -> Path:
    folder = tmp_path / "scripts"
    folder.mkdir()
    (folder / "helper.py").write_text("")
    (folder / "script.py").write_text(SCRIPT)
    return folder / "script.py"


def test_a_script_has_its_arguments_and_its_folder(file, tmp_path):
    done = command("scripts/script.py", "exit", cwd=tmp_path)
    assert done.returncode == 7, done.stderr
    assert done.stdout == f"{['scripts/script.py', 'exit']} {file.parent} __main__ {file} True\n"
    assert done.stderr == ""


def test_errors_are_shown_as_python_shows_them(file, tmp_path):
    for text in (SCRIPT, "x = (\n", "import nowhere\n"):
        file.write_text(text.replace("from simtbx_nanoBragg_ext import nanoBragg\n", "\n"))
        done = command(str(file), cwd=tmp_path)
        plain = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=60)
        assert done.returncode == plain.returncode == 1
        assert done.stderr == plain.stderr


def test_an_interrupt_ends_a_script_as_it_ends_python(file, tmp_path):
    file.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = command(str(file), cwd=tmp_path)
    assert done.returncode == -signal.SIGINT
    assert done.stderr.endswith("KeyboardInterrupt\n") and "nanobragg_kokkos" not in done.stderr


def test_a_module_is_run(file):
    done = command("-m", "script", "exit", cwd=file.parent)
    assert done.returncode == 7, done.stderr
    assert done.stdout == f"{[str(file), 'exit']} {file.parent} __main__ {file} True\n"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["missing.py"], "Sorry: cannot read the script missing.py: No such file or directory"),
        (["."], "Sorry: cannot read the script .: Is a directory"),
        (["-m", "no_such_module"], "Sorry: there is no module no_such_module"),
        (["-m"], "Sorry: -m needs a module"),
        (["--verbose", "script.py"], "Sorry: there is no option --verbose: the script comes first, then its arguments"),
    ],
)
def test_what_cannot_be_run(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    with pytest.raises(SystemExit) as ended:
        script.main(arguments)
    assert ended.value.code == message  # a message as the code: python prints it and exits with 1


def test_a_script_that_is_missing_says_sorry(tmp_path):
    done = command("missing.py", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Sorry: cannot read the script missing.py: No such file or directory\n"


@pytest.mark.parametrize("arguments", [["-h"], ["--help"], []])
def test_help(arguments, capsys):
    script.main(arguments)
    assert capsys.readouterr().out.startswith("Usage: nanobragg_kokkos.simtbx SCRIPT")
