"""Code that all commands share: --help and --show-config, and the end of a process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, NoReturn

import libtbx.phil

from nanobragg_kokkos.util.failures import Failed, described
from nanobragg_kokkos.util.phil import as_text

HELP_OPTIONS = ("-h", "--help")
CONFIG_OPTIONS = ("-c", "--show-config")


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


def use_utf_8() -> None:
    """Starts the program again in Python's UTF-8 mode if the locale has another encoding.

    cctbx and HDF5 take names of files as UTF-8; those of another encoding would name other files. To be called first.
    """
    if sys.getfilesystemencoding().lower() != "utf-8":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def end_on_signals() -> None:
    """Has SIGTERM, by which launchers, batch systems and kill ask a process to stop, end it as Ctrl-C does.

    Both raise KeyboardInterrupt, so that run can say how to go on. SIGINT stays ignored in a process that ignores it.
    """

    def handler(number: int, frame: FrameType | None) -> NoReturn:
        raise Terminated

    signal.signal(signal.SIGTERM, handler)
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main(
    arguments: Sequence[str],
    help_text: Callable[[], str],
    parameters: Callable[[list[str]], libtbx.phil.scope],
    action: Callable[[libtbx.phil.scope, list[str]], None],
    comm: Any = None,
    advice: str = "",
) -> int:
    """Runs a command that has parameters; returns the exit code of the process.

    Args:
        arguments: arguments of the command line.
        help_text: returns what --help prints.
        parameters: returns the effective parameters, given all arguments but --show-config; raises Sorry if one is
            invalid.
        action: does the work of the command, given the effective parameters and all arguments but --show-config.
        comm, advice: as in run.
    """

    def chosen() -> None:
        if set(HELP_OPTIONS) & set(arguments):
            _print_once(help_text(), comm)
            return
        others = [argument for argument in arguments if argument not in CONFIG_OPTIONS]
        working = parameters(others)
        if len(others) < len(arguments):
            _print_once(as_text(working, attributes_level=1), comm)
        else:
            action(working, others)

    return run(chosen, comm, advice)


def run(action: Callable[[], None], comm: Any = None, advice: str = "") -> int:
    """Runs an action, prints the reason if it fails, and returns the exit code of the process.

    Args:
        action: the work to do. With several processes, it raises Failed on all of them or on none; any other exception
            ends the other processes, which do not know of it.
        comm: the communicator of the processes that run the command together (mpi4py's or ranks.OneRank); None: this
            process alone.
        advice: how to go on after the process has been interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        # Names of files have characters that the terminal's encoding may not have.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    first = comm is None or comm.rank == 0
    try:
        action()
        return 0
    except Failed as failure:
        if first:
            print(failure, file=sys.stderr, flush=True)
        # A launcher may end all processes as soon as one has ended with an error.
        if comm is not None:
            comm.barrier()
        return 1
    except KeyboardInterrupt as interrupt:
        if first:
            what = "Stopped by SIGTERM" if isinstance(interrupt, Terminated) else "Interrupted"
            print(f"\n{what}{advice and '; '}{advice}", file=sys.stderr, flush=True)
        return _end_all(comm, 130)
    except BrokenPipeError:
        # The reader of the output (head, for example) has closed it; this also silences Python's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _end_all(comm, 141)
    except Exception as error:
        print(described(error).rstrip(), file=sys.stderr, flush=True)
        return _end_all(comm, 1)


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates arguments about parameters (name=value, phil files, unknown options) from names of other files."""
    about = [a for a in arguments if a.startswith("-") or a.endswith((".phil", ".eff")) or "=" in a]
    return about, [a for a in arguments if a not in about]


def _print_once(text: str, comm: Any) -> None:
    if comm is None or comm.rank == 0:
        print(text, flush=True)


def _end_all(comm: Any, code: int) -> int:
    """Ends the other processes, which must not wait for this one; returns the exit code."""
    if comm is not None:
        comm.Abort(code)
    return code
