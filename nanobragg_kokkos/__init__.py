"""Simulation of X-ray diffraction images of crystals with Kokkos kernels, on CPUs and GPUs.

The models (Sources, Crystal, StructureFactors, Amorphous) are values that do not change; a Simulation takes them and a
dxtbx detector and adds up expected photons, and a Readout makes counts of them.  Units here are those of the toolkit: angstrom, eV, mm, degrees, photons.
"""

from __future__ import annotations

import atexit

from nanobragg_kokkos.amorphous import Amorphous, air, water
from nanobragg_kokkos.crystal import Crystal, Rotation
from nanobragg_kokkos.detector_response import Counts, DetectorResponse, Readout
from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.point_spread import PointSpread
from nanobragg_kokkos.simulation import SensorLayers, Simulation
from nanobragg_kokkos.sources import Sources
from nanobragg_kokkos.structure_factors import StructureFactors

__version__ = "0.1.0"

__all__ = [
    "Amorphous",
    "Counts",
    "Crystal",
    "DetectorResponse",
    "PointSpread",
    "Readout",
    "Rotation",
    "SensorLayers",
    "Simulation",
    "Sources",
    "StructureFactors",
    "air",
    "backend",
    "water",
]

# Kokkos must end before the interpreter takes its modules apart; whatever a script still holds lets go of its device memory.
atexit.register(ext.stop)


def backend() -> dict[str, str | int]:
    """What the kernels run on: backend, threads, device, kokkos (version), compiler.  Starts Kokkos."""
    return ext.backend()
