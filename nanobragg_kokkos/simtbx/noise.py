"""The detector response in simtbx's steps and distributions, with different random numbers."""

from __future__ import annotations

import math

import numpy as np

from nanobragg_kokkos import DetectorResponse, PointSpread, Readout
from nanobragg_kokkos.simtbx.arithmetic import divided
from nanobragg_kokkos.simtbx.engine import Engine
from nanobragg_kokkos.simtbx.enums import shapetype
from nanobragg_kokkos.simtbx.random_numbers import next_state
from nanobragg_kokkos.simtbx.setup import roi_slices
from nanobragg_kokkos.simtbx.state import State

# Above this mean, a normal distribution replaces Poisson's, which no longer differs from it.
COUNTABLE = 1e9
LARGEST_COUNT = 2**31 - 2
FIBER_WIDTH = 0.652383013252053  # g of a fibre's point spread, in full widths at half maximum
NOISE_TO_LOSE = 0.1  # of a pixel's counting noise, may fall beyond the radius that is chosen
SPREADS = {shapetype.Gauss: "gauss", shapetype.Fiber: "fiber"}
PURPOSES = ("flicker", "many photons", "calibration", "readout")


def add_noise(s: State, engine: Engine, pixels: np.ndarray) -> np.ndarray:
    """Returns the pixels (slow, fast) in ADU; pixels outside the region of interest keep their expected photons.

    The call changes the seed, so the next call draws different numbers.
    """
    roi = roi_slices(s.roi)
    result = pixels.copy()
    expected = result[roi]
    valid = expected >= 0.0
    if s.flicker_noise > 0.0:
        expected = expected * (1.0 + s.flicker_noise * _normal(s.seed, "flicker", pixels.shape)[roi])
    # Pixels below 0 hold no number of photons, and keep their value.
    counts = _poisson(s, engine, expected, pixels.shape, roi)
    result[roi] = np.where(valid, counts, result[roi])
    if s.calibration_noise > 0.0:
        gains = 1.0 + s.calibration_noise * _normal(s.calib_seed, "calibration", pixels.shape)[roi]
        result[roi] = result[roi] * gains
    if s.psf_type != shapetype.Unknown and s.psf_fwhm > 0.0:
        result = apply_psf(s, engine, result, s.psf_type, s.psf_fwhm / s.pixel_size, 0)
    result[roi] = result[roi] * s.quantum_gain + s.adc_offset
    if s.readout_noise > 0.0:
        result[roi] = result[roi] + s.readout_noise * _normal(s.seed, "readout", pixels.shape)[roi]
    s.seed = next_state(abs(s.seed) or 1)
    return result


def apply_psf(s: State, engine: Engine, pixels: np.ndarray, kind: shapetype, fwhm: float, radius: int) -> np.ndarray:
    """Returns the pixels (slow, fast) after a point-spread function, without those below 0.

    Args:
        fwhm: full width at half maximum in pixels; 0 or less: that of the state.
        radius: radius in pixels; 0 or less: that of the state. If both are 0 or less, the radius beyond which less than
            a tenth of the counting noise of the brightest pixel falls.
    """
    if radius <= 0 and s.psf_radius > 0:
        radius = s.psf_radius
    if fwhm <= 0.0:
        fwhm = divided(s.psf_fwhm, s.pixel_size)
    s.psf_fwhm, s.psf_radius = fwhm * s.pixel_size, radius
    brightest = pixels.max(initial=0.0)
    if kind not in SPREADS or fwhm <= 0.0 or (radius <= 0 and brightest <= 0.0):
        return pixels
    if radius <= 0:
        radius = _radius(kind, fwhm, brightest)
    spread = PointSpread(SPREADS[kind], fwhm * s.pixel_size * 1000.0, min(radius, max(pixels.shape)), "beyond_radius")
    return engine.blurred(s, np.maximum(pixels, 0.0), spread)


def _radius(kind: shapetype, fwhm: float, brightest: float) -> int:
    lost = NOISE_TO_LOSE / math.sqrt(brightest)
    if kind == shapetype.Gauss:
        return 1 + math.ceil(math.sqrt(max(-math.log(lost) / math.log(16.0), 0.0)) * fwhm)
    return 1 + math.ceil(FIBER_WIDTH * fwhm / lost)


def _poisson(
    s: State, engine: Engine, expected: np.ndarray, shape: tuple[int, ...], roi: tuple[slice, slice]
) -> np.ndarray:
    """Returns random numbers of photons with these means."""
    means = np.zeros(shape)
    means[roi] = np.clip(expected, 0.0, COUNTABLE)
    plane = engine.plane(s)
    plane.clear()
    plane.add_photons([means])
    counter = Readout(plane, DetectorResponse(), saturation=LARGEST_COUNT)
    counts = counter.start(abs(s.seed), 0).panels()[0][roi].astype(float)
    many = expected > COUNTABLE
    if many.any():
        z = _normal(s.seed, "many photons", shape)[roi][many]
        counts[many] = np.rint(expected[many] + np.sqrt(expected[many]) * z)
    return counts


def _normal(seed: int, purpose: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns standard normal numbers, the same for the same seed and purpose."""
    return np.random.default_rng([abs(seed), PURPOSES.index(purpose)]).standard_normal(shape)
