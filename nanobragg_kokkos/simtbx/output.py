"""Writes images as files of 16-bit integers."""

from __future__ import annotations

import numpy as np

from nanobragg_kokkos.simtbx.arithmetic import DEGREE
from nanobragg_kokkos.simtbx.state import State

HEADER_BYTES = 1024
LARGEST = 65534.0
BRIGHTEST = 55000.0  # value of the brightest pixel if no scale is given


def scale_of(pixels: np.ndarray, scale: float) -> float:
    """Returns the given scale, or if it is 0 or less, the scale that makes the brightest pixel 55000."""
    if scale > 0.0:
        return scale
    brightest = pixels.max(initial=0.0)
    return BRIGHTEST / brightest if brightest > 0.0 else 1.0


def integers(pixels: np.ndarray, scale: float) -> bytes:
    """Returns little-endian 16-bit integers: scaled pixels without their fractions, from 0 to 65534."""
    return np.clip(pixels * scale_of(pixels, scale), 0.0, LARGEST).astype("<u2").tobytes()


def smv(s: State, pixels: np.ndarray, scale: float) -> bytes:
    """Returns an image in SMV format."""
    mm = 1000.0
    half = 0.5 * s.pixel_size
    fields = [
        ("HEADER_BYTES", HEADER_BYTES), ("DIM", 2), ("BYTE_ORDER", "little_endian"), ("TYPE", "unsigned_short"),
        ("SIZE1", s.fast_pixels), ("SIZE2", s.slow_pixels),
        ("PIXEL_SIZE", s.pixel_size * mm), ("DISTANCE", s.distance * mm), ("WAVELENGTH", s.wavelength * 1e10),
        ("BEAM_CENTER_X", s.beam_X * mm), ("BEAM_CENTER_Y", s.beam_Y * mm),
        ("ADXV_CENTER_X", s.beam_fast * mm), ("ADXV_CENTER_Y", (s.slow_size - s.beam_slow) * mm),
        ("MOSFLM_CENTER_X", (s.beam_slow - half) * mm), ("MOSFLM_CENTER_Y", (s.beam_fast - half) * mm),
        ("DENZO_X_BEAM", s.beam_slow * mm), ("DENZO_Y_BEAM", s.beam_fast * mm),
        ("DIALS_ORIGIN", ",".join(f"{x:g}" for x in s.dials_origin)),
        ("XDS_ORGX", s.xds_X), ("XDS_ORGY", s.xds_Y), ("CLOSE_DISTANCE", s.close_distance * mm),
        ("PHI", s.phi * DEGREE), ("OSC_START", s.phi * DEGREE), ("OSC_RANGE", s.oscillation * DEGREE),
        ("TIME", s.exposure), ("TWOTHETA", s.twotheta * DEGREE), ("DETECTOR_SN", "000"),
        ("ADC_OFFSET", s.adc_offset), ("BEAMLINE", "fake"),
    ]  # fmt: skip
    lines = (f"{name}={value:g};\n" if isinstance(value, float) else f"{name}={value};\n" for name, value in fields)
    header = ("{\n" + "".join(lines) + "}\f").encode()
    return header.ljust(HEADER_BYTES) + integers(pixels, scale)
