"""Sums over images: exact, in whatever order, against Python's whole numbers."""

from __future__ import annotations

from fractions import Fraction

import h5py
import numpy as np
import pytest
from helpers.small_models import small_detector

from nanobragg_kokkos.job import reduction
from nanobragg_kokkos.job.reduction import QUANTITIES, Reduction, runs, two_theta_deg

SHAPE = (6, 6)
DETECTOR = small_detector(pixels=6, pixel_mm=10)


def images(dtype: str, n: int, highest: int | None = None) -> list[np.ndarray]:
    """Random images; the same pixel is masked in all."""
    random = np.random.default_rng(4)
    found = [random.integers(0, highest or np.iinfo(dtype).max - 1, SHAPE, dtype) for _ in range(n)]
    for image in found:
        image[2, 3] = {"int32": -1, "uint16": 65535}[dtype]
        image[0, 0] = 12
    return found


def added(pictures: list[np.ndarray], order) -> Reduction:
    sums = Reduction(QUANTITIES, SHAPE, pictures[0].dtype)
    for k in order:
        sums.add(k, pictures[k])
    return sums


@pytest.mark.parametrize("dtype, highest", [("int32", None), ("uint16", None), ("int32", 50), ("int32", 70000)])
def test_sums_are_exact_in_any_order(dtype, highest, tmp_path):
    pictures = images(dtype, 9, highest)
    one = added(pictures, range(9))
    parts = [added(pictures, order) for order in ((8, 2, 5), (0, 1), (7, 6, 4, 3))]
    for part in parts[1:]:
        parts[0].add_sums(part)
    one.save(tmp_path / "one.h5", DETECTOR)
    parts[0].save(tmp_path / "parts.h5", DETECTOR)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "parts.h5").read_bytes()

    with h5py.File(tmp_path / "one.h5") as file:
        found = {name: file[name][()] for name in ("sum", "mean", "variance", "maximum", "histogram", "mask")}
        assert file["images"][()].tolist() == [[0, 8]] and file.attrs["n_images"] == 9
    assert found["mask"].sum() == 1 and found["mask"][2, 3] == 1
    counts = np.zeros(2**16, int)
    for at in np.ndindex(SHAPE):
        if at == (2, 3):
            assert found["sum"][at] == found["maximum"][at] == 0
            assert np.isnan(found["mean"][at]) and np.isnan(found["variance"][at])
            continue
        values = [int(picture[at]) for picture in pictures]
        mean = Fraction(sum(values), 9)
        assert found["sum"][at] == sum(values) and found["maximum"][at] == max(values)
        assert found["mean"][at] == float(mean)
        exact = float(sum((value - mean) ** 2 for value in values) / 8)
        assert found["variance"][at] == pytest.approx(exact, rel=1e-15, abs=0)
        np.add.at(counts, np.minimum(values, 65535), 1)
    assert np.array_equal(found["histogram"], counts)


def test_variance_of_nearly_equal_bright_pixels_has_all_digits():
    top = 2**31 - 2
    pictures = [np.full(SHAPE, top - (k == 3), np.int32) for k in range(5)]
    assert added(pictures, range(5)).variance() == pytest.approx(0.2, rel=1e-15)
    assert np.isnan(added(pictures, range(1)).variance()).all()


def test_sums_hold_what_the_bounds_promise():
    """The sums of the most images that there may be, of the brightest pixels: as if they had been added one by one."""
    n, top = 2**31, 2**31 - 1
    sums = added([np.full(SHAPE, top, np.int32)], [0])
    for name in ("sum", "squares"):
        assert all(int(value) * n < 2**63 for value in sums._sums[name].ravel())
        sums._sums[name] *= n
    sums.images = range(n)
    assert (sums.mean() == top).all() and (sums.variance() == 0).all()


def test_saved_sums_go_on(tmp_path):
    pictures = images("int32", 6)
    added(pictures, (0, 1, 4)).save(tmp_path / "some.h5")
    sums = added(pictures, (2,))
    with h5py.File(tmp_path / "some.h5") as file:
        assert sums.can_use(file)
        assert not Reduction(["sum"], (7, 6), np.int32).can_use(file)
    assert sums.load(tmp_path / "some.h5") and sums.images == {0, 1, 2, 4}
    sums.add(4, pictures[4] + 1)  # is there already
    sums.add(5, pictures[5])
    sums.add(3, pictures[3])
    expected = added(pictures, range(6))
    assert all(np.array_equal(sums._sums[name], values) for name, values in expected._sums.items())
    with pytest.raises(ValueError, match="some images are in both"):
        sums.add_sums(expected)
    (tmp_path / "some.h5").write_bytes(b"damaged")
    assert not sums.load(tmp_path / "some.h5")


def test_a_file_holds_what_is_asked_for(tmp_path):
    pictures = images("uint16", 4)
    sums = Reduction(["mean", "radial"], SHAPE, np.uint16)
    for k in range(4):
        sums.add(k, pictures[k])
    path = tmp_path / "sums.h5"
    sums.save(path, DETECTOR)
    assert reduction.holds(path, ["mean"], 4) and reduction.holds(path, ["radial", "sum"], 4)
    assert not reduction.holds(path, ["variance"], 4) and not reduction.holds(path, ["mean"], 5)
    assert not reduction.holds(tmp_path / "none.h5", ["mean"], 4)


def test_radial_profile_is_the_mean_over_rings():
    detector = small_detector(pixels=40, pixel_mm=2)
    detector.add_panel(small_detector(pixels=30, pixel_mm=3)[0])
    shape = (70, 40)
    angles = two_theta_deg(detector, shape)
    for panel, at, row in ((0, (3, 17), 0), (1, (29, 4), 40)):
        x, y, z = detector[panel].get_pixel_lab_coord((at[0] + 0.5, at[1] + 0.5))
        expected = np.degrees(np.arccos(-z / np.sqrt(x * x + y * y + z * z)))
        assert angles[row + at[1], at[0]] == pytest.approx(expected)
    assert np.isnan(angles[40:, 30:]).all()

    sums = Reduction(["radial"], shape, np.int32)
    for k in range(3):
        # Twice the angle in hundredths of a degree, and -1 beside the narrow panel.
        sums.add(k, np.where(np.isnan(angles), -1, np.rint(200 * np.nan_to_num(angles))).astype(np.int32))
    edges, pixels, mean = sums.radial(detector)
    assert pixels.sum() == 40 * 40 + 30 * 30 and edges[-1] == np.nanmax(angles)
    middles = 0.5 * (edges[1:] + edges[:-1])
    assert mean[pixels > 0] == pytest.approx(200 * middles[pixels > 0], abs=200 * edges[1])
    assert np.isnan(mean[pixels == 0]).all()


def test_runs():
    assert runs([]) == [] and runs({5}) == [(5, 5)] and runs([3, 1, 2, 9, 7, 8]) == [(1, 3), (7, 9)]
