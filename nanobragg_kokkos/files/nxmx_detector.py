"""The detector of an NXmx file: positions of its panels, sensor, valid counts and pixels."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import h5py
import numpy as np
from cctbx.eltbx import attenuation_coefficient
from dxtbx import flumpy
from dxtbx.model import (
    Detector,
    DetectorNode,
    OffsetParallaxCorrectedPxMmStrategy,
    OffsetPxMmStrategy,
    Panel,
    ParallaxCorrectedPxMmStrategy,
    SimplePxMmStrategy,
)
from libtbx.utils import Sorry
from scipy.spatial.transform import Rotation

from nanobragg_kokkos.files import nexus
from nanobragg_kokkos.models.detector.sensor import SENSOR_MATERIALS, is_foreign
from nanobragg_kokkos.models.detector.trusted_range import lower_end, lowest_valid

# Bits of an NXmx pixel mask: a pixel without a sensor ("gap"), and one that a mask leaves out ("user defined").
MASK_GAP, MASK_USER = 1, 256

# Stands for no sensor: dxtbx refuses a thickness of 0; the parallax of this one is below 1e-9 mm.
NO_THICKNESS_MM = 1e-6


def check_readable(detector: Detector) -> None:
    """Raises Sorry if dxtbx would read another detector back from the file."""
    for panel in detector:
        if isinstance(panel.get_px_mm_strategy(), (OffsetPxMmStrategy, OffsetParallaxCorrectedPxMmStrategy)):
            raise Sorry("detector: NXmx has no place for the pixel-wise offsets of a panel.")
    # The beam travels along -z here.
    if len(detector) == 1 and abs(detector[0].get_normal()[2]) > 0.99 and detector[0].get_origin()[2] > 0:
        raise Sorry(
            "detector: dxtbx takes a single panel that faces the beam from upstream of the sample for one "
            "downstream; split it in two panels."
        )


def as_stored(detector: Detector, wavelength: float) -> Detector:
    """Returns the detector as dxtbx reads it back from the file: one sensor and one range of counts for all panels.

    Args:
        wavelength: at which dxtbx will look the sensor's absorption up (angstrom).

    Raises:
        Sorry: it would not come back as it is.
    """
    check_readable(detector)
    material, thickness_mm = _sensor(detector, wavelength)
    mu = attenuation_coefficient.get_table(material).mu_at_angstrom(wavelength) / 10
    underload, saturation = _count_limits(detector)
    detector = copy.deepcopy(detector)
    for panel in detector:
        panel.set_gain(1.0)
        panel.set_pedestal(0.0)
        # A material that dxtbx does not know is in the models alone, with what is known of it.
        if not is_foreign(panel.get_material()):
            panel.set_material(material)
            panel.set_thickness(thickness_mm)
            panel.set_mu(mu)
        # What stands for no sensor needs no correction.
        if not isinstance(panel.get_px_mm_strategy(), SimplePxMmStrategy) and thickness_mm > NO_THICKNESS_MM:
            panel.set_px_mm_strategy(ParallaxCorrectedPxMmStrategy(mu, thickness_mm))
        if saturation is not None:
            panel.set_trusted_range((lower_end(underload), float(saturation)))
    return detector


def write_detector(group: h5py.Group, detector: Detector, rows: Sequence[int], wavelength: float) -> None:
    """Fills the NXdetector `group`: sensor, range of counts, and a chain of transformations for each panel.

    Args:
        rows: first row of each panel in the stored array.
        wavelength: at which the panels' attenuation coefficients are (angstrom).
    """
    material, thickness_mm = _sensor(detector, wavelength)
    shown = nexus.field(group, "sensor_material", material)
    if is_foreign(detector[0].get_material()):
        nexus.note(shown, stands_for=f"{detector[0].get_material()}, {detector[0].get_thickness():g} mm")
    nexus.quantity(group, "sensor_thickness", thickness_mm * 1e-3, "m")
    underload, saturation = _count_limits(detector)
    if saturation is not None:
        nexus.field(group, "underload_value", underload)
        nexus.field(group, "saturation_value", saturation)
    pixel_sizes = {panel.get_pixel_size() for panel in detector}
    if len(pixel_sizes) == 1:
        fast_mm, slow_mm = pixel_sizes.pop()
        nexus.quantity(group, "x_pixel_size", fast_mm * 1e-3, "m")
        nexus.quantity(group, "y_pixel_size", slow_mm * 1e-3, "m")
    if len(detector) == 1:
        _write_beam_centre(group, detector[0])

    # The chain of every panel begins with the distance along the beam, on which programs that refine it rely.
    z = float(np.mean([_centre(panel)[2] for panel in detector]))
    transformations = nexus.group(group, "transformations", "NXtransformations")
    base = nexus.axis(transformations, "detector_z", "translation", -z, (0, 0, 1), ".")
    nexus.field(group, "depends_on", base)
    nexus.quantity(group, "distance", abs(z) * 1e-3, "m")
    base_frame = np.identity(4)
    base_frame[2, 3] = -z

    def descend(node: DetectorNode, parent: str, parent_frame: np.ndarray) -> None:
        for child in node:
            if child.is_panel():
                write_panel(child, parent, parent_frame)
                continue
            frame = _frame(child)
            relative = np.linalg.inv(parent_frame) @ frame
            angle, axis = _length_and_direction(Rotation.from_matrix(relative[:3, :3]).as_rotvec())
            name = f"group_{len(transformations):05d}"
            path = nexus.axis(transformations, name, "rotation", math.degrees(angle), axis, parent, relative[:3, 3])
            descend(child, path, frame)

    def write_panel(panel: Panel, parent: str, parent_frame: np.ndarray) -> None:
        # Readers take the modules in alphabetical order, hence the zeros.
        module = nexus.group(group, f"module_{panel.index():05d}", "NXdetector_module")
        fast_size, slow_size = panel.get_image_size()
        nexus.field(module, "data_origin", np.array([rows[panel.index()], 0], np.int64))
        nexus.field(module, "data_size", np.array([slow_size, fast_size], np.int64))
        to_parent = np.linalg.inv(parent_frame)
        origin = to_parent @ np.append(nexus.IMGCIF_TO_MCSTAS @ np.array(panel.get_origin()), 1.0)
        length, direction = _length_and_direction(origin[:3])
        offset = nexus.axis(module, "module_offset", "translation", length, direction, parent)
        for name, size, vector in (
            ("fast_pixel_direction", panel.get_pixel_size()[0], panel.get_fast_axis()),
            ("slow_pixel_direction", panel.get_pixel_size()[1], panel.get_slow_axis()),
        ):
            direction = to_parent[:3, :3] @ nexus.IMGCIF_TO_MCSTAS @ np.array(vector)
            nexus.axis(module, name, "translation", size, direction, offset)

    descend(detector.hierarchy(), base, base_frame)


def _length_and_direction(vector: np.ndarray) -> tuple[float, np.ndarray]:
    length = float(np.linalg.norm(vector))
    return (length, vector / length) if length > 0 else (0.0, np.array([0.0, 0.0, 1.0]))


def _frame(node: DetectorNode) -> np.ndarray:
    """Returns the (4, 4) matrix from a group's own coordinates to the laboratory's (McStas, mm)."""
    fast, slow = np.array(node.get_fast_axis()), np.array(node.get_slow_axis())
    matrix = np.identity(4)
    rotation = np.column_stack((fast, slow, np.cross(fast, slow)))
    matrix[:3, :3] = nexus.IMGCIF_TO_MCSTAS @ rotation @ nexus.IMGCIF_TO_MCSTAS
    matrix[:3, 3] = nexus.IMGCIF_TO_MCSTAS @ np.array(node.get_origin())
    return matrix


def _centre(panel: Panel) -> tuple[float, float, float]:
    fast_mm, slow_mm = panel.get_image_size_mm()
    return panel.get_lab_coord((fast_mm / 2, slow_mm / 2))


def _write_beam_centre(group: h5py.Group, panel: Panel) -> None:
    try:
        x_mm, y_mm = panel.get_ray_intersection((0.0, 0.0, -1.0))
    except RuntimeError:  # the beam does not meet the panel's plane
        return
    fast_mm, slow_mm = panel.get_pixel_size()
    nexus.quantity(group, "beam_center_x", x_mm / fast_mm, "pixel")
    nexus.quantity(group, "beam_center_y", y_mm / slow_mm, "pixel")


def _count_limits(detector: Detector) -> tuple[int, int | None]:
    """Returns the lowest valid and the first saturated value of all panels; (0, None) if a panel has no range."""
    ranges = np.array([panel.get_trusted_range() for panel in detector])
    if np.any(ranges[:, 0] >= ranges[:, 1]):
        return 0, None
    limits = np.iinfo(np.int32)
    low, high = np.clip((ranges[:, 0].max(), ranges[:, 1].min()), limits.min, limits.max)
    if low >= high:
        raise Sorry("detector: NXmx has one trusted range for all panels, but theirs exclude each other.")
    return lowest_valid(low), math.floor(high)


def _sensor(detector: Detector, wavelength: float) -> tuple[str, float]:
    """Returns the material and thickness (mm) from which dxtbx makes the parallax correction that the detector has.

    dxtbx looks the attenuation coefficient up again, and for few materials; a sensor that it cannot know (a
    phosphor, say) is replaced by the layer of a known one with the same mean depth at normal incidence.
    """
    sensors = {_panel_sensor(panel, wavelength) for panel in detector}
    if len(sensors) > 1:
        raise Sorry("detector: NXmx has one sensor material and thickness for all panels, but they differ.")
    return sensors.pop()


def _panel_sensor(panel: Panel, wavelength: float) -> tuple[str, float]:
    material = SENSOR_MATERIALS.get(panel.get_material(), "Si")
    strategy = panel.get_px_mm_strategy()
    if not isinstance(strategy, ParallaxCorrectedPxMmStrategy):
        return material, NO_THICKNESS_MM
    depth = _mean_depth(strategy.mu(), strategy.t0())
    mu = attenuation_coefficient.get_table(material).mu_at_angstrom(wavelength) / 10
    if panel.get_material() in SENSOR_MATERIALS and math.isclose(mu, strategy.mu(), rel_tol=1e-3):
        return material, strategy.t0()
    if depth >= 0.999 / mu:
        raise Sorry(
            f"detector: no layer of {material} has the parallax of the panel's sensor "
            f"({strategy.t0():g} mm with an attenuation coefficient of {strategy.mu():g}/mm)."
        )
    thin, thick = 0.0, 20 / mu
    for _ in range(60):
        middle = (thin + thick) / 2
        thin, thick = (middle, thick) if _mean_depth(mu, middle) < depth else (thin, middle)
    return material, round(thick, 9)


def _mean_depth(mu: float, thickness_mm: float) -> float:
    """Returns the depth (mm) at normal incidence that dxtbx's parallax correction uses."""
    return 1 / mu - (thickness_mm + 1 / mu) * math.exp(-mu * thickness_mm)


