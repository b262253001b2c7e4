"""Detectors by name against what dxtbx, their makers and others say of them; their place, and what is said of it."""

from __future__ import annotations

import math
import pickle

import h5py
import numpy as np
import pytest
from cctbx import factor_ev_angstrom
from dxtbx import flumpy
from dxtbx.format import FormatPilatusHelpers as helpers
from dxtbx.model import Experiment, ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory
from helpers.small_models import random_amplitudes, saved, small_beam, small_detector
from hypothesis import given
from hypothesis import strategies as st
from libtbx.utils import Sorry
from scitbx.array_family import flex

from nanobragg_kokkos import detectors
from nanobragg_kokkos.files.nxmx import write_image, write_master
from nanobragg_kokkos.files.nxmx_detector import as_stored
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.models.detector import from_parameters, masks
from nanobragg_kokkos.models.detector import parameters as detector_parameters
from nanobragg_kokkos.models.detector import warnings as detector_warnings
from nanobragg_kokkos.models.detector.named_detectors import by_name
from nanobragg_kokkos.models.detector.specifications import SPECIFICATIONS
from nanobragg_kokkos.models.detector.trusted_range import lower_end, lowest_valid

# Panels, pixels of one (fast, slow), their side, width and height of the rectangle around all, sensor (all in mm).
EXPECTED = {
    "rayonix_mx340": (1, (3840, 3840), 0.088, (337.92, 337.92), 0),
    "jungfrau_16m": (32, (1024, 512), 0.075, (315.675, 332.25), 0.32),
    "jungfrau_4m": (8, (1024, 512), 0.075, (159.75, 167.25), 0.32),
    "eiger_16m": (1, (4150, 4371), 0.075, (311.25, 327.825), 0.45),
    "eiger_4m": (1, (2070, 2167), 0.075, (155.25, 162.525), 0.45),
    "pilatus3_6m": (1, (2463, 2527), 0.172, (423.636, 434.644), 0.45),
    "pilatus3_2m": (1, (1475, 1679), 0.172, (253.7, 288.788), 0.45),
    "cspad": (64, (194, 185), 0.10992, (190.0, 190.0), 0.5),
}
UNEVEN_MM = {"cspad": 2.0}


def described(*arguments: str):
    """The detector of a job, and its sensor."""
    params = parameters.parse(list(arguments)).extract()
    parameters.validate(params)
    energy = params.beam.mean_energy or 9500
    detector, sensor = from_parameters.detector(params, energy, from_parameters.reference(params))
    return as_stored(detector, factor_ev_angstrom / energy), sensor


def corners(panel) -> np.ndarray:
    fast, slow = panel.get_image_size()
    return np.array([panel.get_pixel_lab_coord(corner) for corner in ((0, 0), (fast, 0), (fast, slow), (0, slow))])


def test_every_detector_can_be_chosen_and_has_its_preset():
    (choice,) = parameters.phil_scope.get("detector.name").objects
    assert [word.value.lstrip("*") for word in choice.words] == list(SPECIFICATIONS) == list(EXPECTED)
    presets = [detector_parameters.preset_name(parameters.parse([f"name={name}"]).extract()) for name in EXPECTED]
    assert presets == ["rayonix", "jungfrau", "jungfrau", "eiger", "eiger", "pilatus", "pilatus", "cspad"]


