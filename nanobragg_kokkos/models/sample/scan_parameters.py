"""From the parameters scan to a rotation series."""

from __future__ import annotations

import libtbx
import libtbx.phil
import numpy as np
from libtbx.utils import Sorry

from nanobragg_kokkos.models.sample.rotation_series import Sweep, longest_edge_A, smooth_steps
from nanobragg_kokkos.models.sample.specimen import Specimen
from nanobragg_kokkos.util.value_rules import between, finite, or_none

TEXT = """
scan
  .help = "A rotation series of the first image's crystals in place of stills."
{
  width_deg = None
    .type = float
    .help = "Rotation in an image, degrees; for the other way round, turn the axis. None or 0: stills."
  start_deg = 0
    .type = float
    .help = "Where the first image begins, degrees; 0 is the orientation of the crystal model."
  axis = 1 0 0
    .type = floats
    .help = "Rotate about this vector, right-handed; the beam comes from +z, and y points up."
  steps = Auto
    .type = int
    .help = "Orientations that are simulated within an image, at even distances. Auto: as many as reflections need that"
            "one mosaic domain has at one energy; fewer will often do, as many domains and energies smooth the sum."
}
"""

RULES = {
    # dxtbx reads no scans that go back.
    "scan.width_deg": or_none((between(0, 180, "")[0], "None or 0 to 180 degrees")),
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
}


def validate(params: libtbx.phil.scope_extract) -> None:
    """Refuses values that do not fit with each other.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    scan = params.scan
    if scan.width_deg:
        return
    if scan.steps is not libtbx.Auto:
        raise Sorry(f"scan.steps={scan.steps}: expected scan.width_deg with it")
    if scan.start_deg != 0:
        raise Sorry(f"scan.start_deg={scan.start_deg:g}: expected scan.width_deg with it")


def sweep_of(params: libtbx.phil.scope_extract, specimen: Specimen, d_min: float) -> Sweep | None:
    """The rotation series of a specimen's first image; None for stills.

    Args:
        d_min: highest resolution, angstrom.
    """
    scan = params.scan
    if not scan.width_deg:
        return None
    steps = scan.steps
    if steps is libtbx.Auto:
        edge = max(longest_edge_A(crystal) for crystal in specimen(0, params.seed))
        steps = smooth_steps(scan.width_deg, edge, d_min)
    return Sweep(specimen, tuple(scan.axis), scan.start_deg, scan.width_deg, steps)
