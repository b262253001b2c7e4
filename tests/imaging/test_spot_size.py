"""How large spots are, against simulated ones; and what too few samples do to them."""

from __future__ import annotations

import numpy as np
import pytest
from cctbx import crystal as cctbx_crystal
from cctbx import factor_ev_angstrom, miller
from cctbx.array_family import flex
from dxtbx.model import Crystal as CrystalModel
from dxtbx.model.detector import DetectorFactory
from helpers.small_models import rotation_matrix, small_beam

from nanobragg_kokkos import Crystal, Simulation, Sources, StructureFactors
from nanobragg_kokkos.imaging.prediction import Imperfection
from nanobragg_kokkos.imaging.spot_size import FWHM, ripple, spot_size
from nanobragg_kokkos.models.beam.pulses import Pulse

WAVELENGTH = 1.2
D = 6.0


@pytest.mark.parametrize("shape", ["square", "round", "gauss", "tophat"])
def test_size_of_one_domain(shape):
    """A reflection exactly on the sphere, seen by a fine detector: as wide at half its height as is said."""
    sine = WAVELENGTH / (2 * D)
    # 0, 0, 10 of a cubic cell of 60 angstrom, tilted by theta so that it shines, up on the detector.
    turn = rotation_matrix((1, 0, 0), -90 + np.degrees(np.arcsin(sine)))
    model = CrystalModel(*(tuple(axis) for axis in (turn @ (60 * np.eye(3))).T), space_group_symbol="P 1")
    beam = small_beam(WAVELENGTH)
    height = 100 * np.tan(2 * np.arcsin(sine))
    pixels, pixel = 160, 0.004
    half = pixels * pixel / 2
    detector = DetectorFactory.simple("PAD", 100, (half, half + height), "+x", "-y", (pixel, pixel), (pixels, pixels))
    simulation = Simulation(detector, Sources.from_beam(beam), fluence=1e12)
    symmetry = cctbx_crystal.symmetry(model.get_unit_cell(), "P 1")
    indices = miller.build_set(symmetry, anomalous_flag=True, d_min=5.5)
    ones = indices.array(data=flex.double(indices.size(), 1.0))
    simulation.add_spots(Crystal(model, (20, 20, 20), shape), StructureFactors(ones), "pixel")
    image = simulation.image[0]
    row = image[round(np.average(np.arange(pixels), weights=image.sum(axis=1)))]
    measured = np.count_nonzero(row > 0.5 * row.max())
    pulse = Pulse(beam, np.array([factor_ev_angstrom / WAVELENGTH]), np.ones(1))
    size = spot_size(Imperfection(1200, 0, shape), pulse, detector, D)
    assert size.one_domain == pytest.approx(measured, abs=1)
    assert size.across == size.one_domain


@pytest.mark.parametrize("fwhm, step", [(1.0, 1.0), (1.2, 1.0), (0.6, 0.5), (3.0, 1.0)])
def test_ripple_is_what_a_sum_of_samples_does(fwhm, step):
    sigma = fwhm / FWHM
    sums = [
        step * np.exp(-0.5 * ((np.arange(-50, 51) * step + shift) / sigma) ** 2).sum() / (sigma * np.sqrt(2 * np.pi))
        for shift in np.linspace(0, step, 41)
    ]
    assert max(np.abs(np.array(sums) - 1)) == pytest.approx(ripple(fwhm, step), rel=1e-3, abs=1e-12)
