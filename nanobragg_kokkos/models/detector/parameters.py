"""The parameters detector, psf and detector_response.

Their text, the values that make sense, and which exclude each other.
"""

from __future__ import annotations

from typing import Any

import libtbx
import libtbx.phil
import numpy as np
from libtbx.utils import Sorry

from nanobragg_kokkos.models.detector.counts import HIGHEST_SATURATION
from nanobragg_kokkos.models.detector.response_presets import PRESETS, Preset
from nanobragg_kokkos.models.detector.specifications import SPECIFICATIONS
from nanobragg_kokkos.util.value_rules import (
    between,
    file_or_none,
    finite,
    given,
    left_open,
    or_none,
    or_preset,
    positive,
    whole,
)

# Pixels; farther than any detector's light goes.
MOST_RADIUS = 500

# Millimetres, from the sample or the beam; farther than any detector, and the numbers computed from it stay sound.
MOST_MM = 1e6

# Far above what fits a count; nothing overflows below.
MOST_ADU = 1e9

TEXT = """
detector {
  name = *rayonix_mx340 jungfrau_16m jungfrau_4m eiger_16m eiger_4m pilatus3_6m pilatus3_2m cspad
    .type = choice
    .help = "Detector, perpendicular to the beam, which meets its middle. docs/detectors.md lists pixels, gaps and"
            "sensors."
  reference = None
    .type = path
    .help = "Detector of a dxtbx model file (.expt) or of an image. Its beam centre and its masks are kept, and its"
            "beam's polarization and wavelength (see beam.mean_energy). None: the detector of detector.name."
  distance_mm = None
    .type = float
    .help = "Distance from the sample to the detector, mm. None: the usual one of detector.name, 141.7 for the Rayonix."
            "To move the detector of a file, use offset_mm."
  offset_mm = 0
    .type = float
    .help = "Added to the distance from the sample, along the beam, mm."
  beam_center_mm = None
    .type = floats
    .help = "Where the beam meets a detector of one panel: fast, slow, from the outer corner of its first pixel, mm."
            "None: in the middle, or where the file says."
  beam_center_shift_mm = None
    .type = floats
    .help = "The beam meets the detector farther along fast, slow by this, mm: the detector is shifted the other way,"
            "as a whole. With several panels, fast is to the right (+x) and slow is down (-y)."
  layers = None
    .type = int
    .help = "Layers of the sensor in which photons are absorbed, with attenuation=True. None: one for the Rayonix,"
            "else as many as make each at most half a pixel thick."
}
psf
  .help = "Point-spread function of the detector: light spreads from the pixel that a photon hits to those around."
{
  shape = *none gauss fiber
    .type = choice
    .help = "none: light stays in its pixel. gauss: a Gaussian. fiber: the spread of a taper of glass"
            "fibres, with long tails."
  fwhm_mm = None
    .type = float
    .help = "Full width at half maximum, mm. None: the value of the preset, 0.08 for the Rayonix; others have none."
  radius_pixels = None
    .type = int
    .help = "Radius to which the shape is followed, 1 to 500 pixels; light beyond is spread evenly over the panel."
            "None: 10, or twice the width if that is more."
}
detector_response
  .help = "From photons to counts, in this order: flicker, Poisson noise, calibration_noise, psf, quantum_gain,"
          "readout_noise, adc_offset. None: the value of the preset. 0 leaves a noise or the offset out."
{
  preset = *auto none rayonix jungfrau pilatus eiger cspad
    .type = choice
    .help = "Kind of detector. auto: the kind of detector.name; none with detector.reference. none: photons are"
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
    .help = "Counts (analog-digital units, ADU) per photon."
  readout_noise = None
    .type = float
    .help = "Standard deviation of the read-out noise of a pixel, ADU."
  adc_offset = None
    .type = float
    .help = "Counts without any photon, ADU."
  saturation = None
    .type = int
    .help = "Highest count that is trusted; brighter pixels read one more. None: the highest that the detector's"
            "trusted range, the preset and data_type allow."
  data_type = *auto int32 uint16
    .type = choice
    .help = "Type of the pixels. auto: the type of the preset, if it can hold the saturation."
}
"""


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(finite(x) and abs(x) <= MOST_MM for x in value)


_PAIR = or_none((_is_pair, f"two numbers, fast and slow, in mm, each at most {MOST_MM:g}"))

