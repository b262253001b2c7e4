"""Predicted spots against simulated ones: two ways to the same numbers with no formula of the photons in common."""

from __future__ import annotations

import numpy as np
import pytest
from cctbx import factor_ev_angstrom
from dxtbx import flumpy
from dxtbx.model import Crystal as CrystalModel
from dxtbx.model import Goniometer, Scan, Spectrum
from dxtbx.model.detector import DetectorFactory
from helpers.small_models import random_amplitudes, rotation_matrix, small_beam
from scitbx import matrix

from nanobragg_kokkos import Crystal, Rotation, Simulation, Sources, StructureFactors
from nanobragg_kokkos.imaging.prediction import Imperfection, ScanImage, predict
from nanobragg_kokkos.models.beam.pulses import Pulse
from nanobragg_kokkos.models.sample.mosaicity import mosaic_blocks

PIXELS, PIXEL_MM, DISTANCE_MM = 1000, 0.1, 90.0
VOLUME_MM3, FLUENCE = 1e-7, 1e14
BEAM = small_beam(1.2)
BOX = 12
BLOCKS = 80


def detector():
    half = PIXELS * PIXEL_MM / 2
    return DetectorFactory.simple("PAD", DISTANCE_MM, (half, half), "+x", "-y", (PIXEL_MM, PIXEL_MM), (PIXELS, PIXELS))


def crystal_model() -> CrystalModel:
    orientation = matrix.sqr(rotation_matrix((1, 2, 3), 40).flatten())
    real = [orientation * matrix.col(axis) for axis in ((40, 0, 0), (0, 50, 0), (0, 0, 60))]
    return CrystalModel(*real, space_group_symbol="P 21 21 21")


def pulse_of_width(width_eV: float, channels: int) -> Pulse:
    energies = factor_ev_angstrom / 1.2 + np.linspace(-1.5, 1.5, channels) * width_eV
    weights = np.exp(-4 * np.log(2) * ((energies - energies.mean()) / width_eV) ** 2)
    return Pulse(BEAM, energies, weights)


def isolated(spots, image):
    """Spots that have a box for themselves: their photons, counted, and how far their centre is from the prediction."""
    counted, expected, shifts = [], [], []
    for k in np.flatnonzero(spots.photons > 0.01 * spots.photons.max()):
        near = np.hypot(spots.fast - spots.fast[k], spots.slow - spots.slow[k]) < 2.5 * BOX
        near[k] = False
        x, y = int(spots.fast[k]), int(spots.slow[k])
        inside = BOX <= x < PIXELS - BOX and BOX <= y < PIXELS - BOX
        if not inside or (spots.photons[near] > 1e-3 * spots.photons[k]).any():
            continue
        box = image[y - BOX : y + BOX + 1, x - BOX : x + BOX + 1]
        rows, columns = np.mgrid[y - BOX : y + BOX + 1, x - BOX : x + BOX + 1] + 0.5
        counted.append(box.sum())
        expected.append(spots.photons[k])
        shifts.append(
            ((box * columns).sum() / box.sum() - spots.fast[k], (box * rows).sum() / box.sum() - spots.slow[k])
        )
    return np.array(counted), np.array(expected), np.array(shifts)


@pytest.mark.parametrize("shape", ["gauss_argchk", "tophat"])
def test_photons_and_places_of_a_still(shape):
    imperfection = Imperfection(domain_A=1200, mosaic_spread_deg=0.1, shape=shape)
    pulse = pulse_of_width(60, 121)
    blocks = mosaic_blocks(BLOCKS, imperfection.mosaic_spread_deg, np.random.default_rng(1))
    crystal = Crystal(crystal_model(), (30, 24, 20), shape, mosaic_blocks=blocks, volume_mm3=VOLUME_MM3)
    spectrum = Spectrum(flumpy.from_numpy(pulse.energies_eV), flumpy.from_numpy(pulse.weights))
    simulation = Simulation(detector(), Sources.from_beam(BEAM, spectrum), fluence=FLUENCE, oversample=2)
    amplitudes = random_amplitudes()
    simulation.add_spots(crystal, StructureFactors(amplitudes), "reflection")
    spots = predict([crystal_model()], pulse, detector(), 2.2, imperfection, amplitudes, VOLUME_MM3, FLUENCE)
    counted, expected, shifts = isolated(spots, simulation.image[0])
    assert len(counted) >= 15
    # The blocks are a sample of the distribution.
    assert counted.sum() == pytest.approx(expected.sum(), rel=0.03)
    assert np.median(counted / expected) == pytest.approx(1, abs=0.04)
    assert np.abs(np.median(shifts, axis=0)).max() < 0.15
    assert np.percentile(np.abs(shifts), 80) < 0.5


def test_photons_of_a_rotation():
    imperfection = Imperfection(domain_A=1200, mosaic_spread_deg=0.0, shape="gauss_argchk")
    width, steps = 0.5, 400
    pulse = pulse_of_width(1, 1)
    crystal = Crystal(
        crystal_model(),
        (30, 24, 20),
        "gauss_argchk",
        volume_mm3=VOLUME_MM3,
        rotation=Rotation((1, 0, 0), 3 * width, width, steps),
    )
    simulation = Simulation(detector(), Sources.from_beam(BEAM), fluence=FLUENCE, oversample=2)
    amplitudes = random_amplitudes()
    simulation.add_spots(crystal, StructureFactors(amplitudes), "reflection")
    of_series = ScanImage(Goniometer((1, 0, 0)), Scan((1, 10), (0, width)), 3)
    spots = predict([crystal_model()], pulse, detector(), 2.2, imperfection, amplitudes, VOLUME_MM3, FLUENCE, of_series)
    counted, expected, shifts = isolated(spots, simulation.image[0])
    assert len(counted) >= 15
    assert counted.sum() == pytest.approx(expected.sum(), rel=0.03)
    assert np.abs(np.median(shifts, axis=0)).max() < 0.2


def test_excitation_needs_no_amplitudes():
    pulse = pulse_of_width(60, 121)
    known = predict(
        [crystal_model()],
        pulse,
        detector(),
        2.2,
        amplitudes=random_amplitudes(),
        volume_mm3=VOLUME_MM3,
        fluence=FLUENCE,
    )
    unknown = predict([crystal_model()], pulse, detector(), 2.2)
    assert np.isnan(unknown.photons).all() and np.isfinite(known.photons).all()
    assert (np.diff(unknown.excitation) <= 0).all() and (np.diff(known.photons) <= 0).all()
    of_known = {tuple(hkl): e for hkl, e in zip(known.miller_indices, known.excitation)}
    of_unknown = {tuple(hkl): e for hkl, e in zip(unknown.miller_indices, unknown.excitation)}
    # Amplitudes lack what the space group forbids, and so does the list without them.
    assert of_known == pytest.approx(of_unknown)
