"""nanobragg_kokkos.simulate: its arguments and its exit code."""

from __future__ import annotations

import sys
from typing import Any

import libtbx.phil

from nanobragg_kokkos.job import help_text, parameters
from nanobragg_kokkos.job.run import run
from nanobragg_kokkos.mpi import ranks
from nanobragg_kokkos.util import command
from nanobragg_kokkos.util.failures import Failed

RESUME = "the same command goes on with the images that are left"

DRY_RUN_OPTIONS = ("-n", "--dry-run")


def main(arguments: list[str]) -> int:
    """Runs the command on this rank; returns the exit code of the process."""
    try:
        comm = ranks.world()
    except Failed as failure:
        print(failure, end="\n" if str(failure) else "", file=sys.stderr)
        return 1

    def simulate(working: libtbx.phil.scope, given: list[str]) -> None:
        text = run(comm, working, dry=bool(set(DRY_RUN_OPTIONS) & set(given)))
        if comm.rank == 0:
            print(text, flush=True)

    return command.main(arguments, help_text.help_text, lambda given: _parameters(comm, given), simulate, comm, RESUME)


def _parameters(comm: Any, arguments: list[str]) -> libtbx.phil.scope:
    """Returns the effective parameters, read by the first rank, on all ranks.

    Raises:
        Failed: on all ranks.
    """

    def read() -> libtbx.phil.scope:
        working = parameters.parse([argument for argument in arguments if argument not in DRY_RUN_OPTIONS])
        parameters.validate(working.extract())
        return working

    return ranks.on_first(comm, read)
