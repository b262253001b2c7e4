"""Detectors from files, and where detectors are."""

from __future__ import annotations

import pytest
from helpers.small_models import saved, small_beam, small_detector
from scitbx import matrix

from nanobragg_kokkos import detectors, named_detectors
from nanobragg_kokkos.models.detector.trusted_range import lower_end


def test_rayonix_is_centred_on_the_beam():
    panel = named_detectors.by_name("rayonix_mx340")[0]
    assert panel.get_image_size() == (3840, 3840)
    assert panel.get_beam_centre_px((0, 0, -1)) == pytest.approx((1920, 1920))
    assert panel.get_distance() == pytest.approx(141.7)


def test_detector_from_file_keeps_its_place_in_its_beam(tmp_path):
    beam = small_beam(direction=(0.3, -0.2, 0.9))
    detector = small_detector()
    found = detectors.from_file(saved(tmp_path / "tilted.expt", detector, beam))
    source = matrix.col(beam.get_sample_to_source_direction())
    for pixel in ((0, 0), (95, 3), (40, 90)):
        before = matrix.col(detector[0].get_pixel_lab_coord(pixel))
        after = matrix.col(found[0].get_pixel_lab_coord(pixel))
        assert after.length() == pytest.approx(before.length())
        assert after.angle(matrix.col((0, 0, 1))) == pytest.approx(before.angle(source))


def test_counts_of_zero_are_trusted_on_a_detector_from_a_file(tmp_path):
    detector = small_detector()
    detector[0].set_trusted_range((0, 1000))
    found = detectors.from_file(saved(tmp_path / "small.expt", detector, small_beam()))
    assert found[0].get_trusted_range() == (lower_end(0), 1000)


def test_offset_is_added_along_the_beam():
    detector = small_detector(distance_mm=80)
    assert detectors.farther(detector, 20)[0].get_distance() == pytest.approx(100)
    assert detector[0].get_distance() == pytest.approx(80)
