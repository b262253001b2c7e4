"""Photons of whole reflections against the kinematic theory, by formulas that share nothing with the kernels.

The photons of one reflection, summed over everything that it is smeared by, are in closed form. From a crystal of
volume V in a fluence of I photons/area, with the cell volume v, the scattering angle 2θ and the polarization factor P:

turned through the whole reflection, by an angle w in all, about an axis u (Darwin, Phil. Mag. 27, 315 (1914); Holton &
Frankel, Acta Cryst. D66, 393 (2010)):

    I/w · r_e² · F² · V/v² · λ³ · P / |u · (s0 × s1)|

still, in a beam that has dI/dλ photons/area at each wavelength (Laue's case; of reciprocal space, a solid angle dΩ and
a range of wavelengths dλ span 2 sin²θ/λ⁴ dΩ dλ):

    dI/dλ · r_e² · F² · V/v² · λ⁴/(2 sin²θ) · P

Both hold for domains whose interference function has the integral 1 in each cell of the reciprocal lattice. The shape
gauss has (0.63 π/2)^(3/2) = 0.98444, because the width of its reflections is a convention.
"""

from __future__ import annotations

import numpy as np
import pytest
from cctbx import crystal as cctbx_crystal
from cctbx import factor_ev_angstrom, miller
from cctbx.array_family import flex
from dxtbx.model import Crystal as DxtbxCrystal
from dxtbx.model import DetectorFactory
from helpers.small_models import rotation_matrix, small_beam
from scipy.optimize import brentq

from nanobragg_kokkos import Crystal, Rotation, Simulation, Sources, StructureFactors
from nanobragg_kokkos.models.beam.pulses import pulse_of, tophat_spectrum
from nanobragg_kokkos.models.sample.mosaicity import mosaic_blocks

R_E_MM = 2.8179403262e-12
FLUENCE, VOLUME_MM3, AMPLITUDE = 1e18, 1e-8, 300.0
CELL = (50.0, 60.0, 70.0, 90.0, 90.0, 90.0)
GAUSS = (0.63 * np.pi / 2) ** 1.5


def one_reflection(hkl: tuple[int, int, int]) -> StructureFactors:
    symmetry = cctbx_crystal.symmetry(CELL, "P 1")
    indices = miller.set(symmetry, flex.miller_index([hkl]), anomalous_flag=True)
    return StructureFactors(indices.array(flex.double([AMPLITUDE])))


def crystal(orientation: np.ndarray, **options) -> Crystal:
    real = orientation @ np.diag(CELL[:3])
    model = DxtbxCrystal(*(tuple(axis) for axis in real.T), space_group_symbol="P 1")
    blocks = mosaic_blocks(6, 0.1, np.random.default_rng(5))
    return Crystal(model, (40, 30, 25), shape="gauss", mosaic_blocks=blocks, volume_mm3=VOLUME_MM3, **options)


def photons(sources: Sources, sample: Crystal, hkl: tuple[int, int, int], scattered: np.ndarray) -> float:
    """Of a panel around the spot, which lies in a direction."""
    pixels, pixel_mm, distance_mm = 200, 0.02, 60.0
    x, y = scattered[:2] / -scattered[2] * distance_mm
    beam_centre = (pixels * pixel_mm / 2 - x, pixels * pixel_mm / 2 + y)
    detector = DetectorFactory.simple("PAD", distance_mm, beam_centre, "+x", "-y", (pixel_mm,) * 2, (pixels,) * 2)
    simulation = Simulation(detector, sources, fluence=FLUENCE)
    simulation.add_spots(sample, one_reflection(hkl), "reflection")
    image = simulation.image[0]
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert edge.max() < 1e-9 * image.max()
    return float(image.sum())


def polarization(two_theta: float) -> float:
    """Of an unpolarized beam."""
    return 0.5 * (1 + np.cos(two_theta) ** 2)


@pytest.mark.parametrize("hkl", [(2, 5, 9), (-7, 3, 4)])
def test_rotation_through_a_reflection_follows_darwin(hkl):
    wavelength, axis, width_deg = 1.3, np.array([0.2, 1.0, 0.1]), 8.0
    orientation = rotation_matrix((1, 2, 3), 50)
    q = orientation @ (np.array(hkl) / CELL[:3])
    s0 = np.array([0, 0, -1 / wavelength])

    def excess(angle_deg: float) -> float:
        return np.linalg.norm(s0 + rotation_matrix(axis, angle_deg) @ q) - 1 / wavelength

    angles = np.arange(-180, 180, 0.5)
    signs = np.sign([excess(angle) for angle in angles])
    crossings = [brentq(excess, a, a + 0.5) for a, one, other in zip(angles, signs, signs[1:]) if one != other]
    angle = crossings[0]
    s1 = s0 + rotation_matrix(axis, angle) @ q

    steps = 1000
    rotation = Rotation(axis, angle - 0.5 * width_deg * (1 - 1 / steps), width_deg, steps)
    sources = Sources.from_beam(small_beam(wavelength, fraction=0.5))
    found = photons(sources, crystal(orientation, rotation=rotation), hkl, s1)

    lorentz = 1 / abs(axis / np.linalg.norm(axis) @ np.cross(s0, s1)) / wavelength**2
    two_theta = np.arccos(s0 @ s1 * wavelength**2)
    volumes = VOLUME_MM3 / (np.prod(CELL[:3]) * 1e-21) ** 2 * (wavelength * 1e-7) ** 3
    darwin = FLUENCE / np.radians(width_deg) * R_E_MM**2 * AMPLITUDE**2 * volumes * lorentz * polarization(two_theta)
    assert found == pytest.approx(GAUSS * darwin, rel=1e-4)
    assert found == pytest.approx(darwin, rel=0.02)


@pytest.mark.parametrize("hkl", [(2, 5, 9), (-7, 3, 4)])
def test_polychromatic_still_of_a_reflection_follows_laue(hkl):
    channels, width, band = 700, 2.0, 1400.0
    orientation = rotation_matrix((1, 2, 3), 50)
    q = orientation @ (np.array(hkl) / CELL[:3])
    # Turned so that this wavelength meets it.
    wavelength = 1.3
    sine = np.linalg.norm(q) * wavelength / 2
    turn = rotation_matrix(np.cross(q, (0, 0, 1)), np.degrees(np.arccos(q[2] / np.linalg.norm(q)) - np.arccos(sine)))
    orientation, q = turn @ orientation, turn @ q
    assert q[2] / np.linalg.norm(q) == pytest.approx(sine)

    energy = factor_ev_angstrom / wavelength
    pulse = pulse_of(tophat_spectrum(energy, channels, width, band), 1.0)
    pulse.beam.set_polarization_fraction(0.5)
    found = photons(pulse.sources, crystal(orientation), hkl, q - (0, 0, 1 / wavelength))

    a_wavelength = FLUENCE / band * energy / (wavelength * 1e-7)  # photons/mm² in a mm of wavelength
    volumes = VOLUME_MM3 / (np.prod(CELL[:3]) * 1e-21) ** 2 * (wavelength * 1e-7) ** 4 / (2 * sine**2)
    laue = a_wavelength * R_E_MM**2 * AMPLITUDE**2 * volumes * polarization(2 * np.arcsin(sine))
    assert found == pytest.approx(GAUSS * laue, rel=1e-4)
    assert found == pytest.approx(laue, rel=0.02)