@pytest.mark.parametrize("name", EXPECTED)
def test_panels_pixels_and_size(name):
    panels, pixels, pixel_mm, size_mm, thickness_mm = EXPECTED[name]
    detector = by_name(name)
    assert len(detector) == panels
    for panel in detector:
        assert panel.get_image_size() == pixels
        assert panel.get_pixel_size() == (pixel_mm, pixel_mm)
        assert (panel.get_thickness(), panel.get_material()) == (thickness_mm, "Si" if thickness_mm else "")
        assert panel.get_normal() == pytest.approx((0, 0, -1))
        assert panel.get_distance() == pytest.approx(SPECIFICATIONS[name].distance_mm)
    outline = np.concatenate([corners(panel)[:, :2] for panel in detector])
    assert np.ptp(outline, axis=0) == pytest.approx(size_mm, abs=UNEVEN_MM.get(name, 1e-9))
    # The beam goes through the middle, or the corner of the pixel that is there, never through the middle of a pixel.
    beside = pixel_mm if name.startswith("pilatus") else 0
    assert outline.max(axis=0) + outline.min(axis=0) == pytest.approx((-beside, beside), abs=1e-9)
    for panel in detector:
        fast, slow = panel.millimeter_to_pixel(panel.get_ray_intersection((0, 0, -1)))
        n_fast, n_slow = panel.get_image_size()
        if 0 <= fast <= n_fast and 0 <= slow <= n_slow:
            assert np.hypot(fast % 1 - 0.5, slow % 1 - 0.5) > 0.1


@pytest.mark.parametrize("name", ["jungfrau_16m", "jungfrau_4m", "cspad"])
def test_panels_do_not_overlap_and_leave_a_hole_for_the_beam(name):
    detector = by_name(name)
    boxes = np.array([(points.min(axis=0)[:2], points.max(axis=0)[:2]) for points in map(corners, detector)])
    for k, (low, high) in enumerate(boxes):
        apart = (boxes[:, 0] >= high - 1e-9) | (boxes[:, 1] <= low + 1e-9)
        assert apart.any(axis=1).sum() == len(boxes) - 1 and not apart[k].any()
    distances = np.linalg.norm(np.maximum(np.maximum(boxes[:, 0], -boxes[:, 1]), 0), axis=1)
    assert 2 < distances.min() < 6
    assert detector.get_panel_intersection((0, 0, -1)) == -1


def test_jungfrau_modules_are_where_those_of_a_refined_one_are():
    # CrystFEL's example of a SwissFEL 16M (doc/examples/jf-swissfel-16M.geom), pixels: modules 4 and 5, side by side
    # along fast, are 1039.04 apart, 4 and 8 along slow 549.73; module 10 begins 68.9 beside module 12.
    for name, columns in (("jungfrau_16m", 4), ("jungfrau_4m", 2)):
        origins = np.array([panel.get_origin()[:2] for panel in by_name(name)]) / 0.075
        steps = np.diff(origins.reshape(-1, columns, 2), axis=1)[..., 0]
        assert steps == pytest.approx(np.full(steps.shape, 1039.04), abs=0.05)
        rows = -np.diff(origins.reshape(-1, columns, 2), axis=0)[..., 1]
        assert rows == pytest.approx(np.full(rows.shape, 549.73), abs=0.5)
        shifts = np.unique(np.round(origins.reshape(-1, columns, 2)[:, 0, 0] - origins[:, 0].min()))
        assert len(shifts) == 2 and shifts[1] == pytest.approx(68.9, abs=2)


def test_cspad_is_like_a_measured_one():
    # Middles of sensors (mm) in a refined CSPAD of LCLS, simtbx/nanoBragg/test_data/dxtbx_cspad.py of the cctbx
    # project: quadrant, sensor, x, y. Its quadrants move independently.
    measured = ((0, 0, -37.8, 17.6), (0, 1, -15.4, 17.6), (0, 2, -73.3, 29.1), (1, 1, 19.1, 16.2), (1, 4, 65.8, 62.5))
    detector = by_name("cspad")
    panels = {panel.get_name(): panel for panel in detector}
    for quadrant, sensor, x, y in measured:
        first, second = (corners(panels[f"Q{quadrant}S{sensor}A{k}"]).mean(axis=0) for k in (0, 1))
        assert ((first + second) / 2)[:2] == pytest.approx((x, y), abs=2)
        assert np.linalg.norm(second - first) == pytest.approx((194 + 3) * 0.10992)
    quadrants = np.array([corners(panel).mean(axis=0)[:2] for panel in detector]).reshape(4, 16, 2)
    x, y = quadrants[1].T
    assert quadrants[0] == pytest.approx(np.column_stack((-y, x)))
    assert quadrants[2] == pytest.approx(np.column_stack((y, -x)))
    assert quadrants[3] == pytest.approx(-quadrants[1])


