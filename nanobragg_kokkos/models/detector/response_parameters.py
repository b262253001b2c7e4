"""From the parameters psf and detector_response to how photons become counts."""

from __future__ import annotations

import math

import libtbx
import libtbx.phil
import numpy as np
from dxtbx.model import Detector
from libtbx.utils import Sorry

from nanobragg_kokkos.models.detector.point_spread import PointSpread
from nanobragg_kokkos.models.detector.response import HIGHEST_SATURATION, DetectorResponse
from nanobragg_kokkos.models.detector.response_presets import PRESETS, Preset
from nanobragg_kokkos.models.detector.specifications import SPECIFICATIONS
from nanobragg_kokkos.util.value_rules import above_0, between, finite, left_open, or_preset, whole

# Pixels. Where the tail of the Rayonix's fibres has fallen to 2/10000 of the middle; 6 % of all photons go beyond.
PSF_RADIUS = 10

# Pixels; farther than any detector's light goes.
MOST_RADIUS = 500

# Far above what fits a count; nothing overflows below.
MOST_ADU = 1e9

TEXT = """
psf
  .help = "The detector's point-spread function: light from a pixel that a photon hits reaches those around it."
{
  shape = *none gauss fiber
    .type = choice
    .help = "none: it stays in its pixel. gauss: a Gaussian. fiber: that of a taper of glass fibres, with long tails."
  fwhm_mm = None
    .type = float
    .help = "Full width at half maximum, mm. None: that of the preset; for the Rayonix 0.08, else there is none."
  radius_pixels = None
    .type = int
    .help = "Follow the shape so far, 1 to 500 pixels; beyond, light goes evenly over the panel. None: 10, or twice the"
            "width if that is more."
}
detector_response
  .help = "From photons to counts, in this order: flicker, Poisson noise, calibration_noise, psf, quantum_gain,"
          "readout_noise, adc_offset. None: what the preset says. 0 leaves a noise or the offset out."
{
  preset = *auto none rayonix jungfrau pilatus eiger cspad
    .type = choice
    .help = "The kind of detector. auto: that of detector.name; none with detector.reference. none: photons are"
            "counted, and nothing else happens to them."
  flicker = None
    .type = float
    .help = "Relative standard deviation of the beam's intensity from image to image, 0 to 1."
  calibration_noise = None
    .type = float
    .help = "Relative standard deviation of the pixels' sensitivity, 0 to 1, the same in all images."
  calibration_seed = None
    .type = int
    .help = "Seed of the pixels' sensitivity: which detector of its kind. None: 0."
  quantum_gain = None
    .type = float
    .help = "Counts (analog-digital units, ADU) of a photon."
  readout_noise = None
    .type = float
    .help = "Standard deviation of what is read out of a pixel, ADU."
  adc_offset = None
    .type = float
    .help = "Counts without any photon, ADU."
  saturation = None
    .type = int
    .help = "Highest count that is trusted; what is brighter reads one more. None: the highest that the detector's"
            "trusted range, the preset and data_type allow."
  data_type = *auto int32 uint16
    .type = choice
    .help = "Type of the images' pixels. auto: that of the preset, if it can hold the saturation."
}
"""

RULES = {
    "psf.fwhm_mm": or_preset(above_0("mm")),
    "psf.radius_pixels": or_preset(
        (lambda value: isinstance(value, int) and 1 <= value <= MOST_RADIUS, f"1 to {MOST_RADIUS} pixels")
    ),
    "detector_response.flicker": or_preset(between(0, 1, "")),
    "detector_response.calibration_noise": or_preset(between(0, 1, "")),
    "detector_response.calibration_seed": or_preset(whole(0)),
    "detector_response.quantum_gain": or_preset(
        (lambda value: finite(value) and 0 < value <= MOST_ADU, f"more than 0, at most {MOST_ADU:g} ADU a photon")
    ),
    "detector_response.readout_noise": or_preset(between(0, MOST_ADU, " ADU")),
    "detector_response.adc_offset": or_preset(between(0, MOST_ADU, " ADU")),
    "detector_response.saturation": or_preset(
        (lambda value: isinstance(value, int) and 1 <= value <= 2**31 - 2, "a whole number, 1 to 2147483646")
    ),
}


def preset_name(params: libtbx.phil.scope_extract) -> str:
    """Of the preset in effect."""
    name = params.detector_response.preset
    if name is libtbx.Auto or name == "auto":
        return SPECIFICATIONS[params.detector.name].preset if params.detector.reference is None else "none"
    # What phil makes of the word none.
    return name or "none"


def psf_shape(params: libtbx.phil.scope_extract) -> str | None:
    """gauss, fiber or None."""
    return None if params.psf.shape == "none" else params.psf.shape


