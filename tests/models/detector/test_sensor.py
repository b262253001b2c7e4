"""Sensors: how they absorb, and what panels say of them."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from dxtbx.model import SimplePxMmStrategy
from helpers.small_models import saved, small_beam, small_detector

from nanobragg_kokkos import SensorLayers, detectors
from nanobragg_kokkos.files.nxmx import write_image, write_master
from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.util.model_files import read_models


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


def named(tmp_path, material: str, thickness_mm: float, mu: float = 0.0) -> str:
    detector = small_detector()
    detector[0].set_material(material)
    detector[0].set_thickness(thickness_mm)
    detector[0].set_mu(mu)
    return f"detector.reference={saved(tmp_path / 'sensor.expt', detector, small_beam())}"


def experiment(*arguments: str):
    params = parameters.parse(list(arguments)).extract()
    parameters.validate(params)
    return from_parameters.experiment(params)


@pytest.mark.parametrize("name", ["Gd2O2S", "GOS", "YAG", "CsI"])
def test_screens_of_scintillators_absorb(tmp_path, name):
    # NIST: mu/rho in cm²/g at 10 keV of the elements, with the density of the compound, 3.7 for the powder Gd2O2S.
    expected = {
        "Gd2O2S": 3.7 * (2 * 157.25 * 280.0 + 2 * 15.999 * 5.95 + 32.06 * 50.1) / 378.6,
        "YAG": 4.56 * (3 * 88.906 * 70.6 + 5 * 26.982 * 26.2 + 12 * 15.999 * 5.95) / 593.6,
        "CsI": 4.51 * (132.9 * 171.4 + 126.9 * 162.1) / 259.8,
    }
    sensor = experiment(named(tmp_path, name, 0.04), "mean_energy=10000").sensor
    assert (sensor.thickness_mm, sensor.layers, sensor.placement) == (0.04, 1, 0)
    assert 10 / sensor.attenuation_length_mm == pytest.approx(expected.get(name, expected["Gd2O2S"]), rel=0.05)


def test_material_is_told_and_kept(tmp_path):
    """Where DIALS does not know it, the files say silicon, and the models of the truth what it is."""
    made = experiment(named(tmp_path, "Gd2O2S", 0.04))
    (line,) = (line for line in made.messages if "Sensor" in line)
    assert line.startswith("Sensor: 0.04 mm of Gd2O2S, which stop 0.9") and "DIALS knows no Gd2O2S" in line
    assert (made.detector[0].get_material(), made.detector[0].get_thickness()) == ("Gd2O2S", 0.04)
    write_image(tmp_path / "b.h5", [np.zeros((96, 96), np.int32)])
    write_master(tmp_path / "b_master.h5", [tmp_path / "b.h5"], made.detector, small_beam())
    with h5py.File(tmp_path / "b_master.h5") as file:
        assert file["entry/instrument/detector/sensor_material"][()] == b"Si"
        assert file["entry/instrument/detector/sensor_material"].attrs["stands_for"] == b"Gd2O2S, 0.04 mm"
    assert len(read_models(str(tmp_path / "b_master.h5")).experiments) == 1


@pytest.mark.parametrize(
    "sensor, message",
    [
        (("Unobtainium", 0.5), "has a sensor of 0.5 mm of Unobtainium, of which no attenuation coefficient is known"),
        (("", 0.5), "has a sensor of 0.5 mm without a material"),
        (("Si", 0), "has a sensor of Si, but no thickness of it"),
        (("", 0), "has no sensor material and thickness"),
    ],
)
def test_what_is_missing_of_a_sensor_is_told(tmp_path, sensor, message):
    made = experiment(named(tmp_path, *sensor))
    assert made.sensor is None and any(message in line for line in made.messages)
    assert not any("no effect" in line for line in experiment(named(tmp_path, *sensor), "attenuation=False").messages)
    # A coefficient in the file is as good.
    if sensor[1]:
        made = experiment(named(tmp_path, *sensor, 20))
        assert made.sensor.attenuation_length_mm == pytest.approx(0.05)
        assert not any("no effect" in line for line in made.messages)
