"""nanobragg_kokkos.view: what is where in a picture, and what it says of what it cannot show."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from dxtbx.model import Experiment, ExperimentList
from helpers.small_models import small_beam, small_detector
from PIL import Image

from nanobragg_kokkos.files.picture import OVERLOAD_COLOUR, SPOT_COLOUR, Marks, draw
from nanobragg_kokkos.files.picture_layout import lay_out, region_to_resolution
from nanobragg_kokkos.files.reader import ImageReader
from nanobragg_kokkos.job.command import main as simulate
from nanobragg_kokkos.models.detector.trusted_range import lower_end
from nanobragg_kokkos.report.view import _one_panel, main


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Two images on two panels of 150 x 90 pixels, one above the other, 3 pixels apart, trusted to 5000."""
    directory = tmp_path_factory.mktemp("run")
    detector = small_detector(pixels=150, pixel_mm=1.0)
    top, bottom = detector[0], detector.add_panel(detector[0])
    for panel, y in ((top, 91.5), (bottom, -1.5)):
        panel.set_image_size((150, 90))
        panel.set_local_frame((1, 0, 0), (0, -1, 0), (-75, y, -80))
        panel.set_trusted_range((lower_end(0), 5000))
    detector[1].set_name("lower")
    ExperimentList([Experiment(detector=detector, beam=small_beam())]).as_file(str(directory / "two.expt"))
    few = ("n_images=2", "crystal.mosaic_domains=3", "spectrum.nchannels=5", "oversample=1")
    assert simulate([f"detector.reference={directory / 'two.expt'}", f"output.directory={directory}", *few]) == 0
    return directory


def test_images_are_read_with_their_overloads(run):
    frames = ImageReader([run / "shot_master.h5", run / "shot_master.h5"])
    assert len(frames) == 4
    frame = frames[1]
    assert [panel.shape for panel in frame.panels] == [(90, 150), (90, 150)]
    assert all(mask.all() for mask in frame.masks)
    brighter = [panel > 5000 for panel in frame.panels]
    assert sum(b.sum() for b in brighter) > 0
    assert all((a == b).all() for a, b in zip(frame.overloads, brighter))


def test_region_holds_its_pixels_and_marks_are_on_them():
    detector, beam = small_detector(), small_beam()
    image = np.arange(96 * 96).reshape(96, 96)
    layout = lay_out([image], None, detector, beam, 100, region=(10, 20, 30, 40))
    assert layout.enlarged == 5 and layout.values.shape == (100, 100)
    assert (layout.values[::5, ::5] == image[20:40, 10:30]).all()
    assert layout.place(0, np.array([12.5]), np.array([20.5])) == pytest.approx(np.array([[12.5, 2.5]]))
    assert layout.count(np.zeros(3, int), np.array([12.5, 9.5, 12.0]), np.array([20.5, 20.5, 41.0])) == 1


def test_panel_alone_is_where_it_was(run):
    frame = ImageReader([run / "shot_master.h5"])[0]
    one, _ = _one_panel(frame, None, 1)
    for pixel in ((0, 0), (100, 50)):
        assert one.detector[0].get_pixel_lab_coord(pixel) == pytest.approx(frame.detector[1].get_pixel_lab_coord(pixel))
    assert (one.panels[0] == frame.panels[1]).all()


def test_region_of_a_resolution_ends_there():
    detector, beam = small_detector(), small_beam()
    left, top, right, bottom = region_to_resolution(detector, beam, 6.0)
    for x, y in ((left, 48), (right, 48), (48, top), (48, bottom)):
        assert detector[0].get_resolution_at_pixel(beam.get_s0(), (x, y)) == pytest.approx(6.0, rel=1e-3)


def test_overloads_are_red_and_spots_are_circled():
    detector, beam = small_detector(), small_beam()
    image = np.random.default_rng(1).poisson(5, (96, 96))
    overloads = np.zeros((96, 96), bool)
    overloads[40, 50] = True
    layout = lay_out([image], None, detector, beam, 480, [overloads])
    marks = Marks(np.array([0]), np.array([20.5]), np.array([70.5]))
    drawn = np.array(Image.open(io.BytesIO(draw(layout, marks, mark_radius=15))).convert("RGB"))
    assert drawn.shape[:2] == layout.values.shape
    red = (np.abs(drawn - np.array(OVERLOAD_COLOUR)).sum(axis=2) < 30).nonzero()
    assert [200 <= index.min() <= index.max() < 205 for index in red[:1]] == [True]
    assert 250 <= red[1].min() <= red[1].max() < 255
    rows, columns = (np.abs(drawn - np.array(SPOT_COLOUR)).sum(axis=2) < 60).nonzero()
    assert (rows.mean(), columns.mean()) == pytest.approx((352, 102), abs=1.5)
    assert np.hypot(rows - 352, columns - 102).mean() == pytest.approx(15, abs=1.5)


def test_picture_of_a_part(run, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    master = str(run / "shot_master.h5")
    assert main([master, "n=2", f"truth={run / 'shot_truth.expt'}", "size=300"]) == 0
    assert "shot_master_2.png, with " in capsys.readouterr().out
    assert max(Image.open("shot_master_2.png").size) > 250
    assert main([master, "zoom=75,95,40", "output=part.png", "size=400", "range=0,50"]) == 0
    assert main([master, "panel=1", "d_min=3", "output=lower.png"]) == 0
    sizes = [Image.open(name).size for name in ("part.png", "lower.png")]
    assert sizes[0][0] > 400 and sizes[1][0] > sizes[1][1]


WRONG = {
    "no_file": ([], "No file: expected one image file or more"),
    "missing": (["missing.h5"], "missing.h5: there is no such file"),
    "no_image": (["MASTER", "n=3"], "n=3: expected at most 2, the number of images"),
    "zeroth_image": (["MASTER", "n=0"], "n=0: expected a whole number, 1 or more"),
    "two_numbers": (["MASTER", "zoom=1,2"], "zoom=1,2: expected numbers"),
    "nowhere": (["MASTER", "zoom=1000,2,10"], "zoom=1000,2,10: expected a place in an image of 150 x 183 pixels"),
    "nothing": (["MASTER", "zoom=10,20,0"], "zoom=10.0 20.0 0.0: expected x,y,size, with a size of 1 pixel or more"),
    "negative_resolution": (["MASTER", "d_min=-2"], "d_min=-2.0: expected more than 0 angstrom"),
    "both": (["MASTER", "d_min=2", "zoom=1,2,3"], "zoom=1,2,3 and d_min=2 exclude each other"),
    "no_panel": (["MASTER", "panel=2"], "panel=2: expected 0 to 1"),
    "upside_down": (["MASTER", "range=5,1"], "range=5.0 1.0: expected two counts, the lower one first"),
    "huge": (["MASTER", "size=100000"], "size=100000: expected 100 to 10000"),
    "no_truth": (["MASTER", "truth=missing.expt"], "truth=missing.expt: there is no such file"),
    "misspelt": (["MASTER", "zom=3"], "zom: there is no such parameter. Did you mean zoom?"),
    "not_an_image": (["TEXT"], "expected an image"),
    "no_directory": (["MASTER", "output=missing/a.png"], "the directory"),
}


@pytest.mark.parametrize("arguments, message", WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_refused(arguments, message, run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = tmp_path / "text.cbf"
    text.write_text("not an image")
    names = {"MASTER": str(run / "shot_master.h5"), "TEXT": str(text)}
    assert main([names.get(argument, argument) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Sorry: ") and error.count("\n") == 1 and message in error
    assert list(tmp_path.iterdir()) == [text]
