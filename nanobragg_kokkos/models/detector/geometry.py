"""Reads detectors from any file that dxtbx reads, moves them, and locates their pixels."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dxtbx.model import Beam, Detector, Panel
from libtbx.utils import Sorry

from nanobragg_kokkos.models.beam.stored_polarization import with_stored_polarization
from nanobragg_kokkos.models.beam_along_z import frame_rotation, rotated_beam, rotated_detector
from nanobragg_kokkos.models.detector.masks import add_masks, masks_of
from nanobragg_kokkos.models.detector.trusted_range import lower_end
from nanobragg_kokkos.util.model_files import MODEL_ENDS, read_models
from nanobragg_kokkos.util.reading import reading

# 8 GiB of expected photons; more than any detector has.
MOST_PIXELS = 2**30

# From the sample, along any axis; farther than any detector, and nothing overflows.
MOST_MM = 1e6


@dataclass(frozen=True, eq=False)
class Reference:
    """A detector and the beam that it was exposed to, dxtbx models; the beam comes from +z."""

    detector: Detector
    beam: Beam


def from_file(path: str) -> Detector:
    """Returns the first detector in a dxtbx model file (.expt, .json) or in an image: see read_reference."""
    return read_reference(path).detector


def read_reference(path: str) -> Reference:
    """Returns the first detector in a dxtbx model file (.expt, .json) or in an image, with its beam.

    If the beam does not come from +z, both are turned about the sample, the beam's polarization with it. A lower end
    of the trusted range that is 0 or less is made to include a count of 0, which is nothing unusual here. What the
    file's mask excludes is added to the untrusted rectangles.

    Raises:
        Sorry: the file is not there, cannot be read, or holds no detector with a beam, or one that cannot be.
    """
    name = f"detector.reference={path}"
    with reading(name, "a dxtbx model file (.expt) or an image that dxtbx reads", path):
        found = read_models(path)
    complete = [k for k, experiment in enumerate(found.experiments) if experiment.detector and experiment.beam]
    if not complete:
        raise Sorry(f"{name}: expected a file with a model of a detector and of its beam")
    first = found.experiments[complete[0]]
    detector, beam = first.detector, first.beam
    if not path.endswith(MODEL_ENDS):
        with reading(name, "an image with the polarization of its beam"):
            beam = with_stored_polarization(beam, path)
    fault = _fault(detector, beam)
    if fault:
        raise Sorry(f"{name}: {fault}")
    rotation = frame_rotation(beam)
    detector, beam = rotated_detector(detector, rotation), rotated_beam(beam, rotation)
    add_masks(detector, masks_of(first.imageset, found.masks[complete[0]], name), name)
    for panel in detector:
        low, high = panel.get_trusted_range()
        # dxtbx 3.12 takes the lower end as excluded, and detectors with (0, …) count 0 often.
        low = low if 0 < low < high else lower_end(0)
        panel.set_trusted_range((low, high if high > max(low, 0.0) else float(np.iinfo(np.int32).max - 1)))
    return Reference(detector, beam)


def _fault(detector: Detector, beam: Beam) -> str | None:
    """Returns the fault of a detector from a file in words; None: it is valid."""
    for panel in detector:
        name = f"panel {panel.index()}"
        size = panel.get_image_size()
        if min(size) < 1:
            return f"{name}: expected a pixel or more along each side (image_size), not {size}"
        pixel = panel.get_pixel_size()
        if not all(1e-6 <= side <= 1e3 for side in pixel):
            return f"{name}: expected pixels of 1e-6 to 1e3 mm (pixel_size), not {pixel}"
        if not 0 <= panel.get_thickness() <= 1e3:
            return f"{name}: expected 0 to 1e3 mm for its thickness, not {panel.get_thickness()}"
        if not math.isfinite(panel.get_mu()):
            return f"{name}: expected a finite attenuation coefficient (mu), not {panel.get_mu()}"
        if not np.isfinite(panel.get_origin()).all():
            return f"{name}: expected three finite numbers for its origin, not {panel.get_origin()}"
        if np.abs(panel.get_origin()).max() > MOST_MM:
            return f"{name}: expected an origin within {MOST_MM:g} mm of the sample, not {panel.get_origin()}"
        for fast0, slow0, fast1, slow1 in panel.get_mask():
            if not (0 <= fast0 <= fast1 <= size[0] and 0 <= slow0 <= slow1 <= size[1]):
                return (
                    f"{name}: expected untrusted rectangles (mask) within its {size[0]} x {size[1]} pixels, the first "
                    f"pixel first, not {(fast0, slow0, fast1, slow1)}"
                )
        axes = np.array((panel.get_fast_axis(), panel.get_slow_axis()))
        if not np.abs(axes @ axes.T - np.eye(2)).max() < 1e-6:
            return f"{name}: expected perpendicular axes of length 1 (fast_axis, slow_axis), not {axes.tolist()}"
        if abs(np.dot(np.cross(*axes), panel.get_origin())) < 1e-9:
            return f"{name}: expected a plane that does not go through the sample (origin)"
    n_pixels = sum(fast * slow for fast, slow in (panel.get_image_size() for panel in detector))
    if n_pixels > MOST_PIXELS:
        return f"expected at most {MOST_PIXELS} pixels, but it has {n_pixels}"
    if not np.isfinite(beam.get_sample_to_source_direction()).all():
        return "expected a finite direction of the beam"
    fraction, normal = beam.get_polarization_fraction(), np.array(beam.get_polarization_normal())
    if not 0 <= fraction <= 1:
        return f"expected 0 to 1 for the beam's polarization_fraction, not {fraction}"
    if not np.linalg.norm(np.cross(normal, beam.get_sample_to_source_direction())) > 1e-3:
        return f"expected the beam's polarization_normal to be across its direction, not {tuple(normal)}"
    return None


def farther(detector: Detector, offset_mm: float) -> Detector:
    """Returns the detector moved by offset_mm downstream, along the beam.

    Raises:
        Sorry: no part of it would be downstream of the sample.
    """
    detector = copy.deepcopy(detector)
    _move(detector, np.array((0.0, 0.0, -offset_mm)))
    corners = [
        panel.get_pixel_lab_coord((f, s))[2]
        for panel in detector
        for f in (0, panel.get_image_size()[0])
        for s in (0, panel.get_image_size()[1])
    ]
    if min(corners) >= 0:
        if offset_mm == 0:
            raise Sorry("detector.reference: expected a detector downstream of the sample, but all of it is upstream")
        raise Sorry(f"detector.offset_mm={offset_mm:g}: expected one that leaves the detector downstream of the sample")
    return detector


def shifted(detector: Detector, shift_mm: Sequence[float]) -> Detector:
    """Returns the detector moved such that the beam, from +z, meets it farther along fast and slow by this (mm).

    With several panels, fast is to the right (+x) and slow is down (-y); one panel moves in its plane.
    """
    detector = copy.deepcopy(detector)
    axes = (detector[0].get_fast_axis(), detector[0].get_slow_axis()) if len(detector) == 1 else ((1, 0, 0), (0, -1, 0))
    _move(detector, -np.asarray(shift_mm, float) @ np.array(axes, float))
    return detector


def _move(detector: Detector, vector: np.ndarray) -> None:
    """Moves the detector as a whole, in the laboratory's frame (mm)."""
    root = detector.hierarchy()
    origin = np.array(root.get_local_origin()) + vector
    root.set_local_frame(root.get_local_fast_axis(), root.get_local_slow_axis(), tuple(origin))


def pixel_frame(panel: Panel) -> np.ndarray:
    """Returns the matrix (3, 3) that converts (fast, slow, 1), pixels, to a position in the laboratory, mm."""
    return np.array(panel.get_d_matrix()).reshape(3, 3) * (*panel.get_pixel_size(), 1.0)


def resolution_along(rays: np.ndarray, beam: Beam) -> np.ndarray:
    """Returns d = lambda / |s1 - s0| (angstrom), s1 and s0 unit vectors along the rays (…, 3) and the beam."""
    unit = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
    distance = np.linalg.norm(unit + np.array(beam.get_sample_to_source_direction()), axis=-1)
    return beam.get_wavelength() / np.maximum(distance, 1e-6)