RULES = {
    "detector.name": given(", ".join(SPECIFICATIONS)),
    "detector.reference": file_or_none(),
    "detector.distance_mm": or_none(positive("mm", 1e-3, MOST_MM)),
    "detector.offset_mm": between(-MOST_MM, MOST_MM, " mm"),
    "detector.beam_center_mm": _PAIR,
    "detector.beam_center_shift_mm": _PAIR,
    "detector.layers": or_none(whole(1)),
    "psf.fwhm_mm": or_preset(positive("mm", 1e-6, MOST_MM)),
    "psf.radius_pixels": or_preset(
        (lambda value: isinstance(value, int) and 1 <= value <= MOST_RADIUS, f"1 to {MOST_RADIUS} pixels")
    ),
    "detector_response.flicker": or_preset(between(0, 1, "")),
    "detector_response.calibration_noise": or_preset(between(0, 1, "")),
    "detector_response.calibration_seed": or_preset(whole(0)),
    "detector_response.quantum_gain": or_preset(
        (lambda value: finite(value) and 1e-9 <= value <= MOST_ADU, f"more than 0, 1e-09 to {MOST_ADU:g} ADU a photon")
    ),
    "detector_response.readout_noise": or_preset(between(0, MOST_ADU, " ADU")),
    "detector_response.adc_offset": or_preset(between(0, MOST_ADU, " ADU")),
    "detector_response.saturation": or_preset(
        (lambda value: isinstance(value, int) and 1 <= value <= 2**31 - 2, "a whole number, 1 to 2147483646")
    ),
}


def validate(params: libtbx.phil.scope_extract) -> None:
    """Refuses values that do not fit with each other.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    given = params.detector
    if given.reference is not None:
        if given.distance_mm is not None:
            raise Sorry(
                "detector.distance_mm and detector.reference exclude each other; move the detector of a file with "
                "detector.offset_mm"
            )
        if given.name != "rayonix_mx340":
            raise Sorry("detector.name and detector.reference exclude each other")
    if given.beam_center_mm is not None and given.beam_center_shift_mm is not None:
        raise Sorry("detector.beam_center_mm and detector.beam_center_shift_mm exclude each other")
    response, psf = params.detector_response, params.psf
    if psf_shape(params) is None:
        for name in ("fwhm_mm", "radius_pixels"):
            if not left_open(getattr(psf, name)):
                raise Sorry(f"psf.{name}={getattr(psf, name):g} requires psf.shape=gauss or psf.shape=fiber")
    elif left_open(psf.fwhm_mm) and preset(params).psf_fwhm_mm is None:
        raise Sorry(
            f"psf.shape={psf.shape} requires psf.fwhm_mm, as detector_response.preset={preset_name(params)} has none"
        )
    highest = HIGHEST_SATURATION[data_type(params)]
    if not left_open(response.saturation) and response.saturation > highest:
        raise Sorry(
            f"detector_response.saturation={response.saturation}: expected at most {highest} with "
            "detector_response.data_type=uint16, in which the two values above mark overloads and masked pixels"
        )


def preset_name(params: libtbx.phil.scope_extract) -> str:
    """Returns the name of the preset in effect."""
    name = params.detector_response.preset
    if name is libtbx.Auto or name == "auto":
        return SPECIFICATIONS[params.detector.name].preset if params.detector.reference is None else "none"
    # What phil makes of the word none.
    return name or "none"


def preset(params: libtbx.phil.scope_extract) -> Preset:
    """Returns the preset in effect."""
    return PRESETS[preset_name(params)]


def psf_shape(params: libtbx.phil.scope_extract) -> str | None:
    """Returns the shape of the point spread, gauss or fiber; None: there is none."""
    return None if params.psf.shape == "none" else params.psf.shape


def data_type(params: libtbx.phil.scope_extract) -> np.dtype:
    """Returns the type of the counts, int32 or uint16."""
    given = params.detector_response
    if given.data_type in ("int32", "uint16"):
        return np.dtype(given.data_type)
    preferred = np.dtype(preset(params).data_type)
    fits = left_open(given.saturation) or given.saturation <= HIGHEST_SATURATION[preferred]
    return preferred if fits else np.dtype(np.int32)


def numbers(values: list[float]) -> str:
    """Returns numbers as one gives them on the command line."""
    return ",".join(f"{value:g}" for value in values)
