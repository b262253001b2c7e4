"""Times images through simtbx's classes, from the objects' constructors to raw_pixels.

    nanobragg_kokkos.simtbx benchmarks/simtbx_images.py [rayonix|exafel] [IMAGES]

rayonix: 3840 x 3840 pixels, 100 energies with their own structure factors, 25 mosaic domains, water and air.
exafel: the workload of simtbx's tst_exafel_api: 1536 x 1536 pixels, 2 x 2 sub-pixels, 3 energies, one domain, water.

Each image has new objects and another orientation; structure factors go to the device before the first image.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass

import numpy as np
from cctbx import crystal
from cctbx.array_family import flex
from dxtbx.model import BeamFactory
from dxtbx.model.detector import DetectorFactory
from simtbx_kokkos_ext import exascale_api, gpu_detector, gpu_energy_channels
from simtbx_nanoBragg_ext import nanoBragg, shapetype

WATER = (
    (0, 2.57),
    (0.0365, 2.58),
    (0.07, 2.8),
    (0.12, 5),
    (0.162, 8),
    (0.18, 7.32),
    (0.2, 6.75),
    (0.216, 6.75),
    (0.236, 6.5),
)
WATER += (0.28, 4.5), (0.3, 4.3), (0.345, 4.36), (0.436, 3.77), (0.5, 3.17)
AIR = (0, 14.1), (0.045, 13.5), (0.174, 8.35), (0.35, 4.78), (0.5, 4.22)
HC = 12398.42  # eV angstrom


@dataclass(frozen=True)
class Workload:
    pixels: int  # along each axis
    pixel_mm: float
    distance_mm: float
    energies_eV: tuple[float, ...]
    cell: tuple[float, float, float]  # orthorhombic
    d_min: float
    cells: int  # of a block, along each axis
    domains: int
    oversample: int
    samples: tuple  # table, thickness (mm), density (g/cm^3), molecular weight (Da)


WORKLOADS = {
    "rayonix": Workload(
        3840, 0.088, 141.7, tuple(9450.0 + np.arange(100)), (67, 60, 47), 1.8, 57, 25, 1,
        ((WATER, 0.1, 1.0, 18.0), (AIR, 10.0, 1.2e-3, 28.0)),
    ),
    "exafel": Workload(
        1536, 0.1, 100.0, (8987.0, 9000.0, 9013.0), (79, 79, 38), 1.6, 20, 1, 2, ((WATER, 0.02, 1.0, 18.0),)
    ),
}  # fmt: skip


def structure_factors(work: Workload) -> gpu_energy_channels:
    """Returns random amplitudes, one set for each energy."""
    symmetry = crystal.symmetry((*work.cell, 90, 90, 90), "P 1")
    indices = symmetry.build_miller_set(anomalous_flag=True, d_min=work.d_min).indices()
    channels = gpu_energy_channels()
    for k in range(len(work.energies_eV)):
        amplitudes = np.random.default_rng(k).exponential(100, indices.size())
        channels.structure_factors_to_GPU_direct(k, indices, flex.double(amplitudes))
    return channels


def image(work: Workload, channels: gpu_energy_channels, number: int) -> flex.double:
    middle = work.pixels * work.pixel_mm / 2
    detector = DetectorFactory.simple(
        "PAD", work.distance_mm, (middle, middle), "+x", "-y", (work.pixel_mm,) * 2, (work.pixels,) * 2
    )
    beam = BeamFactory.simple(HC / float(np.mean(work.energies_eV)))
    beam.set_flux(1e12)
    simulation = nanoBragg(detector, beam, verbose=0)
    simulation.Ncells_abc = (work.cells,) * 3
    simulation.oversample = work.oversample
    simulation.xtal_shape = shapetype.Gauss_argchk
    simulation.interpolate = 0
    simulation.unit_cell_tuple = (*work.cell, 90, 90, 90)
    simulation.seed = number + 1
    simulation.randomize_orientation()
    if work.domains > 1:
        simulation.mosaic_spread_deg, simulation.mosaic_domains = 0.05, work.domains
    api = exascale_api(nanoBragg=simulation)
    api.allocate()
    accumulated = gpu_detector(deviceId=0, detector=detector, beam=beam)
    accumulated.each_image_allocate()
    for k, energy in enumerate(work.energies_eV):
        simulation.flux = 1e12 / len(work.energies_eV)
        simulation.wavelength_A = HC / energy
        api.add_energy_channel_from_gpu_amplitudes(k, channels, accumulated)
    accumulated.scale_in_place(1e6)
    simulation.wavelength_A = beam.get_wavelength()
    simulation.flux, simulation.beamsize_mm, simulation.exposure_s = 1e12, 0.003, 1.0
    for table, thickness, density, weight in work.samples:
        simulation.Fbg_vs_stol = flex.vec2_double(table)
        simulation.amorphous_sample_thick_mm = thickness
        simulation.amorphous_density_gcm3 = density
        simulation.amorphous_molecular_weight_Da = weight
        api.add_background(accumulated)
    accumulated.write_raw_pixels(simulation)
    accumulated.each_image_free()
    return simulation.raw_pixels


def main(name: str = "rayonix", images: str = "10") -> None:
    work = WORKLOADS[name]
    channels = structure_factors(work)
    seconds = []
    for number in range(int(images) + 1):
        started = time.perf_counter()
        image(work, channels, number)
        seconds.append(time.perf_counter() - started)
    print(f"{name}: first image {seconds[0]:.3f} s, then {np.median(seconds[1:]):.3f} s per image", end="")
    print(f" (median of {images}; {min(seconds[1:]):.3f} to {max(seconds[1:]):.3f} s)")


if __name__ == "__main__":
    main(*sys.argv[1:])
