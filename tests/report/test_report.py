"""nanobragg_kokkos.report: what is on the page, that it needs nothing else, and that browsers show it so."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from dxtbx.model import Crystal, Experiment, ExperimentList, Goniometer, Scan
from helpers.small_models import small_beam, small_crystal, small_detector
from PIL import Image

from nanobragg_kokkos.files.nxmx import write_image, write_master
from nanobragg_kokkos.files.true_models import write_experiments
from nanobragg_kokkos.imaging.image_simulator import ImageSimulator
from nanobragg_kokkos.imaging.prediction import predict
from nanobragg_kokkos.job.command import main as simulate
from nanobragg_kokkos.models.detector.trusted_range import lower_end
from nanobragg_kokkos.report import warnings
from nanobragg_kokkos.report.command import main
from nanobragg_kokkos.report.run import Run
from nanobragg_kokkos.report.statistics import Shells, statistics

# A name that would be seen as what it says, were it not escaped.
PREFIX = "<script>alert(1)<!--&amp"


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """Three images with overloads, on a small detector."""
    directory = tmp_path_factory.mktemp("run")
    detector = small_detector(pixels=200, pixel_mm=0.5)
    detector[0].set_trusted_range((lower_end(0), 3000))
    ExperimentList([Experiment(detector=detector, beam=small_beam())]).as_file(str(directory / "small.expt"))
    arguments = (
        "n_images=3",
        f"output.prefix={PREFIX}",
        "crystal.mosaic_domains=10",
        "spectrum.nchannels=30",
        "Deff_A=500",
        "oversample=3",
    )
    assert (
        simulate([f"detector.reference={directory / 'small.expt'}", f"output.directory={directory}", *arguments]) == 0
    )
    return directory


@pytest.fixture(scope="module")
def page(run) -> str:
    assert main([str(run), "pngs=True"]) == 0
    return (run / f"{PREFIX}_report.html").read_text()


class _Page(HTMLParser):
    """Tags, what is fetched, and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href", "srcset", "data", "action")]

    def handle_data(self, data):
        self.text.append(data)


def test_page_needs_nothing_else_and_text_stays_text(page):
    read = _Page(page)
    assert len(read.sources) >= 8 and all(source.startswith("data:image/") for source in read.sources)
    assert not {"script", "link", "iframe", "b"} & set(read.tags)
    assert "url(" not in page and "@import" not in page
    text = " ".join(read.text)
    assert f"{PREFIX}: 3 simulated images" in text
    assert html.escape(PREFIX, quote=False) in page
    for heading in ("Warnings", "Images", "Spots", "Counts", "Beam and crystals", "Time", "Parameters"):
        assert heading in read.text
    assert "n_images" in text and "differ from the defaults" in text and "images/s; 0 failures." in text
    assert "Overloads: " in text


@pytest.mark.parametrize("contents", ["", "[]", '{"images": 3}', '{"images": 3, "ranks": [{}], "seconds": "long"}'])
def test_damaged_summary_is_left_out(run, contents):
    path = run / f"{PREFIX}_summary.json"
    whole = path.read_text()
    try:
        path.write_text(contents)
        assert Run(run).summary is None
    finally:
        path.write_text(whole)
    assert Run(run).summary["images"] == 3


def test_images_that_failed_are_told_and_left_out(tmp_path, monkeypatch, capsys):
    """In a file of 16 bits, in which pixels without a measurement read more than any overload."""
    make = ImageSimulator.start

    def call(self, image):
        if image in (0, 2):
            raise ValueError("no photons")
        return make(self, image)

    ExperimentList([Experiment(detector=small_detector(100, 1.0), beam=small_beam())]).as_file(str(tmp_path / "d.expt"))
    arguments = [f"detector.reference={tmp_path / 'd.expt'}", f"output.directory={tmp_path}", "Deff_A=500",
                 "detector_response.data_type=uint16", "crystal.mosaic_domains=2", "n_images=4"]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(ImageSimulator, "start", call)
        assert simulate(arguments) == 1
    capsys.readouterr()
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "Warning: Failures: 2 of 4 images could not be made and contain no measurement: 1, 3." in said
    assert "Overloads" not in said
    text = " ".join(_Page((tmp_path / "shot_report.html").read_text()).text)
    assert "Statistics cover images 2 and 4." in text and "2 failures" in text
    run = Run(tmp_path)
    assert run.there == [1, 3] and not run.frames[0].masks[0].any() and run.frames[1].masks[0].any()


