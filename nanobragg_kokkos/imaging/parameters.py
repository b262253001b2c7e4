"""Parameters of the calculation of images: their text, valid values, and which exclude each other."""

from __future__ import annotations

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.util.value_rules import finite, given, or_none

# The time of an image grows with its square.
MOST_OVERSAMPLE = 100

TEXT = """
oversample = 1
  .type = int
  .help = "Sub-pixels along each side of a pixel, 1 to 100."
engine = *auto pixel reflection
  .type = choice
  .help = "Engine that computes the Bragg spots. pixel: pixel by pixel, for every crystal.shape. reflection: reflection"
          "by reflection, for gauss, gauss_argchk and tophat, and with a tolerance for square and round. auto: the one"
          "that has less to do. The photons are the same, to the tolerance."
tolerance = None
  .type = float
  .help = "Upper bound of what the reflection-driven engine leaves out of any pixel, 1e-15 to 0.1, as a share of the"
          "brightest pixel of the spots. None: 3e-13, and that engine computes neither square nor round. The"
          "pixel-driven engine leaves out nothing."
noise = True
  .type = bool
  .help = "Draw the photons of each pixel from Poisson's distribution. False: expected photons, rounded, without other"
          "random numbers either, except for noise that a parameter of detector_response asks for."
attenuation = True
  .type = bool
  .help = "Count the photons that the sensor absorbs, at the depth where it absorbs them. False: every photon counts,"
          "at the surface."
"""

RULES = {
    "oversample": (
        lambda value: isinstance(value, int) and 1 <= value <= MOST_OVERSAMPLE,
        f"a whole number, 1 to {MOST_OVERSAMPLE}",
    ),
    "engine": given("auto, pixel or reflection"),
    "tolerance": or_none((lambda value: finite(value) and 1e-15 <= value <= 0.1, "1e-15 to 0.1")),
    "noise": given("True or False"),
    "attenuation": given("True or False"),
}


def validate(params: libtbx.phil.scope_extract) -> None:
    """Refuses values that do not fit with each other.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    if params.engine == "reflection" and params.crystal.shape in ("square", "round") and params.tolerance is None:
        raise Sorry(
            f"engine=reflection: expected auto or pixel with crystal.shape={params.crystal.shape}, which has no end, "
            "or a tolerance, 1e-4 for example"
        )
