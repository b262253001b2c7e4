"""The steps of an image that the benchmark times, through the package's public interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import nanobragg_kokkos
from nanobragg_kokkos.benchmark import workloads
from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.files import nexus
from nanobragg_kokkos.files.nxmx import write_image
from nanobragg_kokkos.imaging.readout import Counts, Readout
from nanobragg_kokkos.imaging.simulation import Simulation
from nanobragg_kokkos.job.writer import Writer
from nanobragg_kokkos.models.detector.response import DetectorResponse

ENGINES = ("pixel", "reflection")


@dataclass(frozen=True)
class Step:
    """One step of an image.

    Args:
        name: one of STEPS.
        prepare: action before each run, not timed.
        run: action that is timed.
        panels: returns the panels of the image that the last run made.
        engine: engine of the spots, one of ENGINES.
        sample: sample of a background, name of a detector response, or compression of files.
        images: number of images that a run makes.
    """

    name: str
    prepare: Callable[[], None]
    run: Callable[[], object]
    panels: Callable[[], tuple[np.ndarray, ...]]
    engine: str | None = None
    sample: str | None = None
    images: int = 1


def chosen(workload: ext.Workload, names: Sequence[str], engines: Sequence[str]) -> list[str]:
    """Returns the given steps that the workload and the device have, in order.

    Args:
        names: some of STEPS.
        engines: some of ENGINES.
    """
    missing = set()
    if not set(engines) & set(workload.engines):
        missing.add("spots")
    if nanobragg_kokkos.backend()["device"] == "host":
        missing.add("transfer")
    return [name for name in STEPS if name in names and name in workload.steps and name not in missing]


def steps(workload: ext.Workload, names: Sequence[str], engines: Sequence[str]) -> Iterator[Step]:
    """Yields the chosen steps, each of them ready to run."""
    image = workloads.simulation(workload)
    names = chosen(workload, names, engines)
    for name in names:
        if name in _OF_EXPECTED_PHOTONS:
            yield from _OF_EXPECTED_PHOTONS[name](workload, image, engines)
    if set(names) & set(_OF_WHOLE_IMAGES):
        batch = _Batch(workload, image)
        for name in names:
            if name in _OF_WHOLE_IMAGES:
                yield from _OF_WHOLE_IMAGES[name](batch)


def _spots(workload: ext.Workload, image: Simulation, engines: Sequence[str]) -> Iterator[Step]:
    crystal, structure_factors = workloads.crystal(workload), workloads.structure_factors(workload)
    _ = structure_factors.on_device  # sent once for many images, so it is not timed
    for engine in workload.engines:
        if engine in engines:
            run = partial(image.add_spots, crystal, structure_factors, engine)
            yield Step("spots", image.clear, run, lambda: image.image, engine=engine)


def _background(workload: ext.Workload, image: Simulation, engines: Sequence[str]) -> Iterator[Step]:
    samples = workloads.backgrounds(workload)

    def prepare() -> None:
        image.add_background(*samples.values())  # replaces the kept image of one sample by that of both
        image.clear()

    for sample, amorphous in samples.items():
        yield Step("background", prepare, partial(image.add_background, amorphous), lambda: image.image, sample=sample)


def _sum(workload: ext.Workload, image: Simulation, engines: Sequence[str]) -> Iterator[Step]:
    more = workloads.simulation(workload)
    more.add_background(workloads.backgrounds(workload)["water"])
    yield Step("sum", image.clear, partial(image.add, more), lambda: image.image)


class _Batch:
    """Images from the crystal to the counts and the file, made as in a job; keeps what all images share."""

    def __init__(self, workload: ext.Workload, image: Simulation) -> None:
        self._workload = workload
        self._image = image
        self._structure_factors = workloads.structure_factors(workload)
        self._samples = tuple(workloads.backgrounds(workload).values())
        self._responses = workloads.responses(workload)
        self._counts: Counts | None = None  # of the latest image

    def response(self) -> Iterator[Step]:
        self._simulate(0)
        for sample, response in self._responses.items():
            run = partial(self._start, self._readout(response), 0)
            yield from self._step("response", self._finish, run, sample=sample)

    def transfer(self) -> Iterator[Step]:
        self._simulate(0)
        readout = self._readout(self._responses["noise"])

        def prepare() -> None:
            self._finish()
            self._start(readout, 0)

        yield from self._step("transfer", prepare, self._panels)

    def image(self) -> Iterator[Step]:
        for sample, response in self._responses.items():
            run = partial(self._simulate_all, self._readout(response))
            yield from self._step("image", _nothing, run, sample=sample, images=self._workload.images)

    def write(self) -> Iterator[Step]:
        self._simulate(0)
        self._start(self._readout(self._responses["noise"]), 0)
        with TemporaryDirectory() as directory:
            run = partial(write_image, Path(directory) / "image.h5", self._panels())
            yield from self._step("write", _nothing, run, sample=nexus.compressor())

    def job(self) -> Iterator[Step]:
        """Yields the same step as image, with a thread that waits for the counts and writes them."""
        readout = self._readout(self._responses["noise"])

        def run() -> None:
            for number in range(self._workload.images):
                self._simulate(number)
                self._start(readout, number)
                writer.put(self._counts)

        with TemporaryDirectory() as directory:
            path = Path(directory) / "image.h5"
            with Writer(lambda counts: write_image(path, counts.panels())) as writer:
                sample, images = nexus.compressor(), self._workload.images
                yield from self._step("job", _nothing, run, sample=sample, images=images)
                writer.finish()

    def _step(self, name: str, prepare: Callable[[], None], run: Callable[[], object], **more: Any) -> Iterator[Step]:
        yield Step(name, prepare, run, self._panels, **more)
        self._finish()

    def _readout(self, response: DetectorResponse) -> Readout:
        return Readout(self._image, response, saturation=self._workload.saturation, dtype=np.uint16)

    def _simulate(self, number: int) -> None:
        """Simulates the expected photons of an image of the batch."""
        crystal = workloads.crystal(self._workload, number)
        self._image.clear()
        self._image.add_background(*self._samples)
        self._image.add_spots(crystal, self._structure_factors, "reflection")

    def _simulate_all(self, readout: Readout) -> None:
        """Simulates a batch; waits for the counts of an image after the start of the next one, or in the next run."""
        for number in range(self._workload.images):
            self._simulate(number)
            earlier = self._counts
            self._start(readout, number)
            if earlier is not None:
                earlier.panels()

    def _start(self, readout: Readout, number: int) -> None:
        self._counts = readout.start(seed=1, image=number)

    def _panels(self) -> tuple[np.ndarray, ...]:
        assert self._counts is not None  # every step starts some before it is timed
        return self._counts.panels()

    def _finish(self) -> None:
        """Waits for the latest counts and drops them, which leaves their memory to the next image."""
        if self._counts is not None:
            self._counts.panels()
        self._counts = None


def _nothing() -> None:
    pass


_OF_EXPECTED_PHOTONS = {"spots": _spots, "background": _background, "sum": _sum}
_OF_WHOLE_IMAGES = {
    "response": _Batch.response,
    "transfer": _Batch.transfer,
    "image": _Batch.image,
    "write": _Batch.write,
    "job": _Batch.job,
}
STEPS = (*_OF_EXPECTED_PHOTONS, *_OF_WHOLE_IMAGES)
