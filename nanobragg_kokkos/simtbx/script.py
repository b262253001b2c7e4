"""Runs a script that was written for simtbx: see nanobragg_kokkos.simtbx --help."""

from __future__ import annotations

import os
import runpy
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from types import ModuleType, TracebackType

from nanobragg_kokkos.simtbx.hook import enable

HELP = """\
Usage: nanobragg_kokkos.simtbx SCRIPT [ARGUMENTS]
       nanobragg_kokkos.simtbx -m MODULE [ARGUMENTS]

Runs a Python script, or a module, that was written for simtbx, unmodified. This package replaces
simtbx's extensions; simtbx's own Python files are used where they are installed.
"""


def main(arguments: Sequence[str]) -> None:
    """Runs the script as python does: with its arguments, its folder first on the path, and its exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(HELP, end="")
        return
    if arguments[0] == "-m":
        _run_module(arguments[1:])
    elif arguments[0].startswith("-"):
        raise SystemExit(f"Sorry: there is no option {arguments[0]}: the script comes first, then its arguments")
    else:
        _run_script(arguments)


def _run_script(arguments: Sequence[str]) -> None:
    path = arguments[0]
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise SystemExit(f"Sorry: cannot read the script {path}: {error.strerror}") from None
    sys.argv = list(arguments)
    _first_on_path(os.path.dirname(os.path.realpath(path)))
    script = ModuleType("__main__")
    script.__file__ = os.path.abspath(path)
    vars(script)["__builtins__"] = __builtins__
    sys.modules["__main__"] = script
    enable()
    code = None
    show = sys.excepthook

    def show_calls_of_the_script(kind: type, error: BaseException, trace: TracebackType | None) -> None:
        while trace is not None and trace.tb_frame.f_code is not code:
            trace = trace.tb_next
        show(kind, error.with_traceback(trace), trace)

    sys.excepthook = show_calls_of_the_script
    code = compile(source, script.__file__, "exec", dont_inherit=True)
    exec(code, vars(script))


def _run_module(arguments: Sequence[str]) -> None:
    _first_on_path(os.getcwd())
    enable()
    if not arguments or find_spec(arguments[0]) is None:
        raise SystemExit(f"Sorry: there is no module {arguments[0]}" if arguments else "Sorry: -m needs a module")
    sys.argv = list(arguments)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


def _first_on_path(folder: str) -> None:
    """Replaces this command's folder on the path by another one, where python puts the folder of a script."""
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = folder