@pytest.mark.parametrize(
    "name, kind, gaps",
    [
        ("eiger_16m", "Eiger-16M", helpers.determine_eiger_mask),
        ("eiger_4m", "Eiger-4M", helpers.determine_eiger_mask),
        ("pilatus3_6m", "Pilatus-6M", helpers.determine_pilatus_mask),
        ("pilatus3_2m", "Pilatus-2M", helpers.determine_pilatus_mask),
    ],
)
def test_gaps_are_those_of_dxtbx(name, kind, gaps):
    detector = by_name(name)
    vendor = helpers.get_vendortype_eiger if name.startswith("eiger") else helpers.get_vendortype
    assert vendor(detector) == kind
    good = np.ones(detector[0].get_image_size()[::-1], bool)
    for f0, f1, s0, s1 in gaps(detector):
        good[s0 - 1 : s1, f0 - 1 : f1] = False
    assert np.array_equal(flumpy.to_numpy(detector[0].get_untrusted_rectangle_mask()), good)
    assert 0.02 < 1 - good.mean() < 0.1


@pytest.mark.parametrize("name", EXPECTED)
def test_resolution_at_the_corners(name):
    detector = by_name(name, distance_mm=200)
    farthest = max(np.hypot(*point[:2]) for panel in detector for point in corners(panel))
    d = factor_ev_angstrom / 9500 / 2 / math.sin(math.atan(farthest / 200) / 2)
    assert detector.get_max_resolution((0, 0, -9500 / factor_ev_angstrom)) == pytest.approx(d)
    assert detector_warnings.resolution_range(detector, np.array([9500.0]))[1] == pytest.approx(d)


# cm^2/g, from the mass attenuation coefficients of silicon of NIST (Hubbell & Seltzer): 64.68 at 8, 33.89 at 10 and
# 10.34 at 15 keV, with a power law between them; 2.33 g/cm^3.
SILICON = {9500: 39.32, 12400: 18.06}


@pytest.mark.parametrize("name", [name for name, (*_, thickness) in EXPECTED.items() if thickness])
@pytest.mark.parametrize("energy", SILICON)
def test_sensors_absorb_as_tabulated(name, energy):
    _, sensor = described(f"detector.name={name}", f"mean_energy={energy}")
    thickness = EXPECTED[name][-1]
    absorbed = 1 - math.exp(-thickness * 0.1 * SILICON[energy] * 2.33)
    assert 1 - math.exp(-sensor.thickness_mm / sensor.attenuation_length_mm) == pytest.approx(absorbed, rel=0.015)
    assert sensor.thickness_mm / sensor.layers <= 0.5 * EXPECTED[name][2]


@pytest.mark.parametrize("name", EXPECTED)
def test_files_bring_geometry_and_masks_back(name, tmp_path):
    detector, _ = described(f"detector.name={name}", "distance_mm=180", "beam_center_shift_mm=1.5,-2")
    shapes = [panel.get_image_size()[::-1] for panel in detector]
    write_image(tmp_path / "a.h5", np.zeros((len(detector), *shapes[0]), np.int32))
    write_master(tmp_path / "a_master.h5", [tmp_path / "a.h5"], detector, small_beam(factor_ev_angstrom / 9500))
    (found,) = ExperimentListFactory.from_filenames([str(tmp_path / "a_master.h5")])
    assert len(found.detector) == len(detector)
    for a, b in zip(found.detector, detector):
        assert corners(a) == pytest.approx(corners(b), abs=1e-9)
        assert (a.get_image_size(), a.get_trusted_range()) == (b.get_image_size(), b.get_trusted_range())
        assert (a.get_thickness(), a.get_mu()) == pytest.approx((b.get_thickness(), b.get_mu()))
    again = detectors.from_file(str(tmp_path / "a_master.h5"))
    good = [flumpy.to_numpy(panel.get_untrusted_rectangle_mask()) for panel in detector]
    for panel, mask in zip(again, good):
        assert np.array_equal(flumpy.to_numpy(panel.get_untrusted_rectangle_mask()), mask)
    if name == "pilatus3_2m":  # dxtbx's own, which takes a while
        (mask,) = found.imageset.get_mask(0)
        assert np.array_equal(mask.as_numpy_array(), good[0])


