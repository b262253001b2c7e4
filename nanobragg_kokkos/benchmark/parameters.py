"""The parameters of nanobragg_kokkos.benchmark."""

from __future__ import annotations

import os
import tempfile

import iotbx.phil
import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.benchmark.steps import ENGINES, STEPS
from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.util import help_text as help_texts
from nanobragg_kokkos.util import phil, value_rules

phil_scope = iotbx.phil.parse(
    f"""
workload = *{" ".join(ext.workload_names())} all
  .type = choice(multi=True)
  .help = "Simulations to time, one or several with + between them. scaling: how the time of the reflection-driven"
          "engine grows with pixels, reflections, domains and rotation steps."
step = {" ".join("*" + name for name in STEPS)}
  .type = choice(multi=True)
  .help = "Steps of an image, one or several with + between them. transfer: on a GPU only."
engine = {" ".join("*" + name for name in ENGINES)}
  .type = choice(multi=True)
  .help = "Engines of the Bragg spots, one or both with + between them."
runs = 10
  .type = int
  .help = "Number of measurements of each step, after one to warm up."
limit = 20
  .type = float
  .help = "Seconds after which a step is not measured again. The first run counts if it alone takes as long."
small = False
  .type = bool
  .help = "Use small versions of the workloads, for tests. Their times mean nothing."
json = None
  .type = path
  .help = "File to write the results to."
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


_SOME = (bool, "one or several of those that --help lists")

RULES = {
    "workload": _SOME,
    "step": _SOME,
    "engine": _SOME,
    "runs": value_rules.whole(1),
    "limit": value_rules.above_0("s"),
    "small": value_rules.given("True or False"),
}


def help_text() -> str:
    """Returns what --help prints."""
    names = [found.path for found in phil_scope.all_definitions()]
    return help_texts.help_text(USAGE, phil_scope, names) + "\n" + CHOICES


def validated(arguments: list[str]) -> libtbx.phil.scope:
    """Returns the effective parameters after checking their values.

    Raises:
        Sorry: a value is invalid; names the parameter and what was expected.
    """
    working = phil.parse(arguments, phil_scope)
    params = working.extract()
    value_rules.check(params, RULES)
    if params.json is not None:
        _check_writable(params.json)
    return working


def _check_writable(path: str) -> None:
    """Raises Sorry if a file cannot be written; called before the measurements, which may take long."""
    reason = "it is a directory" if os.path.isdir(path) else None
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(path))):
            pass
    except OSError as error:
        reason = error.strerror
    if reason:
        raise Sorry(f"json={path}: expected the name of a file that can be written, but {reason}")
