"""The parameters of nanobragg_kokkos.benchmark."""

from __future__ import annotations

import math
import os
import tempfile

import iotbx.phil
import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.benchmark.steps import ENGINES, STEPS, chosen
from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.util import command

phil_scope = iotbx.phil.parse(
    f"""
workload = *{" ".join(ext.workload_names())} all
  .type = choice(multi=True)
  .help = "What is simulated, one or several with + between them. scaling: how the reflection-driven engine's time grows"
          "with pixels, reflections, domains and rotation steps."
step = {" ".join("*" + name for name in STEPS)}
  .type = choice(multi=True)
  .help = "Steps of an image, one or several with + between them. transfer: on a GPU only."
engine = {" ".join("*" + name for name in ENGINES)}
  .type = choice(multi=True)
  .help = "How the Bragg spots are computed, one or both with + between them."
runs = 10
  .type = int
  .help = "How often each measurement is made, after a first time to warm up."
limit = 20
  .type = float
  .help = "Seconds after which a measurement makes no further run. The first run counts if it alone takes as long."
small = False
  .type = bool
  .help = "Small versions of the workloads, for tests. Their times say nothing."
json = None
  .type = path
  .help = "A file to write the results to."
"""
)

USAGE = """Times the steps of simulating an image.

  nanobragg_kokkos.benchmark
  nanobragg_kokkos.benchmark workload=rayonix+jungfrau_16m engine=reflection json=times.json
  nanobragg_kokkos.benchmark workload=all step=background+sum runs=50

Usage: nanobragg_kokkos.benchmark [FILE.phil] [name=value] ...

"""

CHOICES = f"""
workload: {" ".join(ext.workload_names())} all
step: {" ".join(STEPS)}; engine: {" ".join(ENGINES)}
Several with + between them."""


def help_text() -> str:
    """How to call the command."""
    names = [found.path for found in phil_scope.all_definitions()]
    return command.help_text(USAGE, phil_scope, names) + "\n" + CHOICES


def validated(arguments: list[str]) -> libtbx.phil.scope:
    """The effective parameters, each of which makes sense.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    working = parameters.parse(arguments, phil_scope)
    params = working.extract()
    for name in ("workload", "step", "engine"):
        if not getattr(params, name):
            raise Sorry(f"{name}={getattr(params, name)}: expected one or several of those that --help lists")
    if not (isinstance(params.runs, int) and params.runs >= 1):
        raise Sorry(f"runs={params.runs}: expected a whole number, 1 or more")
    if not (isinstance(params.limit, float) and math.isfinite(params.limit) and params.limit > 0):
        raise Sorry(f"limit={params.limit}: expected more than 0 s")
    if not isinstance(params.small, bool):
        raise Sorry(f"small={params.small}: expected True or False")
    if params.json is not None:
        _check_writable(params.json)
    return working


def chosen_workloads(params: libtbx.phil.scope_extract) -> list[ext.Workload]:
    """All that has a step to measure, in order.

    Raises:
        Sorry: nothing has.
    """
    names = ext.workload_names() if "all" in params.workload else params.workload
    found = [
        workload
        for name in names
        for workload in ext.workloads(name, params.small)
        if chosen(workload, params.step, params.engine)
    ]
    if not found:
        raise Sorry(
            f"step={'+'.join(params.step)} engine={'+'.join(params.engine)}: expected others, with these there is nothing "
            f"to measure here in workload={'+'.join(params.workload)}"
        )
    return found


def _check_writable(path: str) -> None:
    """Before anything is measured, which may take long."""
    reason = "it is a directory" if os.path.isdir(path) else None
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(path))):
            pass
    except OSError as error:
        reason = error.strerror
    if reason:
        raise Sorry(f"json={path}: expected the name of a file that can be written, but {reason}")