def test_detector_of_a_job_opens_where_it_truly_is(tmp_path, capsys):
    arguments = ("detector.name=cspad", "n_images=1", "mosaic_domains=2", "nchannels=2", f"output.directory={tmp_path}")
    assert main(list(arguments)) == 0, capsys.readouterr().err
    assert "2296960 pixels in 64 panels" in (out := capsys.readouterr().out) and "Readout (cspad)" in out
    assert "Detector: " not in out
    (found,) = ExperimentListFactory.from_filenames([str(tmp_path / "shot_master.h5")])
    (true,) = ExperimentListFactory.from_json_file(str(tmp_path / "shot_truth.expt"), check_format=False)
    for a, b in zip(found.detector, true.detector):
        assert corners(a) == pytest.approx(corners(b), abs=1e-9)
    counts = np.array([panel.as_numpy_array() for panel in found.imageset.get_raw_data(0)])
    assert counts.shape == (64, 185, 194) and counts.max() > 50 and counts.min() == 0


# The place of the detector


def test_distance_and_offset_add_up():
    detector, _ = described("name=jungfrau_4m", "distance_mm=150", "offset_mm=-20")
    assert {round(panel.get_distance(), 9) for panel in detector} == {130}
    detector, _ = described("name=eiger_4m")
    assert detector[0].get_distance() == pytest.approx(100)


def test_beam_centre_of_one_panel():
    for arguments, expected in (
        (["beam_center_mm=100,120.5"], (100, 120.5)),
        (["beam_center_shift_mm=1,-2"], (0.5 * 155.25 + 1, 0.5 * 162.525 - 2)),
        ([], (0.5 * 155.25, 0.5 * 162.525)),
    ):
        detector, _ = described("name=eiger_4m", *arguments)
        assert detector[0].get_ray_intersection((0, 0, -1)) == pytest.approx(expected)
        assert detector[0].get_distance() == pytest.approx(100)


def test_beam_centre_of_a_tilted_panel_from_a_file(tmp_path):
    detector = small_detector()
    detector[0].set_frame((0.8, 0, 0.6), (0, -1, 0), (-20, 22, -90))
    ExperimentList([Experiment(detector=detector, beam=small_beam())]).as_file(str(tmp_path / "tilted.expt"))
    reference = f"detector.reference={tmp_path / 'tilted.expt'}"
    fast, slow = detector[0].get_ray_intersection((0, 0, -1))
    cases = {"beam_center_shift_mm=3,-4": (fast + 3, slow - 4), "beam_center_mm=10,11": (10, 11)}
    for argument, expected in cases.items():
        found, _ = described(reference, argument)
        assert found[0].get_ray_intersection((0, 0, -1)) == pytest.approx(expected)
        assert found[0].get_fast_axis() == pytest.approx((0.8, 0, 0.6))


@pytest.mark.parametrize("name", ["jungfrau_4m", "cspad"])
def test_several_panels_are_shifted_as_a_whole(name):
    arguments = (f"detector.name={name}", "attenuation=False")
    for a, b in zip(described(*arguments)[0], described(*arguments, "beam_center_shift_mm=3,-4")[0]):
        # The beam meets them 3 mm farther to the right and 4 mm farther up: they went the other way.
        assert corners(b) - corners(a) == pytest.approx(np.tile((-3, -4, 0), (4, 1)), abs=1e-9)


