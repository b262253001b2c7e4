"""The sampling of phi, divergence, dispersion, sensor and mosaic spread, and the number of sub-pixels.

A range, its number of steps and the step determine each other; simtbx completes them if a script gives only some. A
negative number, and often 0, means that a number is not given.
"""

from __future__ import annotations

import math

from nanobragg_kokkos.simtbx.arithmetic import DEGREE, divided, triple
from nanobragg_kokkos.simtbx.state import State


def _sampled(
    count: int, span: float, step: float, *, default_span: float, layers: bool = False
) -> tuple[int, float, float]:
    """Returns number of steps, range and step.

    Args:
        default_span: the range if only the number of steps is given.
        layers: whether the steps are layers of the sensor, which simtbx divides differently if only its thickness is
            given.
    """
    chosen = step > 0.0
    if span < 0.0:
        if chosen:
            count, span = 2, step
        elif count > 0:
            span, step = default_span, default_span / count
        else:
            count, span, step = 1, 0.0, 0.0
    elif count > 0:
        if not chosen:
            count = max(count, 2)
            step = span / (count - 1)
    elif chosen:
        count = math.ceil(span / step)
    else:
        count, step = 2, span / 2 if layers else span
    if span <= 0.0 or step <= 0.0 or count <= 0:
        return 1, 0.0, 0.0
    return count, span, step


def _rotation(count: int, span: float, step: float) -> tuple[int, float, float]:
    """Returns steps, range and step of phi, whose last step ends at the end of the range and does not start there."""
    if count < 0:
        if span < 0.0:
            return (2, step, step) if step > 0.0 else (1, 0.0, 0.0)
        return (math.ceil(span / step), span, step) if step > 0.0 else (2, span, span / 2.0)
    count = count or 1
    if span < 0.0:
        return (2, step, step) if step > 0.0 else (count, 1.0 / DEGREE, 1.0 / DEGREE / count)
    return (count, span, span / count) if step < 0.0 else (count, span, step)


def choose_steps(s: State) -> None:
    """Completes ranges, numbers of steps and steps."""
    s.phi_steps, s.oscillation, s.phi_step = _rotation(s.phi_steps, s.oscillation, s.phi_step)
    s.h_divergence_steps, s.h_divergence, s.h_divergence_step = _sampled(
        s.h_divergence_steps, s.h_divergence, s.h_divergence_step, default_span=1.0
    )
    s.v_divergence_steps, s.v_divergence, s.v_divergence_step = _sampled(
        s.v_divergence_steps, s.v_divergence, s.v_divergence_step, default_span=1.0
    )
    s.dispersion_steps, s.dispersion, s.dispersion_step = _sampled(
        s.dispersion_steps, s.dispersion, s.dispersion_step, default_span=1.0
    )
    s.thickness_steps, s.thickness, s.thickness_step = _sampled(
        s.thickness_steps, s.thickness, s.thickness_step, default_span=0.5e-6, layers=True
    )
    if s.mosaic_spread < 0.0:
        s.mosaic_spread, s.mosaic_domains = 0.0, 1
    elif s.mosaic_spread == 0.0:
        s.mosaic_domains = 1
    elif s.mosaic_domains <= 0:
        s.mosaic_domains = 10


def choose_interpolation(s: State) -> None:
    """Chooses interpolated structure factors for small crystals with wide reflections, unless a script has chosen."""
    if s.interpolate > 1:
        s.interpolate = int(min(s.cells) <= 2)


def choose_oversample(s: State) -> None:
    """Makes size and number of cells of the crystal agree, and chooses the number of sub-pixels."""
    s.cells = triple(
        max(divided(size, axis) if size > 0 else n, 1.0)
        for size, axis, n in zip(s.crystal_size, s.real_lengths, s.cells)
    )
    s.crystal_size = triple(axis * n for axis, n in zip(s.real_lengths, s.cells))
    finest = divided(s.wavelength * s.distance, s.pixel_size)  # size of a crystal whose spots are as wide as a pixel
    needed = divided(3.0 * max(s.crystal_size), finest)
    s.recommended_oversample = max(math.ceil(needed), 1) if math.isfinite(needed) else 1
    if not s.user_oversample:
        s.oversample = s.recommended_oversample


def phi_angles(s: State) -> list[float]:
    """Returns the angles of the rotation, radians."""
    return [s.phi + s.phi_step * k for k in range(s.phi_steps)]
