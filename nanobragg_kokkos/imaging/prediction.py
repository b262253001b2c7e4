"""Predicts the positions and the photons of reflections on a detector from the true models alone.

No image is simulated for it: a reflection **q** shines at the wavelength λ = −2 ŝ₀·**q**/q² in the direction ŝ₀ +
λ**q**, and what it brings is the integral over wavelengths (von Laue's),

    photons = r_e² · λ⁴ · F² · P · η · V / (V_cell² · 2 sin²θ) · dΦ/dλ,

with the symbols of docs/physics.md, the volume V of crystal in the beam, and the spectral density dΦ/dλ
(photons/angstrom² per angstrom) seen by crystals that are not perfect: blurred by mosaicity (λ cot θ times the angle)
and by the size of the domains (λ²/2 sin²θ times the width in reciprocal space). It follows from the formula there by
integrating over directions and wavelengths; a domain of a given shape gives its share of the integral. Left out are
the finite number of domains, divergence, and neighbouring reflections. Simulated spots agree to 3 %
(tests/imaging/test_prediction.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from cctbx import crystal as cctbx_crystal
from cctbx import factor_ev_angstrom, miller
from cctbx.array_family import flex
from dxtbx import flumpy
from dxtbx.model import Beam, Detector, Goniometer, Scan
from dxtbx.model import Crystal as CrystalModel
from scipy.spatial.transform import Rotation

from nanobragg_kokkos.models.beam.pulses import Pulse
from nanobragg_kokkos.models.detector.geometry import pixel_frame

ELECTRON_RADIUS_A = 2.8179403262e-5

# Of the shapes' |L|², in units of 1/edge: full width at half maximum of a cut through the middle, as on the detector.
WIDTHS = {"square": 0.886, "round": 1.156, "gauss": 0.935, "gauss_argchk": 0.935, "tophat": 1.26}
# Standard deviation of its projection onto a line, as the wavelengths see it: of tophat √(0.3969/5); of square and
# round, which have none, that of the Gaussian with the same full width at half maximum.
DEVIATIONS = {"square": 0.376, "round": 0.470, "gauss": 0.397, "gauss_argchk": 0.397, "tophat": 0.282}
# Its integral, in units of that of square.
INTEGRALS = {"square": 1.0, "round": 1.0, "gauss": 0.984, "gauss_argchk": 0.984, "tophat": 1.047}

# Standard deviations beyond which a wavelength is ignored.
REACH = 4.0

# Steps that a rotation is cut into: a step turns a crystal by less than its reflections are wide, if there are enough.
MOST_STEPS = 100


@dataclass(frozen=True)
class Imperfection:
    """The imperfections of a crystal that make reflections wide.

    Args:
        domain_A: edge of a mosaic domain, angstrom.
        mosaic_spread_deg: standard deviation of the angle by which domains are rotated about random axes.
        shape: shape of a domain.
    """

    domain_A: float = 2000.0
    mosaic_spread_deg: float = 0.05
    shape: str = "gauss_argchk"

    @property
    def tilt(self) -> float:
        """Standard deviation of the rotation about one axis, radians."""
        return math.radians(self.mosaic_spread_deg) / math.sqrt(3)

    @property
    def deviation(self) -> float:
        """Standard deviation of a reflection of one domain across the sphere of reflection, 1/angstrom."""
        return DEVIATIONS[self.shape] / self.domain_A

    @property
    def width(self) -> float:
        """Full width at half maximum of a reflection of one domain in reciprocal space, 1/angstrom."""
        return WIDTHS[self.shape] / self.domain_A


@dataclass(frozen=True, eq=False)
class ScanImage:
    """An image of a rotation series.

    Args:
        goniometer, scan: dxtbx models of the series.
        image: number of the image, counted from 0.
    """

    goniometer: Goniometer
    scan: Scan
    image: int


@dataclass(frozen=True, eq=False)
class Spots:
    """Reflections on a detector, the brightest first.

    Attributes, arrays of n:
        panels, fast, slow: positions on the detector, pixels.
        miller_indices: Miller indices, (n, 3).
        crystals: numbers of the crystals, counted from 0.
        wavelengths: wavelengths at which the reflections shine, angstrom.
        d: resolution, angstrom.
        photons: expected photons of the whole spot; NaN where amplitudes, fluence or volume are unknown.
        excitation: density of the spectrum at the reflection, divided by the largest density.
    """

    panels: np.ndarray
    fast: np.ndarray
    slow: np.ndarray
    miller_indices: np.ndarray
    crystals: np.ndarray
    wavelengths: np.ndarray
    d: np.ndarray
    photons: np.ndarray
    excitation: np.ndarray

    def __len__(self) -> int:
        return len(self.panels)

    def select(self, chosen: np.ndarray) -> Spots:
        """Returns some of the spots, chosen by a bool array (n) or by indices."""
        return Spots(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))


def predict(
    crystals: Sequence[CrystalModel],
    pulse: Pulse,
    detector: Detector,
    d_min: float,
    imperfection: Imperfection = Imperfection(),
    amplitudes: miller.array | None = None,
    volume_mm3: float = math.nan,
    fluence: float = math.nan,
    scan_image: ScanImage | None = None,
) -> Spots:
    """Returns the reflections of some crystals in an image.

    Args:
        crystals: dxtbx models.
        pulse: the beam.
        detector: dxtbx model.
        d_min: resolution, angstrom.
        imperfection: imperfections that make reflections wide.
        amplitudes: structure factor amplitudes (electrons); None: unknown.
        volume_mm3: volume of each crystal in the beam; NaN: unknown.
        fluence: photons/mm² of the pulse, all energies together; NaN: unknown.
        scan_image: image of a rotation series; None: a still.
    """
    found = []
    for number, crystal in enumerate(crystals):
        excited = _excited(crystal, pulse, imperfection, _reflections(crystal, d_min, amplitudes), scan_image)
        photons = excited.photons * fluence * volume_mm3
        found.append(_spots(number, excited, photons, detector))
    spots = Spots(*(np.concatenate([getattr(one, name) for one in found]) for name in Spots.__dataclass_fields__))
    known = np.isfinite(spots.photons).all() and len(spots)
    return spots.select(np.argsort(-(spots.photons if known else spots.excitation), kind="stable"))


@dataclass(frozen=True, eq=False)
class _Reflections:
    """Reflections of a crystal: Miller indices (n, 3), and F² (n), NaN if unknown."""

    indices: np.ndarray
    squares: np.ndarray


@dataclass(frozen=True, eq=False)
class _Excited:
    """Reflections excited in an image, on a detector or not; arrays of n.

    Attributes:
        indices: Miller indices, (n, 3).
        directions: unit vectors from the sample, (n, 3).
        wavelengths: wavelengths at which the reflections shine, angstrom.
        d: resolution, angstrom.
        photons: photons for a fluence of 1 photon/mm² and a crystal of 1 mm³; NaN where amplitudes are unknown.
        excitation: density of the spectrum at the reflection, divided by the largest density.
    """

    indices: np.ndarray
    directions: np.ndarray
    wavelengths: np.ndarray
    d: np.ndarray
    photons: np.ndarray
    excitation: np.ndarray


@dataclass(frozen=True, eq=False)
class _Hits:
    """Points where rays hit a detector; arrays of n.

    Attributes:
        rays: numbers of the rays.
        panels, fast, slow: positions on the detector, pixels.
        absorbed: share of the photons that the panel's sensor absorbs.
    """

    rays: np.ndarray
    panels: np.ndarray
    fast: np.ndarray
    slow: np.ndarray
    absorbed: np.ndarray


def _reflections(crystal: CrystalModel, d_min: float, amplitudes: miller.array | None) -> _Reflections:
    """Returns all reflections of the whole sphere."""
    if amplitudes is not None:
        array = amplitudes.select(amplitudes.d_spacings().data() >= d_min)
        if not array.anomalous_flag():
            array = array.generate_bijvoet_mates()
        array = array.expand_to_p1()
        return _Reflections(_as_numpy(array.indices()), flumpy.to_numpy(array.data()) ** 2)
    symmetry = cctbx_crystal.symmetry(unit_cell=crystal.get_unit_cell(), space_group=crystal.get_space_group())
    unique = miller.build_set(symmetry, anomalous_flag=True, d_min=d_min)
    indices = _as_numpy(unique.expand_to_p1().indices())
    return _Reflections(indices, np.full(len(indices), math.nan))


def _as_numpy(indices: flex.miller_index) -> np.ndarray:
    return flumpy.to_numpy(indices.as_vec3_double()).astype(np.int32)


def _excited(
    crystal: CrystalModel,
    pulse: Pulse,
    imperfection: Imperfection,
    reflections: _Reflections,
    scan_image: ScanImage | None,
) -> _Excited:
    """Returns the excited reflections of a crystal in an image, in all directions."""
    indices, shares = reflections.indices, pulse.shares
    forward = -np.array(pulse.beam.get_sample_to_source_direction())
    lengths = factor_ev_angstrom / pulse.energies_eV
    setting = np.reshape(crystal.get_A(), (3, 3))
    turns = [np.identity(3)] if scan_image is None else _turns(scan_image, imperfection)

    # Sums over the steps of a rotation: of what is excited, of that times wavelength, and times direction.
    excited, wavelength, direction = np.zeros(len(indices)), np.zeros(len(indices)), np.zeros((len(indices), 3))
    brought = np.zeros(len(indices))
    for turn in turns:
        q = indices @ (turn @ setting).T
        square = np.einsum("ij,ij->i", q, q)
        exact = -2 * (q @ forward) / np.maximum(square, 1e-12)
        ahead = exact > 0
        sine = np.clip(0.5 * np.abs(exact) * np.sqrt(square), 1e-9, 1)
        spread = np.hypot(
            exact * np.sqrt(1 - sine**2) / sine * imperfection.tilt,
            exact**2 / (2 * sine**2) * imperfection.deviation,
        )
        near = ahead & (exact > lengths.min() - REACH * spread) & (exact < lengths.max() + REACH * spread)
        (chosen,) = np.nonzero(near & (square > 0))
        away = (lengths[None] - exact[chosen, None]) / spread[chosen, None]
        density = np.where(np.abs(away) < REACH, np.exp(-0.5 * away**2), 0) * shares
        density /= math.sqrt(2 * math.pi) * spread[chosen, None]
        total = density.sum(axis=1)
        chosen, density, total = chosen[total > 0], density[total > 0], total[total > 0]
        mean = density @ lengths / total
        s1 = forward + mean[:, None] * q[chosen]
        s1 /= np.linalg.norm(s1, axis=1, keepdims=True)
        excited[chosen] += total / len(turns)
        wavelength[chosen] += total * mean / len(turns)
        direction[chosen] += total[:, None] * s1
        half = 0.5 * mean * np.sqrt(square[chosen])
        brought[chosen] += total * mean**4 / (2 * half**2) * _polarization(pulse.beam, s1) / len(turns)

    (lit,) = np.nonzero(excited)
    direction = direction[lit] / np.linalg.norm(direction[lit], axis=1, keepdims=True)
    # photons/mm² to photons/angstrom², mm³ to angstrom³
    scale = ELECTRON_RADIUS_A**2 * 1e-14 * 1e21 / crystal.get_unit_cell().volume() ** 2
    return _Excited(
        indices=indices[lit],
        directions=direction,
        wavelengths=wavelength[lit] / excited[lit],
        d=1 / np.linalg.norm(indices[lit] @ setting.T, axis=1),
        photons=scale * INTEGRALS[imperfection.shape] * reflections.squares[lit] * brought[lit],
        excitation=excited[lit] / (excited.max() if len(lit) else 1.0),
    )


def _spots(crystal: int, excited: _Excited, photons: np.ndarray, detector: Detector) -> Spots:
    """Returns the spots of the reflections that hit a detector, with their photons (n)."""
    hits = _hits(detector, excited.directions)
    rays = hits.rays
    return Spots(
        panels=hits.panels,
        fast=hits.fast,
        slow=hits.slow,
        miller_indices=excited.indices[rays],
        crystals=np.full(len(rays), crystal),
        wavelengths=excited.wavelengths[rays],
        d=excited.d[rays],
        photons=photons[rays] * hits.absorbed,
        excitation=excited.excitation[rays],
    )


def _turns(scan_image: ScanImage, imperfection: Imperfection) -> list[np.ndarray]:
    """Returns matrices (3, 3) that rotate a crystal to some angles of an image."""
    goniometer, image = scan_image.goniometer, scan_image.image
    start, width = scan_image.scan.get_oscillation()
    steps = min(MOST_STEPS, max(1, math.ceil(abs(math.radians(width)) / max(0.5 * imperfection.tilt, 1e-4))))
    fixed = np.reshape(goniometer.get_fixed_rotation(), (3, 3))
    setting = np.reshape(goniometer.get_setting_rotation(), (3, 3))
    axis = np.array(goniometer.get_rotation_axis_datum())
    angles = start + width * (image + (np.arange(steps) + 0.5) / steps)
    return [setting @ _about(axis, math.radians(angle)) @ fixed for angle in angles]


def _about(axis: np.ndarray, angle: float) -> np.ndarray:
    return Rotation.from_rotvec(axis / np.linalg.norm(axis) * angle).as_matrix()


def _polarization(beam: Beam, directions: np.ndarray) -> np.ndarray:
    """Returns the factor P (n,) of a dipole in directions (n, 3), for both polarizations of the beam."""
    normal = np.array(beam.get_polarization_normal())
    electric = np.cross(normal, beam.get_sample_to_source_direction())
    f = beam.get_polarization_fraction()
    return f * (1 - (directions @ electric) ** 2) + (1 - f) * (1 - (directions @ normal) ** 2)


def _hits(detector: Detector, directions: np.ndarray) -> _Hits:
    """Returns the points where rays with directions (n, 3) hit a detector."""
    hits = []
    for number, panel in enumerate(detector):
        along = directions @ np.linalg.inv(pixel_frame(panel)).T
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = along[:, :2] / along[:, 2:]
            inside = (along[:, 2] > 0) & ((pixels >= 0) & (pixels < panel.get_image_size())).all(axis=1)
        (which,) = np.nonzero(inside)
        if not len(which):
            continue
        mm = flumpy.vec_from_numpy(np.ascontiguousarray(pixels[which] * panel.get_pixel_size()))
        # In the sensor's depth, a ray may have left the panel.
        pixels = flumpy.to_numpy(panel.millimeter_to_pixel(mm))
        inside = ((pixels >= 0) & (pixels < panel.get_image_size())).all(axis=1)
        which, (fast, slow) = which[inside], pixels[inside].T
        depth = panel.get_mu() * panel.get_thickness()
        cosine = np.abs(directions[which] @ np.array(panel.get_normal()))
        # A sensor of almost no thickness counts at its surface.
        absorbed = -np.expm1(-depth / cosine) if depth > 1e-3 else np.ones(len(which))
        hits.append(_Hits(which, np.full(len(which), number), fast, slow, absorbed))
    if not hits:
        return _Hits(np.zeros(0, int), np.zeros(0, int), *np.zeros((3, 0)))
    return _Hits(*(np.concatenate([getattr(one, name) for one in hits]) for name in _Hits.__dataclass_fields__))
