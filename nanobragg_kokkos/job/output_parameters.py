"""Parameters of the files that a job writes."""

from __future__ import annotations

import os

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.job.reduction import QUANTITIES
from nanobragg_kokkos.util import value_rules

TEXT = """
output {
  directory = simulated
    .type = path
    .help = "Directory of all files; it is made if it does not exist. A job that was killed continues if the same"
            "command runs again."
  prefix = shot
    .type = str
    .help = "Prefix of all file names."
  overwrite = False
    .type = bool
    .help = "What happens to files of this prefix that were simulated with other parameters. False: the job ends with a"
            "message. True: they are removed first. Files of the same parameters are kept in any case."
  images = True
    .type = bool
    .help = "Write the images. False: write only the sums of output.reduce."
  images_per_file = 1
    .type = int
    .help = "Number of consecutive images in one HDF5 data file. One process writes a file; if it is killed, it"
            "simulates these images again: a file should be the work of minutes at most."
  reduce = sum mean variance maximum radial histogram
    .type = choice(multi=True)
    .help = "Sums over all images, written to PREFIX_reduced.h5; several as sum+maximum. Each pixel's sum, mean,"
            "variance and maximum; the mean count by scattering angle; the histogram of counts."
  true_amplitudes = None
    .type = path
    .help = "File of the true amplitudes (MTZ). None: PREFIX_truth.mtz in output.directory."
  log = False
    .type = bool
    .help = "Write a log for each MPI rank, with a line for each data file or failure."
}
"""


def _is_utf_8(value: object) -> bool:
    """Returns whether a value is a name in UTF-8 on the disk, whatever the locale makes of it."""
    try:
        return isinstance(value, str) and value.strip() != "" and os.fsencode(value).decode() != ""
    except UnicodeError:
        return False


def _is_prefix(value: object) -> bool:
    return _is_utf_8(value) and os.fsencode(str(value)).decode().isprintable()


RULES = {
    "output.directory": (_is_utf_8, "the name of a directory in UTF-8"),
    "output.prefix": (_is_prefix, "the beginning of a file name, in printable characters (UTF-8)"),
    "output.reduce": (lambda value: isinstance(value, list), "one or several of " + ", ".join(QUANTITIES)),
    "output.true_amplitudes": (
        lambda value: value is None or _is_utf_8(value),
        "the name of a file in UTF-8",
    ),
    "output.overwrite": value_rules.given("True or False"),
    "output.images": value_rules.given("True or False"),
    "output.images_per_file": value_rules.whole(1),
    "output.log": value_rules.given("True or False"),
}


def validate(params: libtbx.phil.scope_extract) -> None:
    """Checks values that depend on each other.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    output = params.output
    if os.path.basename(output.prefix) != output.prefix:
        raise Sorry(f"output.prefix={output.prefix}: expected a name without '/'; use output.directory for directories")
    if not output.images and not output.reduce:
        raise Sorry("output.images=False requires output.reduce; otherwise nothing would be written")