def data_type(params: libtbx.phil.scope_extract) -> np.dtype:
    """Of the counts."""
    given = params.detector_response
    if given.data_type in ("int32", "uint16"):
        return np.dtype(given.data_type)
    preferred = np.dtype(_preset(params).data_type)
    fits = left_open(given.saturation) or given.saturation <= HIGHEST_SATURATION[preferred]
    return preferred if fits else np.dtype(np.int32)


def saturation(params: libtbx.phil.scope_extract, detector: Detector) -> int:
    """The highest count that is trusted: as asked for, or the highest that detector, preset and data type allow."""
    given = params.detector_response.saturation
    if not left_open(given):
        return given
    limits = [panel.get_trusted_range()[1] for panel in detector]
    limits += [HIGHEST_SATURATION[data_type(params)], _preset(params).saturation or math.inf]
    return math.floor(min(limits))


def detector_response(params: libtbx.phil.scope_extract, detector: Detector) -> DetectorResponse:
    """The steps from expected photons to counts.

    Raises:
        Sorry: the point spread reaches too far on this detector.
    """
    given, preset = params.detector_response, _preset(params)

    def step(name: str, random: bool = False) -> float:
        value = getattr(given, name)
        if not left_open(value):
            return value
        return 0.0 if random and not params.noise else getattr(preset, name)

    return DetectorResponse(
        photon_noise=params.noise,
        flicker=step("flicker", random=True),
        calibration_noise=step("calibration_noise", random=True),
        calibration_seed=0 if left_open(given.calibration_seed) else given.calibration_seed,
        point_spread=_point_spread(params, detector),
        quantum_gain=step("quantum_gain"),
        readout_noise=step("readout_noise", random=True),
        adc_offset=step("adc_offset"),
    )


def validate(params: libtbx.phil.scope_extract) -> None:
    """Refuses values that do not fit with each other.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    given, psf = params.detector_response, params.psf
    if psf_shape(params) is None:
        for name in ("fwhm_mm", "radius_pixels"):
            if not left_open(getattr(psf, name)):
                raise Sorry(f"psf.{name}={getattr(psf, name):g}: expected psf.shape=gauss or psf.shape=fiber with it")
    elif left_open(psf.fwhm_mm) and _preset(params).psf_fwhm_mm is None:
        raise Sorry(
            f"psf.shape={psf.shape}: expected psf.fwhm_mm with it, as detector_response.preset={preset_name(params)} "
            "has none"
        )
    highest = HIGHEST_SATURATION[data_type(params)]
    if not left_open(given.saturation) and given.saturation > highest:
        raise Sorry(
            f"detector_response.saturation={given.saturation}: expected at most {highest} with "
            "detector_response.data_type=uint16, in which the two values above mark overloads and masked pixels"
        )


def described(params: libtbx.phil.scope_extract, response: DetectorResponse, highest: int) -> str:
    """What happens to the photons, in words."""
    steps = ["Poisson noise" if response.photon_noise else "expected photons"]
    if response.flicker:
        steps.append(f"flicker {response.flicker:g}")
    if response.calibration_noise:
        steps.append(f"calibration noise {response.calibration_noise:g}")
    if response.point_spread:
        spread = response.point_spread
        steps.append(f"point spread {spread.shape} of {spread.fwhm_mm:g} mm to {spread.radius} pixels")
    if response.quantum_gain != 1:
        steps.append(f"{response.quantum_gain:g} ADU a photon")
    if response.readout_noise:
        steps.append(f"read-out noise {response.readout_noise:g} ADU")
    if response.adc_offset:
        steps.append(f"offset {response.adc_offset:g} ADU")
    return f"Readout ({preset_name(params)}): {', '.join(steps)}; {data_type(params)}, trusted to {highest}"


def _preset(params: libtbx.phil.scope_extract) -> Preset:
    return PRESETS[preset_name(params)]


def _point_spread(params: libtbx.phil.scope_extract, detector: Detector) -> PointSpread | None:
    shape = psf_shape(params)
    if shape is None:
        return None
    fwhm_mm = _preset(params).psf_fwhm_mm if left_open(params.psf.fwhm_mm) else params.psf.fwhm_mm
    if not left_open(params.psf.radius_pixels):
        return PointSpread(shape, fwhm_mm, params.psf.radius_pixels)
    pixel_mm = min(min(panel.get_pixel_size()) for panel in detector)
    radius = max(PSF_RADIUS, math.ceil(2 * fwhm_mm / pixel_mm))
    if radius > MOST_RADIUS:
        raise Sorry(
            f"psf.fwhm_mm={fwhm_mm:g}: expected at most {MOST_RADIUS / 2 * pixel_mm:g} mm with pixels of "
            f"{pixel_mm:g} mm"
        )
    return PointSpread(shape, fwhm_mm, radius)
