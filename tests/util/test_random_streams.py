"""Streams of random numbers."""

from __future__ import annotations

from nanobragg_kokkos.util.random_streams import stream


def test_streams_differ_by_purpose_image_and_seed():
    keys = [(1, "orientation", 0), (1, "orientation", 1), (2, "orientation", 0), (1, "mosaic", 0)]
    assert len({stream(*key).integers(2**62) for key in keys}) == 4
    assert stream(1, "mosaic", 5).integers(2**62) == stream(1, "mosaic", 5).integers(2**62)