REFUSED = {
    "name=eiger_4m reference=missing.expt": "detector.name and detector.reference exclude each other",
    "detector.name=None": "detector.name=None: expected rayonix_mx340, jungfrau_16m",
    "detector.name=eiger_9m": "Not a possible choice for detector.name: eiger_9m",
    "name=cspad distance_mm=0": "detector.distance_mm=0.0: expected more than 0 mm",
    "name=cspad offset_mm=-100": "detector.offset_mm=-100: expected one that leaves the detector downstream",
    "name=cspad beam_center_mm=1,2": "detector.beam_center_mm=1,2 requires a detector of one panel, but this one has 64",
    "beam_center_mm=1": "detector.beam_center_mm=1.0: expected two numbers, fast and slow, in mm",
    "beam_center_mm=1,nan": "expected two numbers, fast and slow, in mm",
    "beam_center_shift_mm=left,right": "detector.beam_center_shift_mm=left,right: expected numbers",
    "beam_center_mm=1,2 beam_center_shift_mm=3,4": "detector.beam_center_mm and detector.beam_center_shift_mm exclude each other",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_does_not_fit_is_refused(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments.split()) == 1
    error = capsys.readouterr().err
    assert error.startswith("Sorry: ") and error.count("\n") == 1 and REFUSED[arguments] in error
    assert not list(tmp_path.iterdir())


def test_beam_centre_of_a_panel_along_the_beam_is_refused(tmp_path):
    detector = small_detector()
    detector[0].set_frame((0, 0, -1), (0, -1, 0), (30, 22, -90))
    ExperimentList([Experiment(detector=detector, beam=small_beam())]).as_file(str(tmp_path / "side.expt"))
    with pytest.raises(Sorry, match="beam_center_mm=1,2 requires a detector whose plane the beam"):
        described(f"detector.reference={tmp_path / 'side.expt'}", "beam_center_mm=1,2")


def test_beam_beside_the_detector_and_reflections_beside_it_are_told():
    amplitudes = random_amplitudes()  # the largest d is 60 angstrom, the axis being absent 38.4

    def told(*arguments: str) -> list[str]:
        return detector_warnings.warnings(described(*arguments)[0], np.array([9500.0]), amplitudes)

    assert told() == []
    assert told("name=jungfrau_16m") == []
    assert told("name=eiger_4m", "beam_center_mm=-3,-4") == ["Detector: the beam passes 5 mm beside it"]
    (far,) = told("name=eiger_4m", "distance_mm=20000")
    # Of the wavelength 1.305 angstrom, the corner has 20000 / 112.4 times as much.
    assert far.startswith("Detector: no reflection reaches it; the crystal's largest d is 38.4 angstrom, and the")
    assert far.endswith("covers inf to 232 angstrom")


# Masks of files


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 10), st.integers(0, 10**6))
def test_rectangles_cover_what_is_marked(slow, fast, tenths, seed):
    marked = np.random.default_rng(seed).random((slow, fast)) < tenths / 10
    covered = np.zeros((slow, fast), int)
    for f0, s0, f1, s1 in masks.rectangles(marked):
        assert f0 < f1 and s0 < s1
        covered[s0:s1, f0:f1] += 1
    assert np.array_equal(covered, marked.astype(int))


def test_rectangles_are_few():
    marked = np.zeros((50, 60), bool)
    marked[10:20] = marked[:, 30:33] = True
    assert masks.rectangles(marked) == [(0, 10, 60, 20), (30, 0, 33, 10), (30, 20, 33, 50)]


