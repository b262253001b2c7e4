"""Makes the sample from the parameters crystal, scan and background."""

from __future__ import annotations

import libtbx
import libtbx.phil
from cctbx import crystal as cctbx_crystal
from libtbx.utils import Sorry

from nanobragg_kokkos.models.sample.amorphous import Amorphous, air, water
from nanobragg_kokkos.models.sample.domain_symmetry import domain_turns
from nanobragg_kokkos.models.sample.mosaicity import Mosaicity
from nanobragg_kokkos.models.sample.recorded_crystals import LENGTHS, read_crystals
from nanobragg_kokkos.models.sample.rotation_series import RotationSeries, longest_edge_A, smooth_steps
from nanobragg_kokkos.models.sample.specimen import (
    Orientations,
    RandomOrientations,
    RecordedOrientations,
    Specimen,
    cells_in_domain,
    illuminated_volume_mm3,
)

# Standard deviations of the cell beyond which no crystal is expected.
FARTHEST = 5.0


def specimen(params: libtbx.phil.scope_extract, symmetry: cctbx_crystal.symmetry) -> Specimen:
    """Returns the crystals of all images, which have the unit cell and the space group of `symmetry`.

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
        orientations: Orientations = RandomOrientations(symmetry, crystal.count)
    else:
        found = read_crystals(crystal.orientation.file, symmetry)
        if crystal.count > len(found):
            raise Sorry(
                f"crystal.count={crystal.count}: expected at most {len(found)}, the number of crystals in "
                f"crystal.orientation.file={crystal.orientation.file}, as no image has one of them twice"
            )
        orientations = RecordedOrientations(found, crystal.count)
    mosaicity = Mosaicity(
        crystal.mosaic_domains,
        _three(crystal.mosaic_spread_deg),
        crystal.mosaic_distribution,
        domain_turns(symmetry, n_cells) if crystal.symmetrize else None,
    )
    return Specimen(
        orientations=orientations,
        space_group=symmetry.space_group(),
        n_cells=n_cells,
        shape=crystal.shape,
        mosaicity=mosaicity,
        volume_mm3=illuminated_volume_mm3(crystal.length_um, params.beam.size_mm),
        cell_variation=_three(crystal.cell_variation),
    )


def rotation_series(params: libtbx.phil.scope_extract, specimen: Specimen, d_min: float) -> RotationSeries | None:
    """Returns the rotation series of a specimen's first image; None for stills.

    Args:
        d_min: highest resolution, angstrom.
    """
    scan = params.scan
    if not scan.width_deg:
        return None
    steps = scan.steps
    if steps is libtbx.Auto:
        edge = max(longest_edge_A(crystal) for crystal in specimen.crystals(0, params.seed))
        steps = smooth_steps(scan.width_deg, edge, d_min)
    return RotationSeries(specimen, tuple(scan.axis), scan.start_deg, scan.width_deg, steps)


def backgrounds(params: libtbx.phil.scope_extract) -> tuple[Amorphous, ...]:
    """Returns the amorphous samples in the beam besides the crystals: water and air, those of a thickness above 0."""
    given = params.background
    return tuple(sample(mm) for sample, mm in ((water, given.water_mm), (air, given.air_mm)) if mm > 0)


def longest_axes(params: libtbx.phil.scope_extract) -> float:
    """Returns the largest expected ratio of an axis of a crystal to that of the crystal model."""
    recorded = 1.0 if params.crystal.orientation.file is None else 1.0 + LENGTHS
    return recorded * (1.0 + FARTHEST * max(params.crystal.cell_variation))


def _three(values: list[float]) -> tuple[float, float, float]:
    x, y, z = values * 3 if len(values) == 1 else values
    return x, y, z
