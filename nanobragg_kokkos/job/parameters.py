"""The parameters of nanobragg_kokkos.simulate: names, meanings and valid values."""

from __future__ import annotations

from collections.abc import Sequence

import iotbx.phil
import libtbx.phil

from nanobragg_kokkos.imaging import parameters as imaging_parameters
from nanobragg_kokkos.job import ly99_phil, output_parameters
from nanobragg_kokkos.models.amplitudes import parameters as amplitude_parameters
from nanobragg_kokkos.models.beam import parameters as beam_parameters
from nanobragg_kokkos.models.detector import parameters as detector_parameters
from nanobragg_kokkos.models.sample import parameters as sample_parameters
from nanobragg_kokkos.util import phil, value_rules

# Each has TEXT, which is a part of phil_scope (that of amplitudes, a part of crystal), RULES and validate.
GROUPS = (
    imaging_parameters,
    beam_parameters,
    amplitude_parameters,
    sample_parameters,
    detector_parameters,
    output_parameters,
)

phil_scope = iotbx.phil.parse(
    """
n_images = 10
  .type = int
  .help = "Number of images. They are stills, each of a crystal in a random orientation, or a rotation series (scan)."
seed = 1
  .type = int
  .help = "Seed of all random numbers, 0 or more. An image depends on the seed and its own number only,"
          "not on how many images or MPI ranks there are."
"""
    + imaging_parameters.TEXT
    + beam_parameters.TEXT
    + sample_parameters.TEXT
    + detector_parameters.TEXT
    + output_parameters.TEXT
)


def parse(arguments: Sequence[str]) -> libtbx.phil.scope:
    """Returns the effective parameters of phil files, of which some may be LY99's, and of name=value.

    Raises:
        Sorry: an argument is neither, or a name or a value is wrong.
    """
    return phil.parse(arguments, phil_scope, lambda source: ly99_phil.translation(source, phil_scope))


def validate(params: libtbx.phil.scope_extract) -> None:
    """Refuses values that make no sense, whatever is in the files that they name.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    value_rules.check(params, _RULES)
    for group in GROUPS:
        group.validate(params)


# What each value must be by itself; whoever reads files and choices checks those.
_RULES = {
    "n_images": value_rules.whole(1),
    "seed": value_rules.whole(0),
    **{name: rule for group in GROUPS for name, rule in group.RULES.items()},
}
