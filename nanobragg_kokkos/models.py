"""From the parameters of a job to the models that the simulation takes."""

from __future__ import annotations

import libtbx.phil
import numpy as np
from cctbx import factor_ev_angstrom
from dxtbx.model import BeamFactory, Detector
from libtbx.utils import Sorry

from nanobragg_kokkos import detectors, protein, response_parameters
from nanobragg_kokkos.amorphous import air, water
from nanobragg_kokkos.experiment import Experiment
from nanobragg_kokkos.nxmx_detector import as_stored
from nanobragg_kokkos.orientation import mosaic_blocks
from nanobragg_kokkos.pulses import EqualPulses, gaussian_spectrum
from nanobragg_kokkos.shot import Pulse
from nanobragg_kokkos.simulation import SensorLayers
from nanobragg_kokkos.specimen import RandomlyOriented, cells_in_domain, illuminated_volume_mm3
from nanobragg_kokkos.streams import stream

# Of a whole sphere, in space group P 1; the Fourier transform that gives them takes some 100 bytes each.
MOST_REFLECTIONS = 1e8


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
    pulse = Pulse(BeamFactory.simple(wavelength), energies, weights, params.beam.total_flux)
    specimen = RandomlyOriented(
        structure.crystal_symmetry(),
        cells_in_domain(structure.unit_cell(), params.crystal.Deff_A),
        params.crystal.shape,
        mosaic_blocks(params.crystal.mosaic_domains, params.crystal.mosaic_spread_deg, stream(params.seed, "mosaic")),
        illuminated_volume_mm3(params.crystal.length_um, params.beam.size_mm),
    )
    return Experiment(
        detector=detector,
        sensor=sensor,
        response=response,
        saturation=saturation,
        data_type=response_parameters.data_type(params),
        oversample=params.oversample,
        pulses=EqualPulses(pulse),
        beam_size_mm=params.beam.size_mm,
        specimen=specimen,
        amplitudes=amplitudes,
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


def highest_resolution(detector: Detector, energies_eV: np.ndarray) -> float:
    """d (angstrom) at the corner of the detector that is farthest from the beam, at the highest of the energies."""
    wavelength = factor_ev_angstrom / max(energies_eV)
    return detector.get_max_resolution((0.0, 0.0, -1.0 / wavelength))
