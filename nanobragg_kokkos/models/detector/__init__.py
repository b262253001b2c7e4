"""Detector geometry, sensor and response."""
