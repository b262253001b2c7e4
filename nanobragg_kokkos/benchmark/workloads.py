"""Makes models of this package from the benchmark's workloads.

benchmarks/workloads.cpp defines the workloads, for this package and for the C++ program; the extension gives their
numbers in angstrom, mm and degrees.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import lru_cache

import numpy as np
from cctbx import crystal as cctbx_crystal
from cctbx import miller
from dxtbx.model import Detector, Panel

from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.imaging.simulation import Simulation
from nanobragg_kokkos.models.amplitudes.structure_factors import StructureFactors
from nanobragg_kokkos.models.beam.sources import Sources
from nanobragg_kokkos.models.detector.point_spread import PointSpread
from nanobragg_kokkos.models.detector.response import DetectorResponse
from nanobragg_kokkos.models.sample.amorphous import Amorphous, air, water
from nanobragg_kokkos.models.sample.crystal import Crystal, Rotation
from nanobragg_kokkos.models.sample.specimen import oriented_crystal


def detector(workload: ext.Workload) -> Detector:
    """Returns the panels of a workload, perpendicular to a beam from +z."""
    model = Detector()
    for index, (origin, fast, slow, pixel, size) in enumerate(workload.panels):
        trusted_range = (-1.0, 65535.0)
        model.add_panel(
            Panel("PAD", f"p{index}", fast, slow, origin, (pixel, pixel), size, trusted_range, 0.0, "", 0.0)
        )
    return model


def simulation(workload: ext.Workload) -> Simulation:
    """Returns a simulation without photons."""
    wavelengths = np.array(workload.wavelengths)
    sources = Sources(
        wavelengths,
        weights=np.ones(len(wavelengths)),
        channels=np.arange(len(wavelengths)) if workload.channels > 1 else None,
        polarization_fraction=workload.polarization_fraction,
    )
    return Simulation(detector(workload), sources, fluence=workload.fluence, beam_size_mm=workload.beam_size_mm)


def crystal(workload: ext.Workload, image: int = 0) -> Crystal:
    """Returns the crystal in the orientation of an image, with its mosaic blocks and the rotation of the exposure."""
    return Crystal(
        oriented_crystal(_symmetry(workload.cell_edges), np.reshape(ext.random_orientation(image), (3, 3))),
        workload.n_cells,
        shape=workload.shape,
        mosaic_blocks=np.reshape(workload.mosaic_blocks, (-1, 3, 3)),
        volume_mm3=workload.volume_mm3,
        rotation=Rotation(width_deg=workload.rotation_deg, steps=workload.rotation_steps),
    )


def structure_factors(workload: ext.Workload) -> StructureFactors:
    """Returns random amplitudes in each channel, not yet on the device."""
    # The cached object never goes to the device, so it takes no memory there; copies do.
    return copy.copy(_structure_factors(workload.cell_edges, workload.d_min, workload.channels))


def backgrounds(workload: ext.Workload) -> dict[str, Amorphous]:
    """Returns the amorphous samples by name."""
    return {"water": water(workload.water_mm), "air": air(workload.air_mm)}


def responses(workload: ext.Workload) -> dict[str, DetectorResponse]:
    """Returns the detector responses by name."""
    noise = DetectorResponse(readout_noise=workload.readout_noise, adc_offset=workload.adc_offset)
    point_spread = PointSpread("fiber", workload.spread_fwhm_mm, workload.spread_radius)
    return {"noise": noise, "noise+psf": replace(noise, point_spread=point_spread)}


def _symmetry(cell_edges: tuple[float, float, float]) -> cctbx_crystal.symmetry:
    return cctbx_crystal.symmetry((*cell_edges, 90, 90, 90), "P 1")


# Several workloads share these amplitudes, and making them takes most of the set-up.
@lru_cache(maxsize=2)
def _structure_factors(cell_edges: tuple[float, float, float], d_min: float, channels: int) -> StructureFactors:
    indices = ext.reflections(cell_edges, d_min)
    reflections = miller.set(_symmetry(cell_edges), indices, anomalous_flag=True)
    return StructureFactors([reflections.array(ext.random_amplitudes(indices, channel)) for channel in range(channels)])
