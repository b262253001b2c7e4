"""The parameters of nanobragg_kokkos.report."""

from __future__ import annotations

import iotbx.phil
import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.util import command

phil_scope = iotbx.phil.parse("""
images = 3
  .type = int
  .help = "How many of the run's images to look at, evenly spread over all of them."
photons = 30
  .type = float
  .help = "Look at spots that are expected to have so many photons or more."
output = None
  .type = path
  .help = "The page's file. None: PREFIX_report.html beside the master file."
pngs = None
  .type = path
  .help = "A folder to write the figures to as PNG, too. True: PREFIX_report beside the page. None: no such files."
""")

USAGE = """Shows what nanobragg_kokkos.simulate has written, on one page of HTML that needs no other file.

  nanobragg_kokkos.report simulated                            writes simulated/shot_report.html
  nanobragg_kokkos.report simulated/shot_master.h5 images=6 pngs=figures

Usage: nanobragg_kokkos.report MASTER_FILE_OR_DIRECTORY [FILE.phil] [name=value] ...

The page has images with the spots that the true models predict, spots up close, signal to
background, counts and overloads, spectra, orientations, parameters, and warnings.

"""


def help_text() -> str:
    """How to call the command."""
    return command.help_text(USAGE, phil_scope, ["images", "photons", "output", "pngs"])


def validated(arguments: list[str]) -> libtbx.phil.scope:
    """The effective parameters, each of which makes sense.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    working = parameters.parse(arguments, phil_scope)
    params = working.extract()
    if not (isinstance(params.images, int) and params.images >= 1):
        raise Sorry(f"images={params.images}: expected a whole number, 1 or more")
    if not (isinstance(params.photons, float) and 0 < params.photons < float("inf")):
        raise Sorry(f"photons={params.photons}: expected more than 0 photons")
    return working
