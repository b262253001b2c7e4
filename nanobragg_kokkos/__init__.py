"""Simulation of X-ray diffraction images of crystals with Kokkos kernels, on CPUs and GPUs.

The models (Sources, Crystal, StructureFactors, Amorphous) are values that do not change. A Simulation takes them and
a dxtbx detector and adds up expected photons; a Readout makes counts of them:

    simulation = Simulation(detector, sources, fluence=1e15, beam_size_mm=0.01)
    simulation.add_spots(crystal, structure_factors)
    simulation.add_background(water(thickness_mm=0.01))
    photons = simulation.image[0]

Units are those of the toolkit: angstrom, eV, mm, degrees, photons. The README has an example that runs as it stands.
Models are made with these modules: protein and reflection_files (amplitudes), named_detectors and detectors, specimen
(crystals in orientations), spectrum_file and sase (spectra); simtbx is simtbx's interface. The other modules hold what
the commands are made of: simulate is in job, its parameters in parameters, its files in nxmx and truth.
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

# Kokkos must end before the interpreter takes its modules apart; whatever a script still holds lets go of its device
# memory.
atexit.register(ext.stop)


def backend() -> dict[str, str | int]:
    """What the kernels run on: backend, threads, device, kokkos (version), compiler.  Starts Kokkos."""
    return ext.backend()