@pytest.fixture
def with_mask(tmp_path):
    """Writes a model file that names a file with a mask; returns the argument that names the model file."""

    def write(contents: object) -> str:
        detector = small_detector(pixels=20)
        detector[0].add_mask(0, 0, 5, 5)
        if isinstance(contents, bytes):
            (tmp_path / "pixels.mask").write_bytes(contents)
        elif contents is not None:
            (tmp_path / "pixels.mask").write_bytes(pickle.dumps(contents, 2))
        experiments = ExperimentListFactory.from_filenames([str(_image(tmp_path, detector))])
        experiments[0].imageset.external_lookup.mask.filename = str(tmp_path / "pixels.mask")
        experiments.as_file(str(tmp_path / "masked.expt"))
        return f"detector.reference={tmp_path / 'masked.expt'}"

    return write


def _image(directory, detector):
    write_image(directory / "b.h5", [np.zeros(panel.get_image_size()[::-1], np.int32) for panel in detector])
    write_master(directory / "b_master.h5", [directory / "b.h5"], detector, small_beam())
    return directory / "b_master.h5"


def test_mask_of_a_model_file_is_kept(with_mask):
    mask = np.ones((20, 20), bool)
    mask[3, 4] = mask[7:9, 10:12] = False
    found, _ = described(with_mask((flex.bool(mask),)))
    assert np.array_equal(flumpy.to_numpy(found[0].get_untrusted_rectangle_mask()), mask)


@pytest.mark.parametrize(
    "contents, message",
    [
        (None, "pixels.mask, but there is no such file"),
        (b"\x80nothing", "pixels.mask, but reading it failed"),
        ((1, 2), "pixels.mask, but it holds something else"),
        ((flex.bool(flex.grid(3, 4), True),), "expected a mask with the panels of its detector, 1 of 20x20, not 1 of"),
    ],
)
def test_damaged_mask_is_refused(with_mask, contents, message):
    with pytest.raises(Sorry, match=f"detector.reference=.*{message}"):
        described(with_mask(contents))


def test_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="name='rayonix': expected one of rayonix_mx340, .*cspad"):
        by_name("rayonix")


@pytest.mark.parametrize(
    "given, expected",
    [((10, 1000), (10, 1000)), ((0, 1000), (lower_end(0), 1000)), ((-1, 1000), (lower_end(0), 1000))],
)
def test_lower_end_of_the_trusted_range_is_kept(tmp_path, given, expected):
    detector = small_detector()
    detector[0].set_trusted_range(given)
    path = saved(tmp_path / "low.expt", detector, small_beam())
    found, _ = described(f"detector.reference={path}")
    assert found[0].get_trusted_range() == expected
    reference = from_parameters.reference(parameters.parse([f"detector.reference={path}"]).extract())
    told = from_parameters.messages(parameters.parse([]).extract(), reference, None, 9500)
    assert any(f"Counts up to {lowest_valid(10) - 1} are not trusted" in line for line in told) == (given[0] == 10)
    write_image(tmp_path / "b.h5", [np.zeros((96, 96), np.int32)])
    write_master(tmp_path / "b_master.h5", [tmp_path / "b.h5"], found, small_beam())
    with h5py.File(tmp_path / "b_master.h5") as file:
        assert file["entry/instrument/detector/underload_value"][()] == lowest_valid(expected[0])
    again = ExperimentListFactory.from_filenames([str(tmp_path / "b_master.h5")])[0].detector
    assert again[0].get_trusted_range() == expected


def test_reversed_rectangles_and_far_panels_are_refused(tmp_path):
    detector = small_detector(20)
    detector[0].add_mask(10, 10, 5, 5)
    with pytest.raises(Sorry, match=r"untrusted rectangles \(mask\) within its 20 x 20 pixels, the first pixel first"):
        described(f"detector.reference={saved(tmp_path / 'mask.expt', detector, small_beam())}")
    detector = small_detector(20, distance_mm=1e12)
    with pytest.raises(Sorry, match="an origin within 1e\\+06 mm of the sample"):
        described(f"detector.reference={saved(tmp_path / 'far.expt', detector, small_beam())}")
