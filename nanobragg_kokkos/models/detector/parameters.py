"""The parameters of the group detector, and the detector that they describe."""

from __future__ import annotations

from typing import Any

import libtbx.phil
from cctbx import factor_ev_angstrom
from dxtbx.model import Detector
from libtbx.utils import Sorry

from nanobragg_kokkos.files.nxmx_detector import as_stored
from nanobragg_kokkos.imaging.simulation import SensorLayers
from nanobragg_kokkos.models.detector import geometry, response_parameters
from nanobragg_kokkos.models.detector.named_detectors import by_name
from nanobragg_kokkos.models.detector.specifications import SPECIFICATIONS
from nanobragg_kokkos.util import value_rules

TEXT = """
detector {
  name = *rayonix_mx340 jungfrau_16m jungfrau_4m eiger_16m eiger_4m pilatus3_6m pilatus3_2m cspad
    .type = choice
    .help = "Simulate a detector of this kind, perpendicular to the beam, which goes through its middle."
            "docs/detectors.md has their numbers of pixels, gaps and sensors."
  reference = None
    .type = path
    .help = "A dxtbx model file (.expt) or an image: simulate its detector, with its beam centre and masks. None: that"
            "of detector.name."
  distance_mm = None
    .type = float
    .help = "From the sample to the detector of detector.name, mm. None: what is usual for it, 141.7 for the Rayonix."
            "For a detector from a file, see offset_mm."
  offset_mm = 0
    .type = float
    .help = "Added to the distance from the sample, along the beam, mm."
  beam_center_mm = None
    .type = floats
    .help = "Where the beam meets a detector of one panel: fast, slow, from the outer corner of its first pixel, mm."
            "None: in the middle, or where the file has it."
  beam_center_shift_mm = None
    .type = floats
    .help = "The beam meets the detector farther along fast, slow by this, mm: the detector is shifted the other way,"
            "as a whole. With several panels, fast is to the right (+x) and slow is down (-y)."
  layers = None
    .type = int
    .help = "Layers of the sensor in which photons are absorbed, with attenuation=True. None: one for the Rayonix,"
            "else as many as make each at most half a pixel thick."
}
"""


def _is_pair(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and len(value) == 2 and all(value_rules.finite(x) for x in value)


_PAIR = value_rules.or_none((_is_pair, "None or two numbers, fast and slow, in mm"))

RULES = {
    "detector.name": value_rules.given(", ".join(SPECIFICATIONS)),
    "detector.distance_mm": value_rules.or_none(value_rules.above_0("mm")),
    "detector.offset_mm": (value_rules.finite, "a number of mm"),
    "detector.beam_center_mm": _PAIR,
    "detector.beam_center_shift_mm": _PAIR,
    "detector.layers": value_rules.or_none(value_rules.whole(1)),
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
                f"detector.distance_mm={given.distance_mm:g}: expected None with detector.reference, which has a "
                "distance of its own; use detector.offset_mm"
            )
        if given.name != "rayonix_mx340":
            raise Sorry(
                f"detector.name={given.name}: expected no detector.reference with it, which names a detector, too"
            )
    if given.beam_center_mm is not None and given.beam_center_shift_mm is not None:
        raise Sorry(
            f"detector.beam_center_shift_mm={_numbers(given.beam_center_shift_mm)}: expected None with "
            "detector.beam_center_mm, which says where the beam goes"
        )


def detector(params: libtbx.phil.scope_extract, mean_energy: float) -> tuple[Detector, SensorLayers | None]:
    """The detector, as its files will describe it, its trusted range that of the counts, and its sensor.

    Args:
        mean_energy: eV, for which the sensor's absorption is looked up.

    Raises:
        Sorry: a file is missing or damaged, or something does not fit with the detector.
    """
    given = params.detector
    wavelength = factor_ev_angstrom / mean_energy
    if given.reference is None:
        found, source = by_name(given.name, given.distance_mm), f"detector.name={given.name}"
    else:
        found, source = geometry.from_file(given.reference), f"detector.reference={given.reference}"
    found = _shifted(geometry.farther(found, given.offset_mm), params)
    sensor = None
    if params.attenuation:
        has_screen = given.reference is None and SPECIFICATIONS[given.name].material is None
        sensor = (
            geometry.phosphor(wavelength, given.layers)
            if has_screen
            else geometry.sensor_layers(found, wavelength, given.layers)
        )
    found = geometry.with_sensor(found, sensor)
    saturation = response_parameters.saturation(params, found)
    for panel in found:
        panel.set_trusted_range((-1.0, float(saturation)))
    try:
        return as_stored(found, wavelength), sensor
    except Sorry as error:
        raise Sorry(f"{source}: {error}") from error


def _shifted(found: Detector, params: libtbx.phil.scope_extract) -> Detector:
    given = params.detector
    if given.beam_center_mm is not None:
        name = f"detector.beam_center_mm={_numbers(given.beam_center_mm)}"
        if len(found) > 1:
            raise Sorry(
                f"{name}: expected None with a detector of {len(found)} panels, which has no first pixel to count "
                "from; use detector.beam_center_shift_mm"
            )
        try:
            fast, slow = found[0].get_ray_intersection((0.0, 0.0, -1.0))
        except RuntimeError as error:
            raise Sorry(f"{name}: expected None with a detector whose plane the beam does not meet") from error
        return geometry.shifted(found, (given.beam_center_mm[0] - fast, given.beam_center_mm[1] - slow))
    if given.beam_center_shift_mm is not None:
        return geometry.shifted(found, given.beam_center_shift_mm)
    return found


def _numbers(values: list[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
