"""Sensors: how they absorb, and what panels say of them."""

from __future__ import annotations

import numpy as np
import pytest
from dxtbx.model import SimplePxMmStrategy
from helpers.small_models import small_detector

from nanobragg_kokkos import SensorLayers, detectors
from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.job import parameters


def test_silicon_absorbs_as_tabulated():
    detector = small_detector(pixel_mm=0.1)
    detector[0].set_thickness(0.32)
    detector[0].set_material("Si")
    sensor = detectors.sensor_layers(detector, wavelength=1.5418)
    # NIST: mu/rho of silicon is 64.7 cm^2/g at 8.04 keV.
    assert sensor.attenuation_length_mm == pytest.approx(10 / (64.7 * 2.33), rel=0.02)
    assert (sensor.layers, sensor.placement) == (7, 0.5)
    assert detectors.sensor_layers(small_detector(), 1.5) is None


def test_panels_say_what_sensor_is_simulated():
    detector = small_detector()
    detector[0].set_material("Silicon")
    detector[0].set_thickness(0.32)
    deep = detectors.with_sensor(detector, SensorLayers(0.45, 0.1, 5, 0.5))[0]
    assert (deep.get_material(), deep.get_thickness(), deep.get_mu()) == ("Si", 0.45, 10)
    strategy = deep.get_px_mm_strategy()
    assert (strategy.mu(), strategy.t0()) == (10, 0.45)
    for sensor in (None, SensorLayers(0.45, 0.1)):
        flat = detectors.with_sensor(detector, sensor)[0]
        assert (flat.get_thickness(), flat.get_mu()) == (0, 0)
        assert type(flat.get_px_mm_strategy()) is SimplePxMmStrategy


def test_phosphor_stops_nearly_all():
    sensor = detectors.phosphor(1.3)
    assert 0.95 < 1 - np.exp(-sensor.thickness_mm / sensor.attenuation_length_mm) < 0.999
    params = parameters.parse(["attenuation=False"]).extract()
    assert from_parameters.experiment(params).sensor is None
