"""The picture of an image: the same for what is the same but for an offset or the type of its pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.small_models import small_beam, small_detector

from nanobragg_kokkos.files.picture import write_picture


@pytest.fixture
def picture(tmp_path):
    """Writes the picture of an image on a small detector; returns its bytes."""

    def write(image: np.ndarray, mask: np.ndarray | None = None) -> bytes:
        path: Path = tmp_path / "image.png"
        write_picture(path, [image], small_detector(), small_beam(), None if mask is None else [mask])
        return path.read_bytes()

    return write


def test_offset_changes_nothing(picture):
    random = np.random.default_rng(1)
    image = random.poisson(4, (96, 96)).astype(np.int32)
    image[40, 50] = 5000
    assert picture(image) == picture(image + 10) != picture(random.poisson(4, (96, 96)))


def test_masked_pixels_look_the_same_in_16_bits(picture):
    image = np.random.default_rng(1).poisson(4, (96, 96)).astype(np.int32)
    mask = np.ones((96, 96), bool)
    mask[10:30, 5:60] = False
    signed, unsigned = np.where(mask, image, -1), np.where(mask, image, 65535).astype(np.uint16)
    assert picture(signed) == picture(signed, mask) == picture(unsigned, mask) != picture(image)
