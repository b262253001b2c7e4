"""The position of the detector: beam centres in six conventions, detector vectors, dxtbx panels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scitbx.array_family import flex

from nanobragg_kokkos.simtbx.arithmetic import (
    DEGREE,
    SMALLEST,
    Vector,
    combined,
    cross,
    divided,
    dot,
    length,
    scaled,
    triple,
    turned_about,
    turned_xyz,
    unit,
)
from nanobragg_kokkos.simtbx.enums import convention, pivot
from nanobragg_kokkos.simtbx.state import State


@dataclass(frozen=True)
class Frame:
    """The vectors of a beam centre convention."""

    beam: Vector
    fast: Vector
    slow: Vector
    normal: Vector
    twotheta_axis: Vector
    electric: Vector
    spindle: Vector
    pivot: pivot


X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
MINUS_X, MINUS_Y, MINUS_Z = (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)
ALONG_X = Frame(X, Z, MINUS_Y, X, MINUS_Z, Z, Z, pivot.Beam)
FRAMES = {
    convention.ADXV: Frame(Z, X, MINUS_Y, Z, MINUS_X, X, X, pivot.Beam),
    convention.MOSFLM: ALONG_X,
    convention.DENZO: ALONG_X,
    convention.XDS: Frame(Z, X, Y, Z, X, X, X, pivot.Sample),
    convention.DIALS: Frame(MINUS_Z, X, MINUS_Y, MINUS_Z, X, X, X, pivot.Sample),
}


def size_detector(s: State) -> None:
    """Makes the detector's size and its number of pixels agree; a new number of pixels makes the image dark."""
    if s.fast_pixels:
        s.fast_size = s.pixel_size * s.fast_pixels
    if s.slow_pixels:
        s.slow_size = s.pixel_size * s.slow_pixels
    s.fast_pixels, s.slow_pixels = (math.ceil(divided(size, s.pixel_size) - 0.5) for size in (s.fast_size, s.slow_size))
    if s.fast_pixels * s.slow_pixels != s.pixels_allocated:
        s.raw_pixels = flex.double(flex.grid(s.slow_pixels, s.fast_pixels), 0)
    s.pixels_allocated = s.fast_pixels * s.slow_pixels


def place_beam(s: State) -> None:
    """Completes the beam centre, and sets the vectors of the convention."""
    if not math.isnan(s.xds_X):
        s.close_X = s.xds_X * s.pixel_size
    if not math.isnan(s.xds_Y):
        s.close_Y = s.xds_Y * s.pixel_size
    s.close_X = _known(s.close_X, (s.fast_size - s.pixel_size) / 2.0)
    s.close_Y = _known(s.close_Y, (s.slow_size + s.pixel_size) / 2.0)
    s.beam_X, s.beam_Y = _known(s.beam_X, s.close_X), _known(s.beam_Y, s.close_Y)
    s.beam_fast, s.beam_slow = _known(s.beam_fast, s.close_fast), _known(s.beam_slow, s.close_slow)
    whole = (0, s.fast_pixels, 0, s.slow_pixels)
    s.roi = [given if given >= 0 else default for given, default in zip(s.roi, whole)]

    kind = s.beam_convention
    if not s.user_beam:
        s.beam_X, s.beam_Y = {
            convention.ADXV: ((s.fast_size + s.pixel_size) / 2.0, (s.slow_size - s.pixel_size) / 2.0),
            convention.MOSFLM: ((s.slow_size + s.pixel_size) / 2.0, (s.fast_size + s.pixel_size) / 2.0),
            convention.DENZO: ((s.slow_size + s.pixel_size) / 2.0, (s.fast_size + s.pixel_size) / 2.0),
        }.get(kind, (s.close_X, s.close_Y))
    half = 0.5 * s.pixel_size
    s.beam_fast, s.beam_slow = {
        convention.ADXV: (s.beam_X, s.slow_size - s.beam_Y),
        convention.MOSFLM: (s.beam_Y + half, s.beam_X + half),
        convention.DENZO: (s.beam_Y, s.beam_X),
    }.get(kind, (s.beam_X, s.beam_Y))
    if kind == convention.Custom:
        s.close_fast, s.close_slow = s.beam_X, s.beam_Y
    else:
        frame = FRAMES[kind]
        s.beam_vector, s.fdet_vector, s.sdet_vector, s.odet_vector = frame.beam, frame.fast, frame.slow, frame.normal
        s.twotheta_axis, s.polar_vector, s.spindle_vector = frame.twotheta_axis, frame.electric, frame.spindle
        s.detector_pivot = frame.pivot

    s.beam_vector, s.fdet_vector, s.sdet_vector = unit(s.beam_vector), unit(s.fdet_vector), unit(s.sdet_vector)
    if length(s.odet_vector) != 1.0:
        s.odet_vector = unit(cross(s.fdet_vector, s.sdet_vector))
        if not s.right_handed:
            s.odet_vector = scaled(s.odet_vector, -1.0)
    s.polar_vector, s.spindle_vector = unit(s.polar_vector), unit(s.spindle_vector)
    s.vert_vector = unit(cross(s.beam_vector, s.polar_vector))


