"""From the parameters crystal, but for those of structure factors, to the crystals of an experiment."""

from __future__ import annotations

import libtbx.phil
from cctbx import crystal as cctbx_crystal
from libtbx.utils import Sorry

from nanobragg_kokkos.models.sample.domain_symmetry import symmetrized_blocks
from nanobragg_kokkos.models.sample.random_orientations import mosaic_blocks
from nanobragg_kokkos.models.sample.recorded_crystals import LENGTHS, read_crystals
from nanobragg_kokkos.models.sample.specimen import (
    RandomOrientations,
    RecordedOrientations,
    Specimen,
    cells_in_domain,
    illuminated_volume_mm3,
)
from nanobragg_kokkos.util.random_streams import stream
from nanobragg_kokkos.util.value_rules import above_0, between, file_or_none, given, one_or_three, whole

# Beyond, a crystal would not be one any more.
MOST_VARIATION = 0.1

# Standard deviations of the cell beyond which no crystal is expected.
FARTHEST = 5.0

# Unit cells; a domain that is asked to be smaller along an edge is worth a word.
LEAST_DOMAIN = 0.5

# What follows the structure factors inside crystal { }.
TEXT = """
  length_um = 3
    .type = float
    .help = "Edge of the crystal, a cube, in micrometres. Spots are as strong as what the beam covers of it."
  count = 1
    .type = int
    .help = "Number of crystals in each image, each of length_um and in an orientation of its own."
  cell_variation = 0
    .type = floats
    .help = "Relative standard deviation of the axes' lengths from crystal to crystal, 0 to 0.1: one number, or three"
            "for a, b and c. Axes that symmetry makes equal stay so, and vary as the first of them."
  orientation {
    file = None
      .type = path
      .help = "A dxtbx model file (.expt): image after image takes its crystals, orientations and cells, from the first"
              "on, and after the last the first again. None: random orientations."
  }
  Deff_A = 2000
    .type = float
    .help = "Edge of a mosaic domain, angstrom: decides how many unit cells diffract together, hence the size of"
            "the spots."
  n_cells = None
    .type = ints
    .help = "Unit cells of a mosaic domain along a, b and c. None: as Deff_A has it."
  shape = square round gauss *gauss_argchk tophat
    .type = choice
    .help = "Shape of a mosaic domain, hence profile of the spots. gauss_argchk: gauss without its far tails."
  symmetrize = False
    .type = bool
    .help = "Have domains turned by all rotations of the point group, in equal shares, so that spots have the crystal's"
            "symmetry, which else the domain's edges spoil, in trigonal and hexagonal crystals at least (simtbx:"
            "symmetrize_Flatt). Takes as many times as long as there are different ones, 3 for a hexagonal crystal."
  mosaic_domains = 25
    .type = int
    .help = "Number of domains with an orientation of their own."
  mosaic_spread_deg = 0.05
    .type = floats
    .help = "Standard deviation of the domains' orientations, degrees: one number, or three for turns about the"
            "crystal's axes a, c* x a and c*. Three equal numbers are as good as one: each turn is about a random axis,"
            "and three numbers stretch its components."
"""

RULES = {
    "crystal.length_um": above_0("micrometres"),
    "crystal.count": whole(1),
    "crystal.cell_variation": one_or_three(between(0, MOST_VARIATION, "")),
    "crystal.orientation.file": file_or_none(),
    "crystal.Deff_A": above_0("angstrom"),
    "crystal.n_cells": (
        lambda values: (
            values is None
            or (isinstance(values, list) and len(values) == 3 and all(1 <= value <= 10**6 for value in values))
        ),
        "None or three whole numbers, 1 to 1000000",
    ),
    "crystal.shape": given("square, round, gauss, gauss_argchk or tophat"),
    "crystal.symmetrize": given("True or False"),
    "crystal.mosaic_domains": whole(1),
    "crystal.mosaic_spread_deg": one_or_three(between(0, 180, " degrees")),
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


def specimen_of(params: libtbx.phil.scope_extract, symmetry: cctbx_crystal.symmetry) -> Specimen:
    """The crystals of an experiment, of a unit cell and a space group.

    Raises:
        Sorry: crystal.orientation.file is missing or damaged, or does not go with this symmetry, or has too few
            crystals; domains that are larger than the crystal.
    """
    crystal, cell = params.crystal, symmetry.unit_cell()
    n_cells = tuple(crystal.n_cells or cells_in_domain(cell, crystal.Deff_A))
    edges = [n * length for n, length in zip(n_cells, cell.parameters())]
    if crystal.n_cells is not None and max(edges) > 1e4 * crystal.length_um:
        raise Sorry(
            f"crystal.n_cells={' '.join(map(str, n_cells))}: expected mosaic domains no larger than the crystal, but "
            f"they are {max(edges):g} angstrom, and it is {1e4 * crystal.length_um:g} (crystal.length_um)"
        )
    if crystal.orientation.file is None:
        orientations = RandomOrientations(symmetry, crystal.count)
    else:
        found = read_crystals(crystal.orientation.file, symmetry)
        if crystal.count > len(found):
            raise Sorry(
                f"crystal.count={crystal.count}: expected at most {len(found)}, the number of crystals in "
                f"crystal.orientation.file={crystal.orientation.file}, as no image has one of them twice"
            )
        orientations = RecordedOrientations(found, crystal.count)
    spread = _three(crystal.mosaic_spread_deg)
    blocks = mosaic_blocks(crystal.mosaic_domains, spread, stream(params.seed, "mosaic"))
    if crystal.symmetrize:
        blocks = symmetrized_blocks(blocks, symmetry, n_cells)
    return Specimen(
        orientations=orientations,
        space_group=symmetry.space_group(),
        n_cells=n_cells,
        shape=crystal.shape,
        mosaic_blocks=blocks,
        volume_mm3=illuminated_volume_mm3(crystal.length_um, params.beam.size_mm),
        cell_variation=_three(crystal.cell_variation),
    )


def remarks(params: libtbx.phil.scope_extract, symmetry: cctbx_crystal.symmetry) -> list[str]:
    """A line if mosaic domains are to be smaller than a unit cell."""
    crystal, longest = params.crystal, max(symmetry.unit_cell().parameters()[:3])
    if crystal.n_cells is not None or crystal.Deff_A > LEAST_DOMAIN * longest:
        return []
    return [
        f"Warning: crystal.Deff_A={crystal.Deff_A:g} is less than the unit cell, {longest:g} angstrom: domains have one "
        "along that edge"
    ]


def longest_axes(params: libtbx.phil.scope_extract) -> float:
    """How many times as long as they should be the axes of a crystal are expected to be at most."""
    recorded = 1.0 if params.crystal.orientation.file is None else 1.0 + LENGTHS
    return recorded * (1.0 + FARTHEST * max(params.crystal.cell_variation))


def _three(values: list[float]) -> tuple[float, float, float]:
    return tuple(values * 3 if len(values) == 1 else values)
