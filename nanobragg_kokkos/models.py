"""From the parameters of a job to the models that the simulation takes."""

from __future__ import annotations

from dataclasses import dataclass

import libtbx.phil
import numpy as np
from cctbx import crystal as cctbx_crystal
from cctbx import factor_ev_angstrom, miller, uctbx
from dxtbx import flumpy
from dxtbx.model import Beam, BeamFactory, Detector, Spectrum
from dxtbx.model import Crystal as CrystalModel
from libtbx.utils import Sorry

from nanobragg_kokkos import detectors, protein, response_parameters
from nanobragg_kokkos.amorphous import Amorphous, air, water
from nanobragg_kokkos.crystal import Crystal
from nanobragg_kokkos.detector_response import DetectorResponse, Readout
from nanobragg_kokkos.nxmx_detector import as_stored
from nanobragg_kokkos.orientation import mosaic_blocks, random_rotation
from nanobragg_kokkos.simulation import SensorLayers, Simulation
from nanobragg_kokkos.sources import Sources
from nanobragg_kokkos.streams import stream


# Of a whole sphere, in space group P 1; the Fourier transform that gives them takes some 100 bytes each.
MOST_REFLECTIONS = 1e8


@dataclass(frozen=True, eq=False)
class Experiment:
    """Everything that the images of a job have in common.

    Args:
        detector, beam: dxtbx models; the beam comes from +z. The detector's trusted range is that of the counts.
        energies_eV, weights: of the spectrum, which dxtbx 3.11 cannot pickle.
        photons: of one pulse.
        beam_size_mm: side of the beam's square cross-section.
        sensor: None: photons are counted at the detector's surface, all of them.
        response: how the detector makes counts of photons.
        saturation: the highest count that is trusted, ADU.
        data_type: of the counts.
        oversample: sub-pixels along each side of a pixel.
        amplitudes: structure factor amplitudes, which bring the crystal's symmetry with them.
        n_cells: unit cells along the edges of a mosaic domain.
        shape: of a mosaic domain.
        mosaic_blocks: (n, 3, 3) rotation matrices.
        volume_mm3: of crystal in the beam.
        backgrounds: what scatters besides the crystal.
        seed: of all random numbers.
    """

    detector: Detector
    beam: Beam
    energies_eV: np.ndarray
    weights: np.ndarray
    photons: float
    beam_size_mm: float
    sensor: SensorLayers | None
    response: DetectorResponse
    saturation: int
    data_type: np.dtype
    oversample: int
    amplitudes: miller.array
    n_cells: tuple[int, int, int]
    shape: str
    mosaic_blocks: np.ndarray
    volume_mm3: float
    backgrounds: tuple[Amorphous, ...]
    seed: int

    @property
    def spectrum(self) -> Spectrum:
        """The same for all images."""
        return Spectrum(flumpy.from_numpy(self.energies_eV), flumpy.from_numpy(self.weights))

    def simulation(self) -> Simulation:
        """A dark image of this experiment."""
        return Simulation(
            self.detector,
            Sources.from_beam(self.beam, self.spectrum),
            fluence=self.photons / self.beam_size_mm**2,
            beam_size_mm=self.beam_size_mm,
            oversample=self.oversample,
            sensor=self.sensor,
        )

    @property
    def masks(self) -> list[np.ndarray] | None:
        """Which pixels lie in none of the detector's untrusted rectangles, an array (slow, fast) a panel; None: all."""
        masks = [flumpy.to_numpy(panel.get_untrusted_rectangle_mask()) for panel in self.detector]
        return None if all(mask.all() for mask in masks) else masks

    def readout(self, simulation: Simulation) -> Readout:
        """Makes counts of what a simulation of this experiment holds."""
        return Readout(simulation, self.response, saturation=self.saturation, dtype=self.data_type, mask=self.masks)

    def crystal_model(self, image: int) -> CrystalModel:
        """The crystal of an image (counted from 0) in its random orientation."""
        return oriented_crystal(
            self.amplitudes.crystal_symmetry(), random_rotation(stream(self.seed, "orientation", image))
        )

    def crystal(self, image: int) -> Crystal:
        """The same with its mosaic domains."""
        return Crystal(
            self.crystal_model(image),
            self.n_cells,
            shape=self.shape,
            mosaic_blocks=self.mosaic_blocks,
            volume_mm3=self.volume_mm3,
        )