def place_detector(s: State) -> None:
    """Calculates the first pixel from beam centre and distance, and from it the beam centres of all conventions."""
    cosine = dot(s.beam_vector, turned_xyz(s.odet_vector, s.detector_rotation))
    if cosine == 0.0:
        cosine = SMALLEST  # the beam does not hit the detector
    if math.isnan(s.close_distance):
        s.close_distance = abs(cosine * s.distance)
    s.distance = s.close_distance / cosine

    if s.detector_pivot == pivot.Sample:
        corner = combined(
            (-s.close_fast, s.fdet_vector), (-s.close_slow, s.sdet_vector), (s.close_distance, s.odet_vector)
        )
        s.pix0_vector = turned_about(turned_xyz(corner, s.detector_rotation), s.twotheta_axis, s.twotheta)
    for name in ("fdet_vector", "sdet_vector", "odet_vector"):
        turned = turned_xyz(getattr(s, name), s.detector_rotation)
        setattr(s, name, turned_about(turned, s.twotheta_axis, s.twotheta))
    if s.detector_pivot == pivot.Beam:
        s.pix0_vector = combined(
            (-s.beam_fast, s.fdet_vector), (-s.beam_slow, s.sdet_vector), (s.distance, s.beam_vector)
        )

    s.close_fast, s.close_slow = -dot(s.pix0_vector, s.fdet_vector), -dot(s.pix0_vector, s.sdet_vector)
    s.close_distance = dot(s.pix0_vector, s.odet_vector)
    s.distance = s.close_distance / cosine
    from_corner = triple(s.distance * beam - corner for beam, corner in zip(s.beam_vector, s.pix0_vector))
    s.beam_fast, s.beam_slow = dot(s.fdet_vector, from_corner), dot(s.sdet_vector, from_corner)
    s.xds_X, s.xds_Y = (divided(close, s.pixel_size) + 0.5 for close in (s.close_fast, s.close_slow))

    # The frame of imgCIF: x along the spindle, z towards the source and perpendicular to x.
    x = unit(s.spindle_vector)
    to_source = scaled(s.beam_vector, -1.0)
    z = unit(triple(source - dot(to_source, x) * axis for source, axis in zip(to_source, x)))
    y = unit(cross(z, x))
    s.dials_origin = triple(1000.0 * dot(s.pix0_vector, axis) for axis in (x, y, z))


def take_panel(s: State, panel, s0: Vector) -> None:
    """Takes the geometry of a dxtbx Panel, for a beam along s0."""
    fast_pixels, slow_pixels = panel.get_image_size()
    if (fast_pixels, slow_pixels) != (s.fast_pixels, s.slow_pixels):
        s.pixel_size = panel.get_pixel_size()[0] / 1000.0
        s.fast_pixels, s.slow_pixels = fast_pixels, slow_pixels
        size_detector(s)
    s.fdet_vector, s.sdet_vector = unit(panel.get_fast_axis()), unit(panel.get_slow_axis())
    s.odet_vector = unit(cross(s.fdet_vector, s.sdet_vector))
    s.pix0_vector = tuple(coordinate / 1000.0 for coordinate in panel.get_origin())
    s.close_fast = s.close_X = -dot(s.pix0_vector, s.fdet_vector)
    s.close_slow = s.close_Y = -dot(s.pix0_vector, s.sdet_vector)
    s.close_distance = s.distance = dot(s.pix0_vector, s.odet_vector)
    if s.close_distance < 0:
        s.odet_vector = scaled(s.odet_vector, -1.0)
        s.close_distance = s.distance = dot(s.pix0_vector, s.odet_vector)
        s.right_handed = False
    s.beam_X, s.beam_Y = (coordinate / 1000.0 for coordinate in panel.get_beam_centre(s0))
    s.user_beam = True
    # Some versions of simtbx read dxtbx's millimetres as metres here.
    s.thickness = panel.get_thickness() / 1000.0
    if panel.get_mu() > 0.0:
        s.attenuation_length = 1.0 / panel.get_mu() / 1000.0
    s.quantum_gain = panel.get_gain()


def show(s: State) -> list[str]:
    """Returns lines of text about the position of the detector."""
    return [
        f"  distance {s.distance:g} m, {s.close_distance:g} m to the detector's plane; "
        f"{s.fast_pixels} x {s.slow_pixels} pixels of {s.pixel_size:g} m, {s.fast_size:g} x {s.slow_size:g} m",
        f"  beam centre ({s.beam_convention}): Xbeam={s.beam_X:g} Ybeam={s.beam_Y:g}",
        f"  Fbeam={s.beam_fast:g} Sbeam={s.beam_slow:g} Fclose={s.close_fast:g} Sclose={s.close_slow:g}",
        "  fast %g %g %g" % s.fdet_vector,
        "  slow %g %g %g" % s.sdet_vector,
        "  normal %g %g %g" % s.odet_vector,
        "  beam %g %g %g" % s.beam_vector,
        "  spindle %g %g %g" % s.spindle_vector,
        "  polarization plane normal %g %g %g" % cross(s.beam_vector, s.polar_vector),
        "  DIALS origin %g %g %g" % s.dials_origin,
        "  detector rotation %g %g %g, two theta %g degrees"
        % (*(a * DEGREE for a in s.detector_rotation), s.twotheta * DEGREE),
        "  region of interest: %d <= fast <= %d, %d <= slow <= %d" % tuple(s.roi),
    ]


def _known(value: float, default: float) -> float:
    return default if math.isnan(value) else value
