"""The parameters of what a job writes."""

from __future__ import annotations

import os

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.util import value_rules

TEXT = """
output {
  directory = simulated
    .type = path
    .help = "Directory of all files, made if it is not there. A job that was killed goes on where it was if the same"
            "command runs again."
  prefix = shot
    .type = str
    .help = "What the names of all files begin with."
  overwrite = False
    .type = bool
    .help = "What is there with this prefix, simulated with other parameters. False: the job ends with a message. True:"
            "it is removed first. What was simulated with the same parameters is kept in any case."
  images = True
    .type = bool
    .help = "Write the images. False: only what output.reduce makes of them."
  images_per_file = 1
    .type = int
    .help = "Consecutive images in one HDF5 data file. It is written by one process, and when that is killed, its"
            "images are simulated again: a file should be the work of minutes at most."
  reduce = sum mean variance maximum radial histogram
    .type = choice(multi=True)
    .help = "What to write of all images together, into PREFIX_reduced.h5; several as sum+maximum. Each pixel's sum,"
            "mean, variance and maximum; the mean count by scattering angle; how many pixels have which count."
  true_amplitudes = None
    .type = path
    .help = "Where to write the true amplitudes (MTZ). None: PREFIX_truth.mtz in output.directory."
  log = False
    .type = bool
    .help = "Write a file for each MPI rank, with a line for each data file or failure."
}
"""

RULES = {
    "output.directory": value_rules.given("the name of a directory"),
    "output.prefix": value_rules.given("the beginning of a file name"),
    "output.overwrite": value_rules.given("True or False"),
    "output.images": value_rules.given("True or False"),
    "output.images_per_file": value_rules.whole(1),
    "output.log": value_rules.given("True or False"),
}


def validate(params: libtbx.phil.scope_extract) -> None:
    """Refuses values that do not fit with each other.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    output = params.output
    if os.path.basename(output.prefix) != output.prefix:
        raise Sorry(f"output.prefix={output.prefix}: expected no '/'; directories go into output.directory")
    if not output.images and not output.reduce:
        raise Sorry("output.images=False: expected output.reduce with it, as nothing would be written")
