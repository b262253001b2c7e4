"""The parameters of nanobragg_kokkos.report."""

from __future__ import annotations

import iotbx.phil
import libtbx.phil

from nanobragg_kokkos.util import help_text as help_texts
from nanobragg_kokkos.util import phil, value_rules

phil_scope = iotbx.phil.parse("""
images = 3
  .type = int
  .help = "Number of images to examine, evenly spread over the run."
photons = 30
  .type = float
  .help = "Least number of expected photons of the examined spots."
output = None
  .type = path
  .help = "File of the page. None: PREFIX_report.html beside the master file."
pngs = None
  .type = path
  .help = "Folder for the figures as PNG files. True: PREFIX_report beside the page. None: no such files."
""")

USAGE = """Writes one HTML page about a run of nanobragg_kokkos.simulate. The page needs no other file.

  nanobragg_kokkos.report simulated                            writes simulated/shot_report.html
  nanobragg_kokkos.report simulated/shot_master.h5 images=6 pngs=figures

Usage: nanobragg_kokkos.report MASTER_FILE_OR_DIRECTORY [FILE.phil] [name=value] ...

The page shows images with the spots that the true models predict, close-ups of spots, signal to
background, counts and overloads, spectra, orientations, parameters, and warnings.

"""


RULES = {
    "images": value_rules.whole(1),
    "photons": value_rules.above_0("photons"),
}


def help_text() -> str:
    """Returns what --help prints."""
    return help_texts.help_text(USAGE, phil_scope, ["images", "photons", "output", "pngs"])


def validated(arguments: list[str]) -> libtbx.phil.scope:
    """Returns the effective parameters after checking their values.

    Raises:
        Sorry: a value is invalid; names the parameter and what was expected.
    """
    working = phil.parse(arguments, phil_scope)
    value_rules.check(working.extract(), RULES)
    return working