def write_mask(group: h5py.Group, detector: Detector, masks: Sequence[np.ndarray] | None, masked: int) -> None:
    """Adds the mask of invalid pixels, if there are any, to the NXdetector `group`.

    Args:
        masked: the value that these pixels have in the images.
    """
    if masks is not None:
        masks = _as_masks(masks, [panel.get_image_size()[::-1] for panel in detector])
    sensitive = [flumpy.to_numpy(panel.get_untrusted_rectangle_mask()) for panel in detector]
    good = [g & m for g, m in zip(sensitive, masks)] if masks is not None else sensitive
    if all(g.all() for g in good):
        return
    if len({g.shape[1] for g in good}) > 1:
        # dxtbx 3.11 can read a mask only where every panel is as wide as the stored array.
        underload, saturation = _count_limits(detector)
        if saturation is None or underload <= masked <= saturation:
            raise Sorry(
                f"masks: where panels differ in width, masked pixels are known by their value {masked} alone, which "
                "the detector's trusted range must exclude."
            )
        return
    sensors, unmasked = np.concatenate(sensitive), np.concatenate(good)
    mask = (np.where(sensors, 0, MASK_GAP) | np.where(unmasked | ~sensors, 0, MASK_USER)).astype(np.uint32)
    nexus.field(group, "pixel_mask_applied", True)
    group.create_dataset("pixel_mask", data=mask, track_times=False, **nexus.compression())


def _as_masks(masks: Sequence[np.ndarray], shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Returns the masks as arrays, which must be bool and of these shapes (slow, fast); ValueError otherwise."""
    masks = [np.asarray(mask) for mask in masks]
    if len(masks) != len(shapes):
        raise ValueError(f"masks: expected one for each of {len(shapes)} panels, got {len(masks)}.")
    for i, (mask, shape) in enumerate(zip(masks, shapes)):
        if mask.shape != tuple(shape) or mask.dtype != bool:
            raise ValueError(f"masks[{i}]: expected bool {tuple(shape)}, got {mask.dtype} {mask.shape}.")
    return masks
