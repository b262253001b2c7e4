"""What the parameters psf and detector_response come to: given values, presets, and no noise."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.small_models import small_detector
from libtbx.utils import Sorry

from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.models.detector import from_parameters
from nanobragg_kokkos.models.detector import parameters as detector_parameters
from nanobragg_kokkos.models.detector.counts import HIGHEST_SATURATION
from nanobragg_kokkos.models.detector.point_spread import PointSpread
from nanobragg_kokkos.models.detector.response import DetectorResponse
from nanobragg_kokkos.models.detector.response_presets import PRESETS

DETECTOR = small_detector(pixels=10, pixel_mm=0.1)


def params(*arguments: str):
    extract = parameters.parse(list(arguments)).extract()
    parameters.validate(extract)
    return extract


def response(*arguments: str) -> DetectorResponse:
    return from_parameters.detector_response(params(*arguments), DETECTOR)


def counts(*arguments: str, trusted: float = 1e6) -> tuple[str, int]:
    """Data type and saturation on a detector with a trusted range."""
    detector = small_detector(pixels=10)
    detector[0].set_trusted_range((-1, trusted))
    chosen = params(*arguments)
    return str(detector_parameters.data_type(chosen)), from_parameters.saturation(chosen, detector)


def test_every_preset_can_be_chosen():
    (choice,) = parameters.phil_scope.get("detector_response.preset").objects
    assert [word.value for word in choice.words] == ["*auto", *PRESETS]
    for name, preset in PRESETS.items():
        found = response(f"preset={name}")
        assert (found.quantum_gain, found.readout_noise, found.adc_offset, found.flicker, found.calibration_noise) == (
            preset.quantum_gain, preset.readout_noise, preset.adc_offset, preset.flicker, preset.calibration_noise
        )  # fmt: skip
        assert found.photon_noise and found.point_spread is None
        dtype, saturation = counts(f"preset={name}", trusted=2.0**40)
        assert saturation == min(preset.saturation or 2**40, HIGHEST_SATURATION[np.dtype(dtype)])


def test_auto_is_the_rayonix_unless_there_is_a_reference():
    assert detector_parameters.preset_name(params()) == "rayonix"
    assert detector_parameters.preset_name(params("preset=Auto")) == "rayonix"
    assert detector_parameters.preset_name(params("detector.reference=some.expt")) == "none"
    assert response("detector.reference=some.expt") == DetectorResponse()
    for nothing in ("none", "None"):
        assert detector_parameters.preset_name(params(f"preset={nothing}")) == "none"


def test_given_values_win():
    assert response("readout_noise=0", "quantum_gain=1.5", "calibration_seed=3") == DetectorResponse(
        calibration_noise=PRESETS["rayonix"].calibration_noise,
        calibration_seed=3,
        quantum_gain=1.5,
        adc_offset=PRESETS["rayonix"].adc_offset,
    )
    assert response("preset=none", "flicker=0.1", "calibration_noise=0.02", "readout_noise=2", "adc_offset=40") == (
        DetectorResponse(flicker=0.1, calibration_noise=0.02, readout_noise=2, adc_offset=40)
    )
    assert response("preset=jungfrau", "readout_noise=Auto").readout_noise == PRESETS["jungfrau"].readout_noise


def test_without_noise_only_what_is_asked_for_is_random():
    rayonix = PRESETS["rayonix"]
    assert response("noise=False") == DetectorResponse(
        photon_noise=False, quantum_gain=rayonix.quantum_gain, adc_offset=rayonix.adc_offset
    )
    assert response("noise=False", "readout_noise=2", "flicker=0.1", "adc_offset=0") == DetectorResponse(
        photon_noise=False, flicker=0.1, readout_noise=2
    )


def test_one_parameter_has_the_rayonix_spread_light():
    assert response("psf.shape=fiber").point_spread == PointSpread("fiber", 0.08, 10)
    assert response("psf.shape=gauss").point_spread == PointSpread("gauss", 0.08, 10)
    given = response("psf.shape=fiber", "psf.fwhm_mm=0.1", "psf.radius_pixels=7")
    assert given.point_spread == PointSpread("fiber", 0.1, 7)
    for nothing in ("none", "None"):
        assert response(f"psf.shape={nothing}").point_spread is None


def test_radius_follows_a_width():
    def radius(fwhm_mm: float) -> int:
        return response("preset=none", "psf.shape=gauss", f"psf.fwhm_mm={fwhm_mm}").point_spread.radius

    assert (radius(0.1), radius(0.5), radius(1)) == (10, 10, 20)
    with pytest.raises(Sorry, match="psf.fwhm_mm=100: expected at most 25 mm with pixels of 0.1 mm"):
        radius(100)


def test_saturation_and_data_type():
    assert counts() == ("uint16", 65533)
    assert counts(trusted=5000.5) == ("uint16", 5000)
    assert counts("data_type=int32") == ("int32", 65533)
    assert counts("saturation=1000") == ("uint16", 1000)
    assert counts("saturation=100000") == ("int32", 100000)
    assert counts("saturation=100000", trusted=50) == ("int32", 100000)
    assert counts("preset=none") == ("int32", 10**6)
    assert counts("preset=none", "data_type=uint16") == ("uint16", 65533)
    assert counts("preset=none", trusted=2.0**31) == ("int32", 2**31 - 2)
    assert counts("preset=jungfrau") == ("int32", 10000)
    assert counts("preset=jungfrau", trusted=300) == ("int32", 300)


def test_what_happens_to_photons_is_told():
    def told(*arguments: str) -> str:
        chosen = params(*arguments)
        return from_parameters.described(chosen, from_parameters.detector_response(chosen, DETECTOR), 1000)

    assert told("preset=none") == "Readout (none): Poisson noise; int32, trusted to 1000"
    assert told("preset=none", "noise=False") == "Readout (none): expected photons; int32, trusted to 1000"
    assert told("flicker=0.1", "quantum_gain=2", "psf.shape=fiber") == (
        "Readout (rayonix): Poisson noise, flicker 0.1, calibration noise 0.03, point spread fiber of 0.08 mm to 10 "
        "pixels, 2 ADU a photon, read-out noise 3 ADU, offset 10 ADU; uint16, trusted to 1000"
    )