def experiment(params: libtbx.phil.scope_extract) -> Experiment:
    """The experiment that parameters describe, once parameters.validate has passed them.

    Raises:
        Sorry: a file is missing or damaged, or does not fit with the rest.
    """
    detector, sensor = _detector(params)
    response = response_parameters.detector_response(params, detector)
    saturation = int(detector[0].get_trusted_range()[1])
    if response.adc_offset > 0 and response.adc_offset >= saturation:
        raise Sorry(
            f"detector_response.adc_offset={response.adc_offset:g}: expected less than the highest count that is "
            f"trusted (detector_response.saturation), {saturation}"
        )
    wavelength = factor_ev_angstrom / params.beam.mean_energy
    energies, weights = gaussian_spectrum(
        params.beam.mean_energy, params.spectrum.nchannels, params.spectrum.channel_width, params.spectrum.fwhm
    )
    structure = protein.read_coordinates(
        params.crystal.pdb.file or protein.default_coordinates(), params.crystal.unit_cell, params.crystal.space_group
    )
    d_min = min(highest_resolution(detector, energies), protein.LEAST_RESOLUTION)
    n_reflections = 4 / 3 * np.pi * structure.unit_cell().volume() / d_min**3
    if n_reflections > MOST_REFLECTIONS:
        raise Sorry(
            f"beam.mean_energy={params.beam.mean_energy:g}: expected less, or a smaller detector: it reaches "
            f"{d_min:.2g} angstrom, where the crystal has {n_reflections:.2g} reflections"
        )
    amplitudes = protein.amplitudes(
        structure,
        d_min,
        wavelength,
        params.crystal.anomalous,
        params.crystal.k_sol,
        params.crystal.b_sol,
    )
    return Experiment(
        detector=detector,
        beam=BeamFactory.simple(wavelength),
        energies_eV=energies,
        weights=weights,
        photons=params.beam.total_flux,
        beam_size_mm=params.beam.size_mm,
        sensor=sensor,
        response=response,
        saturation=saturation,
        data_type=response_parameters.data_type(params),
        oversample=params.oversample,
        amplitudes=amplitudes,
        n_cells=cells_in_domain(structure.unit_cell(), params.crystal.Deff_A),
        shape=params.crystal.shape,
        mosaic_blocks=mosaic_blocks(
            params.crystal.mosaic_domains, params.crystal.mosaic_spread_deg, stream(params.seed, "mosaic")
        ),
        volume_mm3=illuminated_volume_mm3(params.crystal.length_um, params.beam.size_mm),
        backgrounds=tuple(
            sample(thickness)
            for sample, thickness in ((water, params.background.water_mm), (air, params.background.air_mm))
            if thickness > 0
        ),
        seed=params.seed,
    )


def _detector(params: libtbx.phil.scope_extract) -> tuple[Detector, SensorLayers | None]:
    """The detector, as its files will describe it, its trusted range that of the counts, and its sensor."""
    reference, layers = params.detector.reference, params.detector.layers
    wavelength = factor_ev_angstrom / params.beam.mean_energy
    sensor = None
    if reference is None:
        detector = detectors.rayonix_mx340(params.detector.distance_mm or detectors.RAYONIX_DISTANCE_MM)
        if params.attenuation:
            sensor = detectors.phosphor(wavelength, layers)
    else:
        detector = detectors.from_file(reference)
        if params.attenuation:
            sensor = detectors.sensor_layers(detector, wavelength, layers)
    detector = detectors.with_sensor(detectors.farther(detector, params.detector.offset_mm), sensor)
    saturation = response_parameters.saturation(params, detector)
    for panel in detector:
        panel.set_trusted_range((-1.0, float(saturation)))
    try:
        return as_stored(detector, wavelength), sensor
    except Sorry as error:
        raise Sorry(f"detector.reference={reference}: {error}") from error


def gaussian_spectrum(
    mean_energy: float, nchannels: int, channel_width: float, fwhm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Energies (eV) at even distances around a mean, and their weights on a Gaussian, which sum up to 1."""
    energies = mean_energy + channel_width * (np.arange(nchannels) - 0.5 * (nchannels - 1))
    exponents = -4.0 * np.log(2.0) * ((energies - mean_energy) / fwhm) ** 2
    weights = np.exp(exponents - exponents.max())
    return energies, weights / weights.sum()


def highest_resolution(detector: Detector, energies_eV: np.ndarray) -> float:
    """d (angstrom) at the corner of the detector that is farthest from the beam, at the highest of the energies."""
    wavelength = factor_ev_angstrom / max(energies_eV)
    return detector.get_max_resolution((0.0, 0.0, -1.0 / wavelength))


def cells_in_domain(unit_cell: uctbx.unit_cell, edge_A: float) -> tuple[int, int, int]:
    """How many unit cells, at least one, come nearest to an edge (angstrom) along a, b and c."""
    return tuple(max(1, round(edge_A / length)) for length in unit_cell.parameters()[:3])


def illuminated_volume_mm3(length_um: float, beam_size_mm: float) -> float:
    """The volume of a cube of crystal, of edge length_um, that a beam of square cross-section covers."""
    length_mm = length_um * 1e-3
    return min(length_mm, beam_size_mm) ** 2 * length_mm


def oriented_crystal(symmetry: cctbx_crystal.symmetry, rotation: np.ndarray) -> CrystalModel:
    """A crystal whose cell, at first with a along x and b in the xy plane, is turned by a matrix (3, 3)."""
    a, b, c = (rotation @ np.reshape(symmetry.unit_cell().orthogonalization_matrix(), (3, 3))).T
    return CrystalModel(tuple(a), tuple(b), tuple(c), symmetry.space_group())
