"""Makes an experiment from the parameters of a job."""

from __future__ import annotations

from collections.abc import Callable

import libtbx.phil
import numpy as np
from cctbx import factor_ev_angstrom
from dxtbx.model import Detector
from libtbx.utils import Sorry

from nanobragg_kokkos.files.nxmx_detector import as_stored
from nanobragg_kokkos.imaging.experiment import Experiment
from nanobragg_kokkos.models.amplitudes.crystal_scattering import no_scattering
from nanobragg_kokkos.models.amplitudes.from_parameters import crystal_scattering
from nanobragg_kokkos.models.beam import from_parameters as of_beam
from nanobragg_kokkos.models.detector import from_parameters as of_detector
from nanobragg_kokkos.models.detector.parameters import data_type
from nanobragg_kokkos.models.sample import from_parameters as of_sample
from nanobragg_kokkos.models.sample.rotation_series import RotationSeries
from nanobragg_kokkos.models.sample.specimen import NoCrystals, Specimen


def experiment(params: libtbx.phil.scope_extract, progress: Callable[[str], None] = lambda line: None) -> Experiment:
    """Returns the experiment that parameters describe, once parameters.validate has passed them.

    Args:
        progress: is called with lines while amplitudes are calculated.

    Raises:
        Sorry: a file is missing or damaged, or does not fit with the rest.
    """
    reference = of_detector.reference(params)
    beam = None if reference is None else reference.beam
    all_pulses = of_beam.pulses(params, beam)
    mean_energy = params.beam.mean_energy or all_pulses.mean_eV
    detector, sensor = of_detector.detector(params, mean_energy, reference)
    detector = _readable(params, detector, mean_energy)
    response = of_detector.detector_response(params, detector)
    saturation = int(detector[0].get_trusted_range()[1])
    if response.adc_offset > 0 and response.adc_offset >= saturation:
        raise Sorry(
            f"detector_response.adc_offset={response.adc_offset:g}: expected less than the highest count that is "
            f"trusted (detector_response.saturation), {saturation}"
        )
    d_min = highest_resolution(detector, all_pulses.energies_eV) / of_sample.longest_axes(params)
    specimen: Specimen | NoCrystals = NoCrystals()
    series: RotationSeries | None = None
    if params.crystal.count == 0:
        scattering = no_scattering(mean_energy)
    else:
        scattering = crystal_scattering(params, d_min, all_pulses.energies_eV, mean_energy, progress)
        specimen = of_sample.specimen(params, scattering.symmetry)
        series = of_sample.rotation_series(params, specimen, d_min)
    return Experiment(
        detector=detector,
        sensor=sensor,
        response=response,
        saturation=saturation,
        data_type=data_type(params),
        oversample=params.oversample,
        pulses=all_pulses,
        beam_size_mm=params.beam.size_mm,
        specimen=series or specimen,
        scattering=scattering,
        backgrounds=of_sample.backgrounds(params),
        seed=params.seed,
        scan=series.scan(params.n_images) if series else None,
        goniometer=series.goniometer if series else None,
        messages=(
            *of_beam.messages(params, beam),
            *of_detector.messages(params, reference, sensor, mean_energy),
        ),
    )


def highest_resolution(detector: Detector, energies_eV: np.ndarray) -> float:
    """Returns d (angstrom) at the detector's corner farthest from the beam, at the highest of the energies."""
    wavelength = factor_ev_angstrom / max(energies_eV)
    return detector.get_max_resolution((0.0, 0.0, -1.0 / wavelength))


def _readable(params: libtbx.phil.scope_extract, detector: Detector, mean_energy: float) -> Detector:
    """Returns the detector as dxtbx will read it back from the files.

    Raises:
        Sorry: a file cannot describe it.
    """
    given = params.detector
    source = f"detector.name={given.name}" if given.reference is None else f"detector.reference={given.reference}"
    try:
        return as_stored(detector, factor_ev_angstrom / mean_energy)
    except Sorry as error:
        raise Sorry(f"{source}: {error}") from error
