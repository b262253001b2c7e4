"""From the parameters of a job to the models that the simulation takes."""

from __future__ import annotations

import libtbx.phil
import numpy as np
from cctbx import factor_ev_angstrom
from dxtbx.model import BeamFactory, Detector
from libtbx.utils import Sorry

from nanobragg_kokkos import detector_parameters, response_parameters
from nanobragg_kokkos.amorphous import air, water
from nanobragg_kokkos.experiment import Experiment
from nanobragg_kokkos.orientation import mosaic_blocks
from nanobragg_kokkos.pulses import EqualPulses, gaussian_spectrum
from nanobragg_kokkos.scattering import scattering
from nanobragg_kokkos.shot import Pulse
from nanobragg_kokkos.specimen import RandomlyOriented, cells_in_domain, illuminated_volume_mm3
from nanobragg_kokkos.streams import stream


def experiment(params: libtbx.phil.scope_extract) -> Experiment:
    """The experiment that parameters describe, once parameters.validate has passed them.

    Raises:
        Sorry: a file is missing or damaged, or does not fit with the rest.
    """
    detector, sensor = detector_parameters.detector(params)
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
    crystal_scattering = scattering(params, highest_resolution(detector, energies), energies, params.beam.mean_energy)
    symmetry = crystal_scattering.symmetry
    pulse = Pulse(BeamFactory.simple(wavelength), energies, weights, params.beam.total_flux)
    specimen = RandomlyOriented(
        symmetry,
        cells_in_domain(symmetry.unit_cell(), params.crystal.Deff_A),
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
        scattering=crystal_scattering,
        backgrounds=tuple(
            sample(thickness)
            for sample, thickness in ((water, params.background.water_mm), (air, params.background.air_mm))
            if thickness > 0
        ),
        seed=params.seed,
    )


def highest_resolution(detector: Detector, energies_eV: np.ndarray) -> float:
    """d (angstrom) at the corner of the detector that is farthest from the beam, at the highest of the energies."""
    wavelength = factor_ev_angstrom / max(energies_eV)
    return detector.get_max_resolution((0.0, 0.0, -1.0 / wavelength))
