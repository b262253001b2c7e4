"""Atoms on special positions whose occupancy is below 1: of the site, or the share of one copy."""

from __future__ import annotations

from cctbx import crystal, xray
from cctbx.array_family import flex

# angstrom. Copies of an atom by symmetry that come closer are one atom on a special position; cctbx's default.
LEAST_DISTANCE = 0.5

# Occupancies in files have two digits after the point.
ROUNDING = 0.02


def placed(settings: crystal.symmetry, scatterers: flex.xray_scatterer) -> xray.structure:
    """Returns the atoms of PDB or mmCIF files in a crystal, those on special positions found.

    In these files, an atom on an axis of order 2 usually has an occupancy of 0.5: that of one of the two copies that
    the symmetry puts in the same place. Such atoms count as often as there are operations. Where all copies would have
    more than one atom in this place (an alloy with 0.75 Cu on a site of order 48), it is the occupancy of the site.
    """
    structure = xray.structure(
        special_position_settings=settings.special_position_settings(min_distance_sym_equiv=LEAST_DISTANCE),
        scatterers=scatterers,
        non_unit_occupancy_implies_min_distance_sym_equiv_zero=False,
    )
    order = structure.space_group().order_z()
    shares = flex.bool(
        [
            atom.multiplicity() < order
            and atom.occupancy < 1
            and atom.occupancy * order / atom.multiplicity() <= 1 + ROUNDING
            for atom in structure.scatterers()
        ]
    )
    if not shares.count(True):
        return structure
    general = xray.structure(
        special_position_settings=settings.special_position_settings(min_distance_sym_equiv=0.0),
        scatterers=scatterers.select(shares),
    )
    return structure.select(~shares).concatenate(general)


def n_of_sites(structure: xray.structure) -> int:
    """Returns how many atoms have an occupancy below 1 that is that of a site on a special position."""
    order = structure.space_group().order_z()
    return sum(0 < atom.occupancy < 1 and atom.multiplicity() < order for atom in structure.scatterers())
