"""Simulation of X-ray diffraction images of crystals with Kokkos kernels, on CPUs and GPUs.

The models (Sources, Crystal, StructureFactors, Amorphous) are values that do not change. A Simulation takes them and
a dxtbx detector and adds up expected photons; a Readout makes counts of them:

    simulation = Simulation(detector, sources, fluence=1e15, beam_size_mm=0.01)
    simulation.add_spots(crystal, structure_factors)
    simulation.add_background(water(thickness_mm=0.01))
    photons = simulation.image[0]

Units are those of the toolkit: angstrom, eV, mm, degrees, photons. The README has an example that runs as it stands.
These modules make models: protein and reflection_files (amplitudes), named_detectors and detectors, specimen (crystals
in orientations), spectrum_file and sase (spectra). nxmx and truth read and write files; simtbx is simtbx's interface.

The packages: models (values, and how parameters and files describe them), imaging (from models to photons and counts),
files, mpi, job (nanobragg_kokkos.simulate), report, benchmark, util.
"""

from __future__ import annotations

import atexit

from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.files import nxmx
from nanobragg_kokkos.files import true_models as truth
from nanobragg_kokkos.imaging.image_derivatives import ImageDerivatives
from nanobragg_kokkos.imaging.readout import Counts, Readout
from nanobragg_kokkos.imaging.simulation import Simulation
from nanobragg_kokkos.models import detector as detectors
from nanobragg_kokkos.models.amplitudes import protein, reflection_files
from nanobragg_kokkos.models.amplitudes.structure_factors import StructureFactors
from nanobragg_kokkos.models.beam import beam_tangents, sase, spectrum_file
from nanobragg_kokkos.models.beam.sources import Sources
from nanobragg_kokkos.models.detector import named_detectors, panel_tangents
from nanobragg_kokkos.models.detector.point_spread import PointSpread
from nanobragg_kokkos.models.detector.response import DetectorResponse
from nanobragg_kokkos.models.detector.sensor import SensorLayers
from nanobragg_kokkos.models.sample import specimen
from nanobragg_kokkos.models.sample.amorphous import Amorphous, air, water
from nanobragg_kokkos.models.sample.crystal import Crystal, Rotation
from nanobragg_kokkos.models.sample.crystal_tangents import CrystalTangents
from nanobragg_kokkos.models.tangent import Tangent

__version__ = "0.1.0"

__all__ = [
    "Amorphous",
    "Counts",
    "Crystal",
    "CrystalTangents",
    "DetectorResponse",
    "ImageDerivatives",
    "PointSpread",
    "Readout",
    "Rotation",
    "SensorLayers",
    "Simulation",
    "Sources",
    "StructureFactors",
    "Tangent",
    "air",
    "backend",
    "beam_tangents",
    "detectors",
    "named_detectors",
    "nxmx",
    "panel_tangents",
    "protein",
    "reflection_files",
    "sase",
    "specimen",
    "spectrum_file",
    "truth",
    "water",
]

# Kokkos must end before the interpreter takes its modules apart; whatever a script still holds lets go of its device
# memory.
atexit.register(ext.stop)


def backend() -> dict[str, object]:
    """Returns backend, threads, device, Kokkos version and compiler of the kernels; starts Kokkos."""
    return {**ext.backend()}
