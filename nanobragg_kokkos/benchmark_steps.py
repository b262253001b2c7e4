"""The steps of an image that the benchmark times, through the package's public interface."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Callable, Iterator, Sequence

from nanobragg_kokkos import workloads
from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.simulation import Simulation

STEPS = ("spots", "background", "sum")
ENGINES = ("pixel", "reflection")


@dataclass(frozen=True)
class Step:
    """One step of an image.

    Args:
        name: one of STEPS.
        run: changes the image.
        engine: of spots, one of ENGINES.
        sample: of a background.
    """

    name: str
    run: Callable[[], None]
    engine: str | None = None
    sample: str | None = None


def steps(
    workload: ext.Workload, image: Simulation, names: Sequence[str], engines: Sequence[str]
) -> Iterator[Step]:
    """The steps that are asked for, as far as the workload has them, one after the other made ready to be run.

    Args:
        image: of the workload.
        names: some of STEPS.
        engines: some of ENGINES.
    """
    for name in STEPS:
        if name in names and name in workload.steps:
            yield from _MAKERS[name](workload, image, engines)


def _spots(workload: ext.Workload, image: Simulation, engines: Sequence[str]) -> Iterator[Step]:
    chosen = [engine for engine in workload.engines if engine in engines]
    if not chosen:
        return
    crystal, structure_factors = workloads.crystal(workload), workloads.structure_factors(workload)
    structure_factors.on_device  # goes there once for many images, so it is no part of one
    for engine in chosen:
        yield Step("spots", partial(image.add_spots, crystal, structure_factors, engine), engine=engine)


def _background(workload: ext.Workload, image: Simulation, engines: Sequence[str]) -> Iterator[Step]:
    for sample, amorphous in workloads.backgrounds(workload).items():
        yield Step("background", partial(image.add_background, amorphous), sample=sample)


def _sum(workload: ext.Workload, image: Simulation, engines: Sequence[str]) -> Iterator[Step]:
    more = workloads.simulation(workload)
    more.add_background(workloads.backgrounds(workload)["water"])
    yield Step("sum", partial(image.add, more))


_MAKERS = {"spots": _spots, "background": _background, "sum": _sum}
