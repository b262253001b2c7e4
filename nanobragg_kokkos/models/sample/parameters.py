"""The parameters crystal, scan and background: their text, valid values, and which exclude each other."""

from __future__ import annotations

import libtbx
import libtbx.phil
import numpy as np
from cctbx import crystal as cctbx_crystal
from libtbx.utils import Sorry

from nanobragg_kokkos.models.amplitudes import parameters as amplitude_parameters
from nanobragg_kokkos.util.value_rules import (
    between,
    file_or_none,
    finite,
    given,
    one_or_three,
    or_none,
    positive,
    up_to,
    whole,
)

# Beyond, a crystal would not be one any more.
MOST_VARIATION = 0.1

# Degrees; no scan is finer, and files tell two angles apart.
LEAST_WIDTH_DEG = 1e-6

# Unit cells; a domain that is asked to be smaller along an edge is worth a word.
LEAST_DOMAIN = 0.5

# In an image: their models take memory, and an image of that many takes minutes.
MOST_CRYSTALS = 10_000

# Of a rotation series: dxtbx's model of a scan takes memory for each.
MOST_IMAGES = 10**7

TEXT = (
    """
crystal {
"""
    + amplitude_parameters.TEXT
    + """
  length_um = 3
    .type = float
    .help = "Edge of the crystal, a cube, in micrometres. Spots grow with the volume that the beam illuminates."
  count = 1
    .type = int
    .help = "Number of crystals in each image, 0 to 10000; 0: the background alone. All have the edge length_um; each"
            "has an orientation of its own."
  cell_variation = 0
    .type = floats
    .help = "Relative standard deviation of the axes' lengths from crystal to crystal, 0 to 0.1: one number, or three"
            "for a, b and c. Axes that symmetry makes equal stay so, and vary as the first of them."
  orientation {
    file = None
      .type = path
      .help = "Orientations and cells: a dxtbx model file (.expt). Image after image takes the next of its crystals,"
              "and after the last the first again. None: random orientations."
  }
  Deff_A = 2000
    .type = float
    .help = "Edge of a mosaic domain, angstrom. It decides how many unit cells diffract together, hence the size of the"
            "spots."
  n_cells = None
    .type = ints
    .help = "Unit cells of a mosaic domain along a, b and c. None: Deff_A decides."
  shape = square round gauss *gauss_argchk tophat
    .type = choice
    .help = "Shape of a mosaic domain, hence profile of the spots. gauss_argchk: gauss without its far tails."
  symmetrize = False
    .type = bool
    .help = "Turn domains by all rotations of the point group, in equal shares, so that spots have the symmetry of the"
            "crystal. Otherwise the edges of the domain break it, in trigonal and hexagonal crystals at least (simtbx:"
            "symmetrize_Flatt). Takes longer by the number of different rotations, 3 for a hexagonal crystal."
  mosaic_domains = 25
    .type = int
    .help = "Number of mosaic domains, each with an orientation of its own, drawn anew for each crystal."
  mosaic_spread_deg = 0.05
    .type = floats
    .help = "Standard deviation of domain orientations, degrees. It is the root mean square of the domains' rotation"
            "angles. One number, or three for rotations about the crystal's axes a, c* x a and c*, which scale the"
            "components of the rotations. Three equal numbers give the same result as one."
  mosaic_distribution = *normal peaked
    .type = choice
    .help = "Distribution of domain orientations. normal: each component of the rotation vectors has a normal"
            "distribution, of mosaic_spread_deg divided by the square root of 3. peaked: random axes, and angles with a"
            "normal distribution of mosaic_spread_deg, which leaves more domains near the middle."
}
scan
  .help = "A rotation series of the crystals of the first image in place of stills."
{
  width_deg = None
    .type = float
    .help = "Rotation in an image, degrees. To rotate the other way, reverse the axis. None or 0: stills."
  start_deg = 0
    .type = float
    .help = "Angle at which the first image begins, degrees; 0 is the orientation of the crystal model."
  axis = 1 0 0
    .type = floats
    .help = "Rotate about this vector, right-handed; the beam comes from +z, and y points up."
  steps = Auto
    .type = int
    .help = "Number of orientations simulated within an image, at even distances. Auto: as many as the reflections of"
            "one mosaic domain at one energy need; fewer often do, as many domains and energies smooth the sum."
}
background
  .help = "Amorphous material that scatters over the whole cross-section of the beam. 0: none."
{
  water_mm = 0.01
    .type = float
    .help = "Thickness of water around the crystal, mm."
  air_mm = 5
    .type = float
    .help = "Path of the beam through air, mm."
}
"""
)