@pytest.mark.parametrize(
    "names, message",
    [
        (("job.phil",), "expected one finished run in this directory (*_master.h5), but there is: none"),
        (("shot.phil", "shot_00001.h5"), "expected a finished run, but there is no shot_master.h5"),
        (("shot.phil", "shot_rank_00000_sums.h5"), "expected images, but shot.phil has output.images=False"),
        (("shot.phil", "shot_reduced.h5"), "expected images, but shot.phil has output.images=False"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_directory_without_images_says_why(names, message, tmp_path, capsys):
    for name in names:
        (tmp_path / name).touch()
    assert main([str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"Sorry: {tmp_path}: ") and error.count("\n") == 1 and message in error


def test_figures_are_there_as_png(page, run):
    names = sorted(path.name for path in (run / f"{PREFIX}_report").iterdir())
    assert [name for name in names if name.startswith("image_")] == [f"image_{k:05d}.png" for k in (1, 2, 3)]
    assert {"spectra.png", "orientations.png", "histogram.png", "background.png", "close_ups.png"} <= set(names)
    for name in names:
        assert min(Image.open(run / f"{PREFIX}_report" / name).size) > 200


def test_statistics_are_those_of_the_pixels(run):
    found = Run(run)
    frame, spots = found.frames[0], found.spots(0, 2.0)
    shells = Shells(frame.detector, frame.beam)
    image = frame.panels[0]
    looked = statistics(frame, spots.select(np.zeros(0, int)), shells, found.scale, 3)
    assert looked.histogram.sum() == image.size and looked.histogram[7] == (image == 7).sum()
    assert looked.overloaded == (image > 3000).sum() > 0 and looked.brightest == image.max()
    inverse = np.array([[1 / frame.detector[0].get_resolution_at_pixel(frame.beam.get_s0(), (x + 0.5, y + 0.5))
                         for x in range(200)] for y in range(200)])  # fmt: skip
    shell = (inverse >= shells.edges[20]) & (inverse < shells.edges[21])
    assert looked.background[20] == pytest.approx(image[shell].mean(), rel=0.02)
    assert shells.of_pixels[0][shell] == pytest.approx(20)


def test_spots_are_brighter_than_what_is_around(run):
    found = Run(run)
    spots = found.spots(1, 1.8)
    bright = spots.select(spots.photons > 300)
    frame = found.frames[1]
    measured = statistics(frame, bright, Shells(frame.detector, frame.beam), found.scale, 3).measured
    trusted = ~measured.overloaded
    assert trusted.sum() >= 5
    assert np.median((measured.photons / measured.spots.photons)[trusted]) == pytest.approx(1, abs=0.25)


def test_run_of_which_little_is_known(tmp_path):
    """A rotation of two crystals, of which no parameters, amplitudes or photons are known."""
    detector, beam = small_detector(), small_beam()
    detector[0].set_trusted_range((lower_end(0), 1000))
    scan, goniometer = Scan((1, 3), (10.0, 0.5)), Goniometer((1, 0, 0))
    crystals = [small_crystal(seed).model for seed in (1, 2)]
    random = np.random.default_rng(1)
    files = [tmp_path / f"run_{k}.h5" for k in range(3)]
    for file in files:
        write_image(file, [random.poisson(5, (96, 96)).astype(np.int32)])
    master = tmp_path / "run_master.h5"
    write_master(master, files, detector, beam, scan=scan, goniometer=goniometer)
    truth = {"scan": scan, "goniometer": goniometer}
    write_experiments(tmp_path / "run_truth.expt", master, detector, beam, crystals, **truth)
    found = Run(tmp_path)
    assert (found.n_images, len(found.crystals(2)), len(found.all_crystals)) == (3, 2, 2)
    # What the third image shows is what a still shows of the crystals as they lie then.
    spots = found.spots(2, 3.0)
    turned = [Crystal(crystal) for crystal in crystals]
    for crystal in turned:
        crystal.rotate_around_origin((1, 0, 0), 11.25, deg=True)
    still = predict(turned, found.pulse(2), detector, 3.0)
    shared = {tuple(hkl): k for k, hkl in enumerate(still.miller_indices) if still.crystals[k] == 0}
    pairs = [
        (k, shared[tuple(hkl)])
        for k, hkl in enumerate(spots.miller_indices)
        if tuple(hkl) in shared and not spots.crystals[k]
    ]
    assert len(pairs) > 10
    a, b = np.array(pairs).T
    assert np.median(np.hypot(spots.fast[a] - still.fast[b], spots.slow[a] - still.slow[b])) < 0.5
    assert main([str(tmp_path)]) == 0
    shown = _Page((tmp_path / "run_report.html").read_text()).text
    assert "0.5° per image, from 10°" in shown
    text = " ".join(_Page((tmp_path / "run_report.html").read_text()).text)
    assert "run.phil is missing or of another version" in text and "unknown" in text


def test_gap_between_panels():
    detector = small_detector(pixels=100, pixel_mm=0.5)
    assert warnings.narrowest_gap(detector) == float("inf")
    for k in (1, 2):
        panel = detector.add_panel(detector[0])
        panel.set_local_frame((1, 0, 0), (0, -1, 0), (-25 + k * (50 + 2 * k), 25, -80))
    assert warnings.narrowest_gap(detector) == pytest.approx(4)


WRONG = {
    "nothing": ([], "expected one master file of a run"),
    "missing": (["missing"], "missing: there is no such file or directory"),
    "empty": (["."], "expected one finished run in this directory (*_master.h5), but there is: none"),
    "something_else": (["TEXT"], "expected the master file of a run (*_master.h5) or its directory"),
    "hollow": (["HOLLOW"], "hollow_master.h5: expected an image"),
    "no_image": (["RUN", "images=0"], "images=0: expected a whole number, 1 or more"),
    "no_photons": (["RUN", "photons=0"], "photons=0.0: expected more than 0 photons"),
    "no_directory": (["RUN", "images=1", "output=missing/a.html"], "the directory"),
}


@pytest.mark.parametrize("arguments, message", WRONG.values(), ids=WRONG)
def test_what_makes_no_sense_is_refused(arguments, message, run, tmp_path, monkeypatch, capsys):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "hollow_master.h5").write_text("nothing")
    (tmp_path / "text").write_text("nothing")
    names = {"RUN": str(run), "HOLLOW": str(tmp_path / "hollow_master.h5"), "TEXT": str(tmp_path / "text")}
    assert main([names.get(argument, argument) for argument in arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Sorry: ") and error.count("\n") == 1 and message in error
    assert list((tmp_path / "here").iterdir()) == []


MEASURE = """<script>addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter(e => !e.closest(".scroll") &&
    e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName);
  const dark = [...document.images].filter(i => !i.complete || i.naturalWidth == 0).length;
  parent.postMessage([innerWidth, document.documentElement.scrollWidth, dark, wide.join(" ")].join(";"), "*");
});</script>"""


@pytest.mark.skipif(not shutil.which("chromium"), reason="Chromium is not installed")
@pytest.mark.parametrize("width", [360, 1280])
def test_browser_shows_it_without_errors(width, page, tmp_path):
    """In a frame as wide as a phone or a screen, as headless Chromium makes no narrow windows."""
    # What measures is a script, which the page itself allows none of.
    without_policy, changed = re.subn(r"<meta [^>]*Content-Security-Policy[^>]*>", "", page)
    assert changed == 1
    (tmp_path / "page.html").write_text(without_policy.replace("</body>", MEASURE + "</body>"))
    (tmp_path / "original.html").write_text(page)
    (tmp_path / "frame.html").write_text(
        "<!DOCTYPE html><p id=said></p>"
        "<script>onmessage = m => document.getElementById('said').textContent = m.data</script>"
        f"<iframe src=page.html width={width} height=900 style='border:0'></iframe>"
        f"<iframe src=original.html width={width} height=900></iframe>"
    )
    done = subprocess.run(
        ["chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
         "--virtual-time-budget=10000", f"--window-size={width + 100},1000", f"--user-data-dir={tmp_path / 'profile'}",
         "--dump-dom", f"file://{tmp_path / 'frame.html'}"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    said = re.search(r'id="said">([^<]*)<', done.stdout)
    assert said, done.stderr[-2000:]
    assert said.group(1) == f"{width};{width};0;"
    assert "CONSOLE" not in done.stderr
