"""Warnings for the user of a run's images: failures, overloads, coarse sampling."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from cctbx import factor_ev_angstrom
from dxtbx.model import Detector

from nanobragg_kokkos.imaging.prediction import Imperfection
from nanobragg_kokkos.imaging.spot_size import FWHM, SpotSize, ripple, wavelength_spread
from nanobragg_kokkos.models.beam.pulses import Pulse
from nanobragg_kokkos.report.statistics import Statistics
from nanobragg_kokkos.util.progress import counted

# Largest share of a spot's photons that may depend on the spot's position between the samples.
MOST_RIPPLE = 0.1

# Most failed images to name, the first ones.
MOST_NAMED = 10

# Spots alone cover a smaller share of the pixels.
MOST_OVERLOADED = 0.01


def of_failures(missing: Sequence[int], n_images: int) -> list[str]:
    """Returns a warning that names the missing images, counted from 0; empty if none is missing."""
    if not missing:
        return []
    names = ", ".join(str(image + 1) for image in missing[:MOST_NAMED]) + (", …" if len(missing) > MOST_NAMED else "")
    return [
        f"Failures: {len(missing)} of {counted(n_images, 'image')} could not be made and contain no measurement: "
        f"{names}. The same nanobragg_kokkos.simulate command tries them again."
    ]


def of_images(looked_at: Sequence[Statistics]) -> list[str]:
    """Returns a warning about overloads; empty if there are none."""
    overloaded = [s for s in looked_at if s.overloaded]
    if not overloaded:
        return []
    pixels = counted(sum(s.overloaded for s in overloaded), "pixel")
    spots = sum(int(s.measured.overloaded.sum()) for s in overloaded)
    said = (
        f"Overloads: {pixels} in {len(overloaded)} of {counted(len(looked_at), 'examined image')} exceed the trusted "
        f"range, which makes {counted(spots, 'predicted spot')} too weak. "
    )
    if max(s.overloaded / s.histogram.sum() for s in overloaded) > MOST_OVERLOADED:
        return [said + "These are too many for spots alone. Reduce beam.total_flux or the background to avoid them."]
    return [said + "Reduce beam.total_flux or crystal.length_um to avoid them."]


def of_models(
    imperfection: Imperfection, pulse: Pulse, detector: Detector, sizes: Sequence[SpotSize], oversample: int
) -> list[str]:
    """Returns warnings about spots that are sampled too coarsely, or longer than the gaps between panels."""
    found = []
    finest = min(sizes, key=lambda size: size.one_domain)
    error = ripple(finest.one_domain, 1 / oversample)
    if error > MOST_RIPPLE:
        enough = next(n for n in range(oversample, 10000) if ripple(finest.one_domain, 1 / n) <= MOST_RIPPLE)
        found.append(
            f"Too few sub-pixels: the spot of a mosaic domain is {finest.one_domain:.2g} pixels wide at half maximum, "
            f"and with oversample={oversample} its brightness varies by up to {100 * error:.0f} % with its position. "
            f"oversample={enough} is enough."
        )
    if len(pulse.energies_eV) > 1:
        lengths = np.sort(factor_ev_angstrom / pulse.energies_eV)
        step, best = float(np.diff(lengths).max()), min(size.d for size in sizes)
        spread = wavelength_spread(imperfection, float(pulse.shares @ (factor_ev_angstrom / pulse.energies_eV)), best)
        error = ripple(spread * FWHM, step)
        if error > MOST_RIPPLE:
            found.append(
                f"Too few energies: at {best:.2g} Å a reflection shines over {spread * FWHM:.2g} Å of wavelengths, and "
                f"the spectrum has one every {step:.2g} Å: the photons of a spot vary by up to {100 * error:.0f} % "
                "with its wavelength. Reduce spectrum.channel_width or increase the mosaicity to avoid this."
            )
    gap, longest = narrowest_gap(detector), max(max(size.across, size.along) for size in sizes)
    if gap < longest:
        found.append(
            f"Spots are up to {longest:.2g} pixels long at half maximum, longer than the narrowest gap between panels, "
            f"{gap:.2g} pixels: a spot can lie on two panels."
        )
    return found


def narrowest_gap(detector: Detector) -> float:
    """Returns the narrowest gap between two panels that face each other, in pixels; infinite if there is none."""
    corners = np.array(
        [
            [
                panel.get_pixel_lab_coord((f, s))
                for f in (0, panel.get_image_size()[0])
                for s in (0, panel.get_image_size()[1])
            ]
            for panel in detector
        ]
    )[..., :2]
    low, high = corners.min(axis=1), corners.max(axis=1)
    pixel = min(min(panel.get_pixel_size()) for panel in detector)
    # Positive where two panels are apart along x or y.
    apart = np.maximum(low[:, None] - high[None], low[None] - high[:, None]) / pixel
    facing = apart.min(axis=2) < 0
    gaps = apart.max(axis=2)[facing & (apart.max(axis=2) > 0.1)]
    return float(gaps.min()) if gaps.size else math.inf