RULES = {
    "crystal.length_um": positive("micrometres", 1e-4, 1e6),
    "crystal.count": (
        lambda value: isinstance(value, int) and 0 <= value <= MOST_CRYSTALS,
        f"a whole number, 0 to {MOST_CRYSTALS}",
    ),
    "crystal.cell_variation": one_or_three(between(0, MOST_VARIATION, "")),
    "crystal.orientation.file": file_or_none(),
    "crystal.Deff_A": positive("angstrom", 1, 1e8),
    "crystal.n_cells": (
        lambda values: (
            values is None
            or (isinstance(values, list) and len(values) == 3 and all(1 <= value <= 10**6 for value in values))
        ),
        "three whole numbers, 1 to 1000000",
    ),
    "crystal.shape": given("square, round, gauss, gauss_argchk or tophat"),
    "crystal.symmetrize": given("True or False"),
    "crystal.mosaic_domains": whole(1),
    "crystal.mosaic_distribution": given("normal or peaked"),
    "crystal.mosaic_spread_deg": one_or_three(between(0, 180, " degrees")),
    # dxtbx reads no scans that go back.
    "scan.width_deg": or_none(
        (
            lambda value: value == 0 or between(LEAST_WIDTH_DEG, 180, "")[0](value),
            f"0 to 180 degrees, {LEAST_WIDTH_DEG:g} or more if not 0",
        )
    ),
    "scan.start_deg": between(-360, 360, " degrees"),
    "scan.axis": (
        lambda values: (
            isinstance(values, list)
            and len(values) == 3
            and all(map(finite, values))
            and 1e-6 < np.linalg.norm(values) < 1e6
        ),
        "three numbers, not all 0",
    ),
    "scan.steps": (
        lambda value: value is libtbx.Auto or (isinstance(value, int) and 1 <= value <= 10**6),
        "Auto or a whole number, 1 to 1000000",
    ),
    "background.water_mm": up_to("mm", 1e3),
    "background.air_mm": up_to("mm", 1e6),
}


def validate(params: libtbx.phil.scope_extract) -> None:
    """Refuses values that do not fit with each other.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    crystal = params.crystal
    if crystal.n_cells is None and crystal.Deff_A > 1e4 * crystal.length_um:
        raise Sorry(
            f"crystal.Deff_A={crystal.Deff_A:g}: expected mosaic domains no larger than the crystal, "
            f"which with crystal.length_um={crystal.length_um:g} is {1e4 * crystal.length_um:g} angstrom"
        )
    scan = params.scan
    if scan.width_deg and crystal.count == 0:
        raise Sorry("crystal.count=0 and scan.width_deg exclude each other, as there is no crystal to rotate")
    if scan.width_deg and params.n_images > MOST_IMAGES:
        raise Sorry(f"n_images={params.n_images}: expected at most {MOST_IMAGES} with scan.width_deg")
    if not scan.width_deg and scan.steps is not libtbx.Auto:
        raise Sorry(f"scan.steps={scan.steps} requires scan.width_deg")
    if not scan.width_deg and scan.start_deg != 0:
        raise Sorry(f"scan.start_deg={scan.start_deg:g} requires scan.width_deg")


def warnings(params: libtbx.phil.scope_extract, symmetry: cctbx_crystal.symmetry) -> list[str]:
    """Returns a line if mosaic domains are to be smaller than a unit cell of this symmetry."""
    crystal, longest = params.crystal, max(symmetry.unit_cell().parameters()[:3])
    if crystal.n_cells is not None or crystal.Deff_A > LEAST_DOMAIN * longest:
        return []
    return [
        f"Warning: crystal.Deff_A={crystal.Deff_A:g} is less than the unit cell, {longest:g} angstrom: domains have "
        "one along that edge"
    ]
