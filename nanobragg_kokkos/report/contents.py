"""Builds the sections of a report: their figures, tables and texts."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from matplotlib.figure import Figure

import nanobragg_kokkos
from nanobragg_kokkos.files.picture import Marks, draw
from nanobragg_kokkos.files.picture_layout import lay_out
from nanobragg_kokkos.files.reader import StoredImage
from nanobragg_kokkos.imaging.prediction import Spots
from nanobragg_kokkos.imaging.spot_size import SpotSize, spot_size
from nanobragg_kokkos.job import parameters, summary
from nanobragg_kokkos.report import figures, warnings
from nanobragg_kokkos.report.page import element, facts, page, picture, table
from nanobragg_kokkos.report.run import Run
from nanobragg_kokkos.report.statistics import Shells, Statistics, statistics
from nanobragg_kokkos.util import phil
from nanobragg_kokkos.util.progress import counted

PICTURE_SIZE = 960

# Limits to the radius of the box around a spot, pixels.
RADII = (3, 15)


@dataclass
class Report:
    """A page and its pictures.

    Attributes:
        html: contents of the page's file.
        pngs: contents of the PNG files, by file name.
        warnings: sentences, in the order of the page.
    """

    html: bytes
    pngs: dict[str, bytes]
    warnings: list[str]


@dataclass
class _Look:
    """The examined images of a run, with the predictions and measurements for each.

    Attributes:
        images: numbers of the examined images, counted from 0.
        d_min: resolution at the corner of the detector, angstrom.
        min_photons: least expected photons of an examined spot.
        sizes: expected spot sizes at several resolutions.
        radius: half the side of the box around a spot, pixels.
        found, spots: statistics and predicted spots, one for each image.
        first: the first examined image.
    """

    run: Run
    images: list[int]
    d_min: float
    min_photons: float
    shells: Shells
    sizes: list[SpotSize]
    radius: int
    first: StoredImage
    found: list[Statistics] = field(default_factory=list)
    spots: list[Spots] = field(default_factory=list)


def report(run: Run, n_images: int, min_photons: float, pngs: bool) -> Report:
    """Examines some images, evenly spread over a run, and returns the report on the whole run.

    Args:
        n_images: number of images to examine.
        min_photons: least expected photons of the spots to examine.
        pngs: whether to make the figures as PNG files, too.
    """
    look = _look(run, n_images, min_photons)
    warnings = _warnings(look)
    made: dict[str, bytes] = {}
    pictures = element("div", class_="figures wide" if len(look.images) == 1 else "figures")
    for image, contents, caption in _pictures(look):
        made[f"image_{image + 1:05d}.png"] = contents
        pictures.append(picture(contents, "png", caption, f"Diffraction image {image + 1}"))

    def plot(figure: Figure, name: str, caption: str) -> Element:
        if pngs:
            made[f"{name}.png"] = figures.as_png(figure)
        return picture(figures.as_svg(figure), "svg+xml", caption, caption.split(".")[0], tall=name == "close_ups")

    seen = "image " + _listed(look.images) if len(look.images) == 1 else "images " + _listed(look.images)
    sections = [
        element("h1", f"{run.prefix}: {counted(run.n_images, 'simulated image')}"),
        element("p", f"{run.master}. Statistics cover {seen}.", class_="lead"),
        facts(_facts(look)),
        element("h2", "Warnings"),
        (
            element("ul", *(element("li", warning) for warning in warnings), class_="warnings")
            if warnings
            else element("p", "None: there are no overloads, and spots are sampled finely enough.", class_="none")
        ),
        element("h2", "Images"),
        element("p", _marked(look)),
        pictures,
        element("h2", "Spots"),
        element("div", *(plot(*p) for p in _spot_plots(look)), class_="figures"),
        _sizes(look),
        element("h2", "Counts"),
        element("div", *(plot(*p) for p in _count_plots(look)), class_="figures"),
        _counts(look),
        element("h2", "Beam and crystals"),
        element("div", *(plot(*p) for p in _model_plots(look)), class_="figures"),
    ]
    if run.summary is not None:
        heads = [("Seconds", ""), *((head, "number") for head in summary.COLUMNS.values())]
        rows = [(name, *summary.cells(row)) for name, row in summary.rows(run.summary)]
        sections += [element("h2", "Time"), element("p", f"{summary.headline(run.summary)}."), table(heads, rows)]
    sections += [element("h2", "Parameters"), *_parameters(run)]
    sections.append(
        element("footer", f"nanobragg_kokkos {nanobragg_kokkos.__version__}, {os.path.basename(run.master)}")
    )
    return Report(page(f"{run.prefix}: simulated images", sections), made, warnings)


def _look(run: Run, n_images: int, min_photons: float) -> _Look:
    images = [run.there[round(k)] for k in np.linspace(0, len(run.there) - 1, min(n_images, len(run.there)))]
    pulse, detector = run.pulse(0), run.truth[0].detector
    d_min = detector.get_max_resolution(pulse.beam.get_s0())
    sizes = []
    for d in (8 * d_min, 4 * d_min, 2 * d_min, 1.4 * d_min, 1.02 * d_min):
        try:
            sizes.append(spot_size(run.imperfection, pulse, detector, d))
        except ValueError:
            break
    middle = sizes[min(3, len(sizes) - 1)]
    radius = int(np.clip(math.ceil(max(middle.across, middle.along)) + 1, *RADII))
    look = _Look(run, images, d_min, min_photons, Shells(detector, pulse.beam), sizes, radius, run.frames[images[0]])
    for image in images:
        frame = look.first if image == images[0] else run.frames[image]
        spots = run.spots(image, d_min)
        known = np.isfinite(spots.photons).all()
        bright = spots.select(spots.photons >= min_photons if known else spots.excitation >= 0.1)
        bright = bright.select(frame.measures(bright.panels, bright.fast, bright.slow))
        look.spots.append(bright)
        look.found.append(statistics(frame, bright, look.shells, run.scale, radius))
    return look


def _warnings(look: _Look) -> list[str]:
    run = look.run
    params = run.parameters.extract() if run.parameters is not None else None
    found = warnings.of_failures(sorted(run.frames.missing), run.n_images) + warnings.of_images(look.found)
    found += warnings.of_models(
        run.imperfection, run.pulse(0), run.truth[0].detector, look.sizes, getattr(params, "oversample", 1)
    )
    if params is None:
        found.append(
            f"{run.file('.phil').name} is missing or of another version; the report assumes the default parameters."
        )
    return found


def _facts(look: _Look) -> list[tuple[str, str]]:
    run = look.run
    detector, pulse = run.truth[0].detector, run.pulse(0)
    pixels = sum(fast * slow for fast, slow in (panel.get_image_size() for panel in detector))
    crystal = run.all_crystals[0]
    cell = " ".join(f"{x:.4g}" for x in crystal.get_unit_cell().parameters())
    mean = float(pulse.energies_eV @ pulse.shares)
    photons = run.photons
    number = f"{photons.min():.3g}" if photons.min() == photons.max() else f"{photons.min():.2g} to {photons.max():.2g}"
    found = [
        ("Images", str(run.n_images)),
        ("Crystals", str(len(run.all_crystals))),
        ("Space group", str(crystal.get_space_group().info())),
        ("Unit cell, Å and °", cell),
        ("Detector", f"{counted(len(detector), 'panel')}, {pixels} pixels"),
        ("Resolution at the corner", f"{look.d_min:.2f} Å"),
        ("Mean energy", f"{mean:.1f} eV"),
        ("Photons per pulse", number if np.isfinite(photons).all() else "unknown"),
        (_spots_title(look), _range([len(spots) for spots in look.spots])),
    ]
    scan = run.truth[0].scan
    if scan is not None:
        start, width = scan.get_oscillation()
        found.insert(1, ("Rotation", f"{width:g}° per image, from {start:g}°"))
    return found


def _spots_title(look: _Look) -> str:
    if look.run.amplitudes is None or not math.isfinite(look.run.volume_mm3):
        return "Excited spots per image"
    return f"Spots with {look.min_photons:g} photons or more"


def _pictures(look: _Look) -> Iterator[tuple[int, bytes, str]]:
    for image, spots, found in zip(look.images, look.spots, look.found):
        frame = look.first if image == look.images[0] else look.run.frames[image]
        layout = lay_out(frame.panels, frame.masks, frame.detector, frame.beam, PICTURE_SIZE, frame.overloads)
        marks = Marks(spots.panels, spots.fast, spots.slow)
        contents = draw(layout, marks, f"{look.run.master.name}, image {image + 1}")
        caption = (
            f"Image {image + 1}: {counted(len(spots), 'predicted spot')}, brightest pixel {found.brightest:g} counts"
        )
        if found.overloaded:
            caption += f", {counted(found.overloaded, 'overloaded pixel')} (red)"
        yield image, contents, caption + "."


def _marked(look: _Look) -> str:
    title = _spots_title(look)
    return (
        f"Circles mark {title[0].lower() + title[1:]} that the true models predict. The grey scale follows the "
        "background, so that weak spots are dark, too."
    )


def _spot_plots(look: _Look) -> Iterator[tuple[Figure, str, str]]:
    close = figures.close_ups(look.first, look.found[0].measured, look.radius)
    if close is not None:
        yield (
            close,
            "close_ups",
            (
                f"The brightest spots of image {look.images[0] + 1}. The grey scale shows the square root of the "
                "counts; + marks the position that the true models predict."
            ),
        )
    yield (
        figures.signal(look.found, look.shells),
        "signal_to_background",
        (
            f"Signal to background by resolution. Photons are summed in boxes of {2 * look.radius + 1} × "
            f"{2 * look.radius + 1} pixels around the predicted spots; the pixels around a box give its background."
        ),
    )
    compared = figures.counted_against_expected(look.found)
    if compared is not None:
        yield (
            compared,
            "counted_against_expected",
            (
                "Photons counted and expected. The expected photons are von Laue's integral over the spectrum for the "
                "true amplitudes, without any simulation. Points scatter because of photon noise and because a crystal "
                "has few domains."
            ),
        )


def _count_plots(look: _Look) -> Iterator[tuple[Figure, str, str]]:
    high = min(panel.get_trusted_range()[1] for panel in look.first.detector)
    yield figures.histogram(look.found, high), "histogram", "Histogram of the counts, mean of the examined images."
    yield (
        figures.background(look.found, look.shells),
        "background",
        ("Background by resolution, without the predicted spots. Line: mean; band: range over the examined images."),
    )


def _model_plots(look: _Look) -> Iterator[tuple[Figure, str, str]]:
    run = look.run
    yield figures.spectra([run.pulse(image) for image in look.images]), "spectra", "Spectra of the examined images."
    yield (
        figures.orientations(run.all_crystals),
        "orientations",
        (
            f"Orientations of {counted(len(run.all_crystals), 'true crystal')}"
            f"{'' if run.truth[0].scan is None else ', at angle 0 of the rotation'}. The plot shows the directions of "
            "the axes as seen from the source, with the beam in the middle; circles mark angles from the beam. Equal "
            "areas contain equally many directions if all orientations are equally likely."
        ),
    )


def _sizes(look: _Look) -> Element:
    rows = [
        (f"{size.d:.2f}", *(f"{pixels:.2g}" for pixels in (size.one_domain, size.across, size.along)))
        for size in look.sizes
    ]
    heads = [
        ("Spot size at, Å", ""),
        ("one domain, pixels", "number"),
        ("across the radius", "number"),
        ("along it", "number"),
    ]
    return element(
        "details",
        element("summary", "Spot sizes"),
        element("p", "Full widths at half maximum that follow from domain size, mosaicity, spectrum and distance."),
        table(heads, rows),
        open="open",
    )


def _counts(look: _Look) -> Element:
    rows = [
        (
            str(image + 1),
            f"{found.brightest:g}",
            str(found.overloaded),
            str(found.masked),
            str(len(found.measured.spots)),
        )
        for image, found in zip(look.images, look.found)
    ]
    numbers = ("brightest pixel", "overloads", "masked pixels", "examined spots")
    return table([("Image", ""), *((name, "number") for name in numbers)], rows)


def _parameters(run: Run) -> list[Element]:
    if run.parameters is None:
        return [element("p", f"{run.file('.phil').name} is missing or of another version.")]
    changed = {found.path for found in parameters.phil_scope.fetch_diff(source=run.parameters).all_definitions()}
    heads = [("Name", ""), ("Value", ""), ("Meaning", "help")]
    rows: dict[bool, list[Any]] = {True: [], False: []}
    for found in run.parameters.all_definitions():
        value = phil.default(found.object)
        row = (element("code", found.path), element("code", value), " ".join(str(found.object.help or "").split()))
        rows[found.path in changed].append(row)
    made = [element("p", f"{counted(len(rows[True]), 'differs', 'differ')} from the defaults.")]
    if rows[True]:
        made.append(table(heads, rows[True]))
    rest = element("summary", f"{counted(len(rows[False]), 'parameter')} at the default")
    return [*made, element("details", rest, table(heads, rows[False]))]


def _listed(images: Sequence[int]) -> str:
    names = [str(image + 1) for image in images]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _range(numbers: Sequence[int]) -> str:
    return str(min(numbers)) if min(numbers) == max(numbers) else f"{min(numbers)} to {max(numbers)}"
