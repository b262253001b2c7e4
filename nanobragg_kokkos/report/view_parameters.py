"""The parameters of nanobragg_kokkos.view."""

from __future__ import annotations

import iotbx.phil
import libtbx.phil
import numpy as np
from libtbx.utils import Sorry

from nanobragg_kokkos.util import help_text as help_texts
from nanobragg_kokkos.util import phil, value_rules

phil_scope = iotbx.phil.parse("""
n = 1
  .type = int
  .help = "Number of the image, counted from 1 through all files."
zoom = None
  .type = floats(size=3)
  .help = "x,y,size of a square to show, in pixels. x,y: its centre, from the upper left corner of the panel, or of"
          "all panels as seen from the source."
d_min = None
  .type = float
  .help = "Show the image to this resolution, angstrom."
panel = None
  .type = int
  .help = "Show only this panel, as stored; counted from 0."
truth = None
  .type = path
  .help = "Crystal models (.expt) whose predicted spots are circled."
photons = 30
  .type = float
  .help = "Least number of expected photons of circled spots. Without a run's files beside the models, all excited"
          "spots are circled."
range = None
  .type = floats(size=2)
  .help = "Counts shown as white and as black. None: follow the background."
size = 1200
  .type = int
  .help = "Longer side of the picture in pixels, 100 to 10000. The image is reduced or enlarged by a whole number."
output = None
  .type = path
  .help = "PNG file. None: NAME_N.png here, for image N of NAME."
""")

USAGE = """Writes a picture (PNG) of a diffraction image in any format that dxtbx reads.

  nanobragg_kokkos.view simulated/shot_master.h5 n=3
  nanobragg_kokkos.view simulated/shot_master.h5 zoom=800,1440,100 truth=simulated/shot_truth.expt

Usage: nanobragg_kokkos.view IMAGES [FILE.phil] [name=value] ...

Spots are dark on light grey. Labels give the resolution of the rings; a scale shows the counts that
are white and black. Overloads are red, masked pixels light blue.

"""

SIZES = (100, 10000)


def _zoom(value: list[float] | None) -> bool:
    return value is None or bool(np.isfinite(value).all() and value[2] >= 1)


def _range(value: list[float] | None) -> bool:
    return value is None or bool(np.isfinite(value).all() and value[0] < value[1])


RULES = {
    "n": value_rules.whole(1),
    "zoom": (_zoom, "x,y,size, with a size of 1 pixel or more"),
    "d_min": value_rules.or_none(value_rules.above_0("angstrom")),
    "photons": value_rules.above_0("photons"),
    "range": (_range, "two counts, the lower one first"),
    "size": value_rules.between(*SIZES, " pixels"),
}


def help_text() -> str:
    """Returns what --help prints."""
    return help_texts.help_text(USAGE, phil_scope, [found.path for found in phil_scope.all_definitions()])


def validated(arguments: list[str]) -> libtbx.phil.scope:
    """Returns the effective parameters after checking their values.

    Raises:
        Sorry: a value is invalid; names the parameter and what was expected.
    """
    working = phil.parse(arguments, phil_scope)
    params = working.extract()
    value_rules.check(params, RULES)
    if params.zoom is not None and params.d_min is not None:
        raise Sorry(f"zoom={listed(params.zoom)} and d_min={params.d_min:g} exclude each other")
    return working


def listed(numbers: list[float]) -> str:
    """Returns numbers in the form in which a user gives them."""
    return ",".join(f"{number:g}" for number in numbers)
