"""Calculates the sizes of spots from the models alone, and checks whether they are sampled finely enough."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from cctbx import factor_ev_angstrom
from dxtbx.model import Detector

from nanobragg_kokkos.imaging.prediction import Imperfection
from nanobragg_kokkos.models.beam.pulses import Pulse

# Full width at half maximum of a Gaussian, in standard deviations.
FWHM = 2 * math.sqrt(2 * math.log(2))


@dataclass(frozen=True)
class SpotSize:
    """Full widths at half maximum at some resolution, in pixels.

    Attributes:
        d: resolution, angstrom.
        one_domain: width of the spot of one domain at one wavelength, across the radius.
        across, along: widths of the whole spot, across and along the radius.
    """

    d: float
    one_domain: float
    across: float
    along: float


def spot_size(imperfection: Imperfection, pulse: Pulse, detector: Detector, d: float) -> SpotSize:
    """Returns the size of spots at a resolution (angstrom), on a flat detector that the beam hits at a right angle.

    Size of the domains: λ · (width of a reflection) as an angle. Mosaicity turns a reflection by δ, across the radius
    by 2 sin θ · δ, along it by 2 δ as far as the spectrum has the wavelengths for it, δ < tan θ · Δλ/λ.

    Raises:
        ValueError: the wavelength does not reach this resolution, or not on a detector that is hit from the front.
    """
    lengths = factor_ev_angstrom / pulse.energies_eV
    wavelength = float(pulse.shares @ lengths)
    sine = wavelength / (2 * d)
    if not sine < math.sin(math.radians(44.5)):
        raise ValueError(f"d={d:g}: expected a resolution that a detector in front of the sample can see")
    theta = math.asin(sine)
    band = math.sqrt(max(0.0, float(pulse.shares @ (lengths - wavelength) ** 2)))
    spectral = math.tan(theta) * band / wavelength
    tilt = imperfection.tilt
    shared = tilt * spectral / math.hypot(tilt, spectral) if tilt and spectral else 0.0
    to_source = np.array(pulse.beam.get_sample_to_source_direction())
    origins = [panel.get_origin() for panel in detector]
    pixels = float(np.median(np.abs(origins @ to_source)) / min(detector[0].get_pixel_size()))
    distance = pixels / math.cos(2 * theta)
    one = wavelength * imperfection.width
    return SpotSize(
        d=d,
        one_domain=one * distance,
        across=math.hypot(one, FWHM * 2 * sine * tilt) * distance,
        along=math.hypot(one, FWHM * 2 * shared) * distance / math.cos(2 * theta),
    )


def ripple(fwhm: float, step: float) -> float:
    """Returns the relative variation of the sum of a Gaussian's samples with its position: 2 exp(-2 π² (σ/step)²).

    It is the first term of Poisson's summation formula; at most 1 is returned.
    """
    return min(1.0, 2 * math.exp(-2 * (math.pi * fwhm / FWHM / step) ** 2))


def wavelength_spread(imperfection: Imperfection, wavelength: float, d: float) -> float:
    """Returns the standard deviation (angstrom) of the wavelengths that a reflection of resolution d diffracts."""
    sine = min(1.0, wavelength / (2 * d))
    theta = math.asin(sine)
    mosaic = wavelength / math.tan(theta) * imperfection.tilt
    return math.hypot(mosaic, wavelength**2 / (2 * sine**2) * imperfection.deviation)
