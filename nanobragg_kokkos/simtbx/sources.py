"""The beam: its fluence, and its sources, from divergence and dispersion or from a script."""

from __future__ import annotations

import math

from dxtbx.model import Beam
from dxtbx_model_ext import flex_Beam

from nanobragg_kokkos.simtbx.arithmetic import Vector, combined, cross, divided, length, scaled, turned_about, unit
from nanobragg_kokkos.simtbx.state import ZERO, State

# Wavelengths in angstrom are far above this, and those in metres far below.
LONGEST_IN_METRES = 1e-6


def balance_fluence(s: State) -> None:
    """Calculates fluence from flux, exposure and beam size, or flux from fluence; cuts samples to the beam size."""
    if s.flux != 0.0 and s.exposure > 0.0 and s.beam_size >= 0.0:
        s.fluence = divided(divided(s.flux * s.exposure, s.beam_size), s.beam_size)
    if s.beam_size >= 0.0:
        s.crystal_size, s.sample_size = (
            (size[0], min(size[1], s.beam_size), min(size[2], s.beam_size)) for size in (s.crystal_size, s.sample_size)
        )
    if s.exposure > 0.0:
        s.flux = s.fluence / s.exposure * s.beam_size * s.beam_size


def make_sources(s: State) -> None:
    """Sets the sources in effect: those of a script, else those from divergence and dispersion."""
    given = s.given_XYZ or s.given_intensities or s.given_wavelengths
    if s.given_beams is not None and len(s.given_beams):
        _take_beams(s)
    if given:
        _take_lists(s)
    elif s.given_beams is None or not len(s.given_beams):
        _generate(s)


def beams(s: State):
    """Returns the sources as dxtbx beams: flux is a source's intensity, the polarization normal the magnetic field."""
    magnetic = magnetic_vector(s)
    result = flex_Beam()
    for xyz, intensity, wavelength in zip(s.source_XYZ, s.source_intensities, s.source_wavelengths):
        beam = Beam(xyz, wavelength * 1e10)
        beam.set_flux(intensity)
        beam.set_polarization_fraction(s.polarization)
        beam.set_polarization_normal(magnetic)
        result.append(beam)
    return result


def magnetic_vector(s: State) -> Vector:
    """Returns the direction of the beam's magnetic field."""
    return unit(cross(s.beam_vector, s.polar_vector))


def show(s: State) -> list[str]:
    """Returns a line for each source: number, position (m), intensity, wavelength (m)."""
    rows = zip(s.source_XYZ, s.source_intensities, s.source_wavelengths)
    return [f"  {len(s.source_XYZ)} sources"] + [
        f"{number} %g %g %g   {intensity:g} {wavelength:.6g}" % xyz
        for number, (xyz, intensity, wavelength) in enumerate(rows)
    ]


def _take_beams(s: State) -> None:
    """Takes sources from dxtbx beams, with wavelengths in metres, as in scripts for simtbx.

    Direction, wavelength, polarization and divergence of the beam become the means over the sources, and its flux the
    sum; beam_vector then points to the sources, as in simtbx.
    """
    beams = s.given_beams
    n = len(beams)
    s.source_XYZ = [beam.get_sample_to_source_direction() for beam in beams]
    fluxes = [beam.get_flux() or 1.0 / n for beam in beams]
    s.source_wavelengths = [beam.get_wavelength() or s.wavelength for beam in beams]
    if sum(s.source_wavelengths) > 0.0:
        s.wavelength = sum(s.source_wavelengths) / n
    s.polarization = sum(beam.get_polarization_fraction() for beam in beams) / n
    s.h_divergence = s.v_divergence = sum(beam.get_divergence() for beam in beams) / n
    s.beam_vector = unit(combined(*((1.0, xyz) for xyz in s.source_XYZ)))
    s.vert_vector = unit(combined(*((1.0, beam.get_polarization_normal()) for beam in beams)))
    s.polar_vector = unit(cross(s.beam_vector, s.vert_vector))
    total = sum(fluxes)
    if total > 0:
        s.flux = total
        balance_fluence(s)
        # The mean weight is 1: n sources together send n times the fluence.
        fluxes = [flux / (total / n) for flux in fluxes]
    s.source_intensities = fluxes


def _take_lists(s: State) -> None:
    """Takes sources from lists of positions, intensities and wavelengths; any list may be missing or too short."""
    n = max(len(s.given_XYZ), len(s.given_intensities), len(s.given_wavelengths))
    positions = list(s.given_XYZ) + [ZERO] * (n - len(s.given_XYZ))
    intensities = list(s.given_intensities) + [0.0] * (n - len(s.given_intensities))
    wavelengths = list(s.given_wavelengths) + [0.0] * (n - len(s.given_wavelengths))
    to_source = scaled(s.beam_vector, -s.source_distance)
    s.source_XYZ = [xyz if length(xyz) else to_source for xyz in positions]
    s.source_intensities = [1.0 / n if math.isnan(i) or i == 0 else i for i in intensities]
    s.source_wavelengths = [s.wavelength if math.isnan(w) or w == 0 else _metres(w) for w in wavelengths]


def _metres(wavelength: float) -> float:
    return wavelength if wavelength < LONGEST_IN_METRES else wavelength / 1e10


def _generate(s: State) -> None:
    """Makes one source for each angle within the divergence and each wavelength within the dispersion."""
    directions = []
    to_source = scaled(s.beam_vector, -s.source_distance)
    for h in _steps(s.h_divergence_steps, s.h_divergence_step, s.h_divergence):
        for v in _steps(s.v_divergence_steps, s.v_divergence_step, s.v_divergence):
            off_centre = _share_of_radius(h, s.h_divergence_steps, s.h_divergence_step, s.h_divergence)
            off_centre += _share_of_radius(v, s.v_divergence_steps, s.v_divergence_step, s.v_divergence)
            if s.round_div and off_centre * 4.0 > 1.1:
                continue
            # "Horizontal" is the direction of the electric field.
            directions.append(turned_about(turned_about(to_source, s.polar_vector, v), s.vert_vector, h))
    wavelengths = [s.wavelength * (1.0 + s.dispersion_step * k - s.dispersion / 2.0) for k in range(s.dispersion_steps)]
    s.source_XYZ = [direction for direction in directions for _ in wavelengths]
    s.source_wavelengths = wavelengths * len(directions)
    n = len(s.source_XYZ)
    s.source_intensities = [1.0 / n] * n


def _steps(count: int, step: float, span: float) -> list[float]:
    return [step * k - span / 2.0 for k in range(count)]


def _share_of_radius(angle: float, count: int, step: float, span: float) -> float:
    """Returns the squared distance of the angle from the centre in divergences; NaN without divergence."""
    even = 1 - count % 2
    return divided(divided(angle * angle - step * step / 4.0 * even, span), span)
