"""Experiments made from parameters."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from cctbx import miller
from helpers.small_models import saved, small_beam, small_detector
from libtbx.utils import Sorry

from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.job import parameters


def test_experiment_reaches_the_farthest_corner_and_survives_pickling():
    params = parameters.parse(["crystal.Deff_A=1000", "length_um=20", "beam.size_mm=0.005"]).extract()
    experiment = pickle.loads(pickle.dumps(from_parameters.experiment(params)))
    assert isinstance(experiment.amplitudes, miller.array)
    angle = np.arctan2(np.hypot(1920, 1920) * 0.088, 141.7)
    assert experiment.amplitudes.d_min() == pytest.approx(12398.42 / 9549.5 / 2 / np.sin(angle / 2), rel=1e-3)
    exposure = experiment.exposure(0)
    (crystal,) = exposure.crystals
    assert crystal.n_cells == (29, 29, 23)
    assert crystal.volume_mm3 == pytest.approx(0.005**2 * 0.02)
    assert experiment.simulation(exposure.pulse).fluence == pytest.approx(1e11 / 0.005**2)


def test_what_nxmx_cannot_hold_is_refused_beforehand(tmp_path):
    detector = small_detector()
    detector[0].set_material("C")
    detector[0].set_thickness(1)
    path = saved(tmp_path / "carbon.expt", detector, small_beam())
    params = parameters.parse([f"detector.reference={path}"]).extract()
    with pytest.raises(Sorry, match="detector.reference=.*has the parallax"):
        from_parameters.experiment(params)
