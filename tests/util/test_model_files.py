"""What model files and images name is not executed, and not believed in size."""

from __future__ import annotations

import json
import os
import pickle

import numpy as np
import pytest
from dxtbx import flumpy
from helpers.small_models import saved, small_beam, small_detector
from libtbx.utils import Sorry
from scitbx.array_family import flex

from nanobragg_kokkos.files.nxmx import write_image, write_master
from nanobragg_kokkos.files.reader import ImageReader
from nanobragg_kokkos.models.beam.spectrum_file import read_spectra
from nanobragg_kokkos.models.detector.geometry import from_file
from nanobragg_kokkos.util.model_files import read_models

LOOKUPS = ("mask", "gain", "pedestal", "dx", "dy")


class _Runs:
    """A pickle that would make a directory."""

    def __init__(self, place: str) -> None:
        self._place = place

    def __reduce__(self):
        return os.mkdir, (self._place,)


@pytest.fixture
def model_file(tmp_path):
    """Writes a model file of an image whose imageset names files; returns its name."""

    def write(**lookups: str) -> str:
        detector = small_detector(pixels=20)
        write_image(tmp_path / "b.h5", [np.zeros((20, 20), np.int32)])
        write_master(tmp_path / "b_master.h5", [tmp_path / "b.h5"], detector, small_beam())
        experiments = read_models(str(tmp_path / "b_master.h5"), images=True).experiments
        experiments.as_file(str(tmp_path / "named.expt"))
        contents = json.loads((tmp_path / "named.expt").read_text())
        contents["imageset"][0].update(lookups)
        (tmp_path / "named.expt").write_text(json.dumps(contents))
        return str(tmp_path / "named.expt")

    return write


@pytest.mark.parametrize("lookup", LOOKUPS)
@pytest.mark.parametrize("read", [from_file, read_spectra, lambda path: ImageReader([path])[0]])
def test_pickles_that_model_files_name_do_not_run(model_file, tmp_path, lookup, read):
    place = tmp_path / "made"
    (tmp_path / "evil").write_bytes(pickle.dumps(_Runs(str(place)), 2))
    try:
        read(model_file(**{lookup: str(tmp_path / "evil")}))
    except Sorry:
        pass
    assert not place.exists()


@pytest.mark.parametrize("read", [from_file, read_spectra, lambda path: ImageReader([path])])
def test_images_that_are_pickles_do_not_run(tmp_path, read):
    place = tmp_path / "made"
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        (tmp_path / "evil.pickle").write_bytes(pickle.dumps({"SIZE1": _Runs(str(place))}, protocol))
        with pytest.raises(Sorry):
            read(str(tmp_path / "evil.pickle"))
    assert not place.exists()


def test_masks_count_for_images(model_file, tmp_path):
    mask = np.ones((20, 20), bool)
    mask[3, 4:9] = False
    (tmp_path / "pixels.mask").write_bytes(pickle.dumps((flex.bool(mask),), 2))
    path = model_file(mask="pixels.mask")  # relative to the model file
    assert np.array_equal(ImageReader([path])[0].masks[0], mask)
    assert np.array_equal(flumpy.to_numpy(from_file(path)[0].get_untrusted_rectangle_mask()), mask)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda file: file.update(scan=[{"image_range": [1, 2**31 - 1], "oscillation": [0, 0.1]}]), "a scan of the"),
        (lambda file: file["experiment"][0].update(imageset="other.expt"), "imageset in another file, other.expt"),
        (lambda file: file.update(__id__="DataBlock"), "it holds no list of experiments"),
    ],
)
def test_sizes_and_other_files_are_refused(tmp_path, change, message):
    path = tmp_path / "small.expt"
    saved(path, small_detector(), small_beam())
    contents = json.loads(path.read_text())
    change(contents)
    path.write_text(json.dumps(contents))
    with pytest.raises(Sorry, match=message):
        from_file(str(path))
