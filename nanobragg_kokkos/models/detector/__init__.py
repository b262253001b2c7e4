"""Detector geometry, sensor and response."""

from nanobragg_kokkos.models.detector.geometry import farther, from_file, shifted
from nanobragg_kokkos.models.detector.sensor import phosphor, sensor_layers, with_sensor

__all__ = ["farther", "from_file", "phosphor", "sensor_layers", "shifted", "with_sensor"]
