"""From the parameters of a job to the models that the simulation takes."""

from __future__ import annotations

import libtbx.phil
import numpy as np
from cctbx import factor_ev_angstrom
from dxtbx.model import Detector
from libtbx.utils import Sorry

from nanobragg_kokkos.imaging.experiment import Experiment
from nanobragg_kokkos.models.amplitudes.crystal_scattering import scattering
from nanobragg_kokkos.models.beam.parameters import pulses_of
from nanobragg_kokkos.models.detector import parameters as detector_parameters
from nanobragg_kokkos.models.detector import response_parameters
from nanobragg_kokkos.models.sample.amorphous import air, water
from nanobragg_kokkos.models.sample.crystal_parameters import longest_axes, specimen_of
from nanobragg_kokkos.models.sample.scan_parameters import sweep_of


def experiment(params: libtbx.phil.scope_extract) -> Experiment:
    """The experiment that parameters describe, once parameters.validate has passed them.

    Raises:
        Sorry: a file is missing or damaged, or does not fit with the rest.
    """
    pulses = pulses_of(params)
    mean_energy = params.beam.mean_energy or pulses.mean_eV
    detector, sensor = detector_parameters.detector(params, mean_energy)
    response = response_parameters.detector_response(params, detector)
    saturation = int(detector[0].get_trusted_range()[1])
    if response.adc_offset > 0 and response.adc_offset >= saturation:
        raise Sorry(
            f"detector_response.adc_offset={response.adc_offset:g}: expected less than the highest count that is "
            f"trusted (detector_response.saturation), {saturation}"
        )
    d_min = highest_resolution(detector, pulses.energies_eV) / longest_axes(params)
    crystal_scattering = scattering(params, d_min, pulses.energies_eV, mean_energy)
    specimen = specimen_of(params, crystal_scattering.symmetry)
    sweep = sweep_of(params, specimen, d_min)
    return Experiment(
        detector=detector,
        sensor=sensor,
        response=response,
        saturation=saturation,
        data_type=response_parameters.data_type(params),
        oversample=params.oversample,
        pulses=pulses,
        beam_size_mm=params.beam.size_mm,
        specimen=sweep or specimen,
        scattering=crystal_scattering,
        backgrounds=tuple(
            sample(thickness)
            for sample, thickness in ((water, params.background.water_mm), (air, params.background.air_mm))
            if thickness > 0
        ),
        seed=params.seed,
        scan=sweep.scan(params.n_images) if sweep else None,
        goniometer=sweep.goniometer if sweep else None,
    )


def highest_resolution(detector: Detector, energies_eV: np.ndarray) -> float:
    """D (angstrom) at the corner of the detector that is farthest from the beam, at the highest of the energies."""
    wavelength = factor_ev_angstrom / max(energies_eV)
    return detector.get_max_resolution((0.0, 0.0, -1.0 / wavelength))
