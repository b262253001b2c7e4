"""The parameters of how images are computed: their text, the values that make sense, and which exclude each other."""

from __future__ import annotations

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.util.value_rules import finite, given, or_none, whole

TEXT = """
oversample = 1
  .type = int
  .help = "Sub-pixels along each side of a pixel."
engine = *auto pixel reflection
  .type = choice
  .help = "How the Bragg spots are computed: pixel by pixel, for every crystal.shape, or reflection by reflection, for"
          "gauss, gauss_argchk and tophat, and with a tolerance for square and round. auto: whichever has less to do."
          "The photons are the same, to the tolerance."
tolerance = None
  .type = float
  .help = "What the reflection-driven engine may leave out of any pixel, 1e-15 to 0.1, as a share of the brightest"
          "pixel of the spots: an upper bound. None: 3e-13, and not for square and round. The pixel-driven engine"
          "leaves out nothing."
noise = True
  .type = bool
  .help = "Draw the photons of every pixel from the Poisson distribution. False: expected photons, rounded, and no"
          "other random numbers either, but for noise that a parameter of detector_response asks for."
attenuation = True
  .type = bool
  .help = "Count what the detector's sensor absorbs, at the depth where it does. False: every photon counts, at the"
          "surface."
"""

RULES = {
    "oversample": whole(1),
    "engine": given("auto, pixel or reflection"),
    "tolerance": or_none((lambda value: finite(value) and 1e-15 <= value <= 0.1, "None or 1e-15 to 0.1")),
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
