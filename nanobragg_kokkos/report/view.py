"""nanobragg_kokkos.view: a picture of an image, or of a part of it, without a display."""

from __future__ import annotations

import os
from pathlib import Path

import libtbx.phil
import numpy as np
from cctbx import factor_ev_angstrom
from dxtbx.model import Detector, ExperimentList
from libtbx.utils import Sorry

from nanobragg_kokkos.files.picture import Marks, draw
from nanobragg_kokkos.files.picture_layout import lay_out, region_to_resolution, whole_region
from nanobragg_kokkos.files.reader import ImageReader, StoredImage
from nanobragg_kokkos.imaging.prediction import Imperfection, ScanImage, Spots, predict
from nanobragg_kokkos.models.beam.pulses import Pulse
from nanobragg_kokkos.report import view_parameters
from nanobragg_kokkos.report.run import MASTER_END, Run
from nanobragg_kokkos.report.view_parameters import listed
from nanobragg_kokkos.util import command
from nanobragg_kokkos.util.model_files import read_models
from nanobragg_kokkos.util.progress import counted
from nanobragg_kokkos.util.reading import reading
from nanobragg_kokkos.util.whole_files import whole_file

# Pixels of a circle around a spot, at least.
SPOT_RADIUS = 5


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code of the process."""
    return command.main(
        arguments, view_parameters.help_text, lambda given: view_parameters.validated(command.split(given)[0]), _run
    )


def _run(working: libtbx.phil.scope, arguments: list[str]) -> None:
    _, files = command.split(arguments)
    if not files:
        raise Sorry("No file: expected one image file or more")
    params = working.extract()
    frames = ImageReader(files)
    if params.n > len(frames):
        raise Sorry(f"n={params.n}: expected at most {len(frames)}, the number of images")
    frame = frames[params.n - 1]
    spots = None
    if params.truth is not None:
        spots = _predicted(params.truth, params.n - 1, frame)
        # Spots of unknown brightness stay: all that are excited.
        spots = spots.select(~(spots.photons < params.photons))
        spots = spots.select(frame.measures(spots.panels, spots.fast, spots.slow))
    if params.panel is not None:
        frame, spots = _one_panel(frame, spots, params.panel)
    region = _region(params, frame)
    layout = lay_out(frame.panels, frame.masks, frame.detector, frame.beam, params.size, frame.overloads, region)
    title = f"{os.path.basename(files[0]) if len(files) == 1 else f'{len(files)} files'}, image {params.n}"
    if params.panel is not None:
        title += f", panel {params.panel}"
    marks = None if spots is None else Marks(spots.panels, spots.fast, spots.slow)
    # Enlarged pixels need larger circles.
    radius = max(0.01 * max(layout.values.shape), SPOT_RADIUS * layout.enlarged)
    contents = draw(layout, marks, title, None if params.range is None else tuple(params.range), radius)
    output = Path(params.output or f"{Path(files[0]).stem}_{params.n}.png")
    with whole_file(output) as temporary:
        Path(temporary).write_bytes(contents)
    n_spots = 0 if marks is None else layout.count(marks.panels, marks.fast, marks.slow)
    print(f"Wrote {output}" + ("" if marks is None else f", with {counted(n_spots, 'predicted spot')}"), flush=True)


def _region(params: libtbx.phil.scope_extract, frame: StoredImage) -> tuple[float, float, float, float] | None:
    if params.d_min is not None:
        region = region_to_resolution(frame.detector, frame.beam, params.d_min)
        if region is None:
            raise Sorry(f"d_min={params.d_min:g}: expected a resolution on the detector")
        return region
    if params.zoom is None:
        return None
    x, y, size = params.zoom
    width, height = whole_region(frame.detector, frame.beam)
    # Show whole pixels, as many as the size asks for.
    left, top = round(x - size / 2), round(y - size / 2)
    right, bottom = left + round(size), top + round(size)
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise Sorry(f"zoom={listed(params.zoom)}: expected a place in an image of {width:.0f} x {height:.0f} pixels")
    return left, top, right, bottom


def _one_panel(frame: StoredImage, spots: Spots | None, panel: int) -> tuple[StoredImage, Spots | None]:
    if not 0 <= panel < len(frame.detector):
        raise Sorry(f"panel={panel}: expected 0 to {len(frame.detector) - 1}")
    chosen = frame.detector[panel]
    detector = Detector()
    # A copy of the panel would lose the positions of its groups.
    detector.add_panel(chosen).set_frame(chosen.get_fast_axis(), chosen.get_slow_axis(), chosen.get_origin())
    one = StoredImage([frame.panels[panel]], [frame.masks[panel]], [frame.overloads[panel]], detector, frame.beam)
    if spots is not None:
        spots = spots.select(spots.panels == panel)
        spots.panels[:] = 0
    return one, spots


def _predicted(path: str, image: int, frame: StoredImage) -> Spots:
    """Predicts the spots of an image, counted from 0, from all files of a run or from the crystals alone."""
    d_min = frame.detector.get_max_resolution(frame.beam.get_s0())
    master = Path(path.removesuffix("_truth.expt") + MASTER_END)
    if path.endswith("_truth.expt") and master.is_file():
        run = Run(master)
        if image < run.n_images and _same_panels(run.truth, frame):
            return run.spots(image, d_min)
    experiments = _models(path)
    crystals = [e.crystal for e in experiments if e.crystal and (len(experiments) == 1 or _is_of(e, image))]
    if not crystals:
        raise Sorry(f"truth={path}: expected a crystal of image {image + 1}")
    pulse = Pulse(frame.beam, np.array([factor_ev_angstrom / frame.beam.get_wavelength()]), np.ones(1))
    first = experiments[0]
    scan_image = (
        None if first.scan is None or first.goniometer is None else ScanImage(first.goniometer, first.scan, image)
    )
    return predict(crystals, pulse, frame.detector, d_min, Imperfection(), scan_image=scan_image)


def _models(path: str) -> ExperimentList:
    with reading(f"truth={path}", "a dxtbx model file (.expt)", path):
        return read_models(path).experiments


def _is_of(experiment, image: int) -> bool:
    return experiment.scan is not None or experiment.imageset is None or image in experiment.imageset.indices()


def _same_panels(experiments: ExperimentList, frame: StoredImage) -> bool:
    sizes = [[panel.get_image_size() for panel in detector] for detector in (experiments[0].detector, frame.detector)]
    return sizes[0] == sizes[1]
