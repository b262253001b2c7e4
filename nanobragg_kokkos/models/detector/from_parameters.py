"""Makes a detector, its sensor and its response from the parameters detector, psf and detector_response."""

from __future__ import annotations

import math

import libtbx.phil
from cctbx import factor_ev_angstrom
from dxtbx.model import Detector
from libtbx.utils import Sorry

from nanobragg_kokkos.models.detector import geometry
from nanobragg_kokkos.models.detector import sensor as sensors
from nanobragg_kokkos.models.detector.counts import HIGHEST_SATURATION
from nanobragg_kokkos.models.detector.named_detectors import by_name
from nanobragg_kokkos.models.detector.parameters import MOST_RADIUS, data_type, numbers, preset, preset_name, psf_shape
from nanobragg_kokkos.models.detector.point_spread import PointSpread
from nanobragg_kokkos.models.detector.response import DetectorResponse
from nanobragg_kokkos.models.detector.sensor import SensorLayers
from nanobragg_kokkos.models.detector.specifications import SPECIFICATIONS
from nanobragg_kokkos.models.detector.trusted_range import lowest_valid
from nanobragg_kokkos.util.value_rules import left_open

# Pixels. Where the tail of the Rayonix's fibres has fallen to 2/10000 of the middle; 6 % of all photons go beyond.
PSF_RADIUS = 10


def reference(params: libtbx.phil.scope_extract) -> geometry.Reference | None:
    """Returns what detector.reference holds; None: it names no file.

    Raises:
        Sorry: the file is missing or damaged.
    """
    path = params.detector.reference
    return None if path is None else geometry.read_reference(path)


def detector(
    params: libtbx.phil.scope_extract, mean_energy: float, reference: geometry.Reference | None
) -> tuple[Detector, SensorLayers | None]:
    """Returns the detector, its trusted range that of the counts, and its sensor; None: it counts at its surface.

    Args:
        mean_energy: eV, for which the sensor's absorption is looked up.
        reference: what detector.reference holds.

    Raises:
        Sorry: something does not fit with the detector.
    """
    given = params.detector
    wavelength = factor_ev_angstrom / mean_energy
    found = by_name(given.name, given.distance_mm) if reference is None else reference.detector
    found = _shifted(geometry.farther(found, given.offset_mm), params)
    sensor = None
    if params.attenuation:
        has_screen = given.reference is None and SPECIFICATIONS[given.name].material is None
        sensor = (
            sensors.phosphor(wavelength, given.layers)
            if has_screen
            else sensors.sensor_layers(found, wavelength, given.layers)
        )
    found = sensors.with_sensor(found, sensor)
    highest = float(saturation(params, found))
    for panel in found:
        lowest = panel.get_trusted_range()[0]
        if lowest >= highest:
            raise Sorry(
                f"detector_response.saturation={highest:g}: expected more than {lowest:g}, the highest count that is "
                f"too low for the trusted range of detector.reference={given.reference}"
            )
        panel.set_trusted_range((lowest, highest))
    return found, sensor


def messages(
    params: libtbx.phil.scope_extract, reference: geometry.Reference | None, sensor: SensorLayers | None, energy: float
) -> list[str]:
    """Returns lines about detector.reference: counts that are too low, and a sensor that is not as files say.

    Args:
        sensor: that is simulated.
        energy: mean energy of the beam, eV.
    """
    if reference is None:
        return []
    lines = []
    lowest = max(panel.get_trusted_range()[0] for panel in reference.detector)
    if lowest > 0:
        untrusted = lowest_valid(lowest) - 1
        lines.append(f"Counts up to {untrusted} are not trusted, as the trusted_range of detector.reference says")
    return lines + (_sensor_messages(reference, sensor, energy) if params.attenuation else [])


def _sensor_messages(reference: geometry.Reference, sensor: SensorLayers | None, energy: float) -> list[str]:
    material = reference.detector[0].get_material()
    named = (
        f"; NXmx files say Si of the same parallax in its place, as DIALS knows no {material}, and the true models say "
        f"{material}"
        if sensors.is_foreign(material)
        else ""
    )
    if sensor is None:
        why = sensors.without_sensor(reference.detector, factor_ev_angstrom / energy)
        return [f"attenuation=True has no effect, every photon counts at the surface: detector.reference {why}{named}"]
    if not named:
        return []
    share = -math.expm1(-sensor.thickness_mm / sensor.attenuation_length_mm)
    return [f"Sensor: {sensor.thickness_mm:g} mm of {material}, which stop {share:.3g} of the photons{named}"]


def saturation(params: libtbx.phil.scope_extract, detector: Detector) -> int:
    """Returns the highest count that is trusted: the given one, or the highest that detector, preset and type allow."""
    given = params.detector_response.saturation
    if not left_open(given):
        return given
    limits = [panel.get_trusted_range()[1] for panel in detector]
    limits += [HIGHEST_SATURATION[data_type(params)], preset(params).saturation or math.inf]
    return math.floor(min(limits))


def detector_response(params: libtbx.phil.scope_extract, detector: Detector) -> DetectorResponse:
    """Returns the steps from expected photons to counts.

    Raises:
        Sorry: the point spread reaches too far on this detector.
    """
    given, chosen = params.detector_response, preset(params)

    def step(name: str, random: bool = False) -> float:
        value = getattr(given, name)
        if not left_open(value):
            return value
        return 0.0 if random and not params.noise else getattr(chosen, name)

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


def described(params: libtbx.phil.scope_extract, response: DetectorResponse, highest: int) -> str:
    """Returns a line about the steps from photons to counts."""
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


def _shifted(found: Detector, params: libtbx.phil.scope_extract) -> Detector:
    given = params.detector
    if given.beam_center_mm is not None:
        name = f"detector.beam_center_mm={numbers(given.beam_center_mm)}"
        if len(found) > 1:
            raise Sorry(
                f"{name} requires a detector of one panel, but this one has {len(found)}; use "
                "detector.beam_center_shift_mm"
            )
        try:
            fast, slow = found[0].get_ray_intersection((0.0, 0.0, -1.0))
        except RuntimeError as error:
            raise Sorry(f"{name} requires a detector whose plane the beam meets") from error
        return geometry.shifted(found, (given.beam_center_mm[0] - fast, given.beam_center_mm[1] - slow))
    if given.beam_center_shift_mm is not None:
        return geometry.shifted(found, given.beam_center_shift_mm)
    return found


def _point_spread(params: libtbx.phil.scope_extract, detector: Detector) -> PointSpread | None:
    shape = psf_shape(params)
    if shape is None:
        return None
    fwhm_mm = preset(params).psf_fwhm_mm if left_open(params.psf.fwhm_mm) else params.psf.fwhm_mm
    assert fwhm_mm is not None  # the parameters have been checked
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
