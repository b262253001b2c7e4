"""Expected photons of many small experiments and of a default job, on one machine and again on another.

    expected_images.py write FILE      simulates and keeps the experiments with their images
    expected_images.py compare FILE    simulates the same again; exit code 1 if an image differs

The file holds the models themselves, not the recipe for them: libraries of another processor may round a cosine or a
sum otherwise, and it is the kernels that are compared. It is a pickle: read none that you have not made.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from cctbx import crystal as cctbx_crystal
from dxtbx.model import Crystal as CrystalModel
from dxtbx.model import Detector
from scitbx.array_family import flex

import nanobragg_kokkos
from nanobragg_kokkos import (
    Amorphous,
    Crystal,
    Rotation,
    SensorLayers,
    Simulation,
    Sources,
    StructureFactors,
    air,
    water,
)
from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.job import parameters

TOLERANCE = 1e-12  # of the brightest pixel
MOST_PIXELS = 1_000_000  # that are kept of an image one by one
STRIDE = 61  # prime: a thinned image has pixels of all rows and columns

CELL = (31.0, 40.0, 52.0, 83.0, 97.0, 104.0)
EVERY_SHAPE = {
    "square": ("pixel",),
    "round": ("pixel",),
    "gauss": ("pixel", "reflection"),
    "gauss_argchk": ("pixel", "reflection"),
    "tophat": ("pixel", "reflection"),
}


@dataclass
class Experiment:
    """What a Simulation is made of and what is added to it."""

    detector: Detector
    sources: Sources
    options: dict[str, Any]  # of the Simulation
    crystal: Crystal | None = None
    structure_factors: StructureFactors | None = None
    engine: str = "auto"
    backgrounds: tuple[Amorphous, ...] = field(default=())

    def image(self) -> np.ndarray:
        """Expected photons of all pixels in a row."""
        simulation = Simulation(self.detector, self.sources, **self.options)
        for amorphous in self.backgrounds:
            simulation.add_background(amorphous)
        if self.crystal:
            simulation.add_spots(self.crystal, self.structure_factors, self.engine)
        return np.concatenate([panel.ravel() for panel in simulation.image])


def experiments() -> Iterator[tuple[str, Experiment]]:
    """All experiments, by name."""
    for shape, engines in EVERY_SHAPE.items():
        for engine in engines:
            yield f"shape {shape}", small(engine, shape=shape)
    for engine in ("pixel", "reflection"):
        yield "layers and sub-pixels", small(engine, layers=3, oversample=2)
        yield "rotation", small(engine, rotation=Rotation((0.2, 1.0, -0.3), 12.0, 0.6, 5))
        yield "tricubic interpolation", small(engine, interpolation="tricubic")
        yield "directions and channels", small(engine, directions=3, channels=2)
        yield "masked pixels", small(engine, masked=True)
        yield "four panels, one behind", small(engine, panels=4)
        yield "beam in the panel", small(engine, panels=1, beam_in_panel=True, default_amplitude=7.0, F000=30.0)
        yield "two cells a side", small(engine, cells=2)
        yield "thousand cells a side", small(engine, cells=1000, panels=1, beam_in_panel=True, pixel_mm=1e-3, F000=30.0)
        yield (
            "everything",
            small(
                engine,
                panels=3,
                layers=2,
                oversample=2,
                rotation=Rotation((1.0, 0.0, 0.0), -3.0, 0.2, 2),
                directions=2,
                channels=2,
                masked=True,
                backgrounds=(water(0.5), air(20.0)),
            ),
        )
    yield "backgrounds", small("", panels=3, backgrounds=(water(0.5), air(20.0)))
    yield "backgrounds, layers", small("", layers=3, oversample=2, directions=2, backgrounds=(water(0.5),))
    for engine in ("pixel", "reflection"):
        yield "default job", of_job(engine)
    yield "default job, spots alone", of_job("reflection", "water_mm=0", "air_mm=0")


def small(
    engine: str,
    *,
    shape: str = "gauss_argchk",
    panels: int = 2,
    pixel_mm: float = 0.4,
    beam_in_panel: bool = False,
    layers: int = 0,
    oversample: int = 1,
    directions: int = 1,
    channels: int = 1,
    cells: int = 15,
    rotation: Rotation | None = None,
    interpolation: str = "nearest",
    masked: bool = False,
    default_amplitude: float = 0.0,
    F000: float = 0.0,
    backgrounds: tuple[Amorphous, ...] = (),
) -> Experiment:
    """A triclinic crystal of three blocks in front of tilted panels; no spots without an engine."""
    random = np.random.default_rng(5)
    detector = Detector()
    for i in range(panels):
        size = (120 - 7 * i, 90 + 11 * i)
        turn = rotation_matrix((1.0, 0.1 * i, -0.2, 0.15 * i))
        fast, slow = turn @ (1.0, 0.0, 0.0), turn @ (0.0, -1.0, 0.0)
        beside = (0.0, 0.0) if beam_in_panel else (35.0 * (-1) ** i, 20.0 * i - 10.0)
        centre = np.array([*beside, 80.0 if i == 3 else -80.0 - i])
        panel = detector.add_panel()
        panel.set_pixel_size((pixel_mm, pixel_mm * (1.5 if i else 1.0)))
        panel.set_image_size(size)
        origin = centre - 0.5 * pixel_mm * (size[0] * fast + size[1] * slow)
        panel.set_frame(tuple(fast), tuple(slow), tuple(origin))

    n = 6 * directions
    tilts = random.uniform(-0.01, 0.01, (directions, 3)) * (directions > 1)
    sources = Sources(
        wavelengths=1.2 * (1 + 0.01 * random.uniform(-1, 1, n)),
        weights=random.uniform(0.1, 1, n),
        directions=np.repeat(tilts + (0, 0, 1), 6, axis=0),
        channels=np.arange(n) % channels,
        electric_vector=(1.0, 0.3, 0.0),
        polarization_fraction=0.9,
    )
    options: dict[str, Any] = dict(fluence=1e12, beam_size_mm=0.05, oversample=oversample)
    if layers:
        options["sensor"] = SensorLayers(0.45, 0.3, layers, placement=0.5)
    if masked:
        options["mask"] = [random.random(tuple(reversed(panel.get_image_size()))) < 0.8 for panel in detector]
    if not engine:
        return Experiment(detector, sources, options, backgrounds=backgrounds)

    symmetry = cctbx_crystal.symmetry(CELL, "P 1")
    miller_set = symmetry.build_miller_set(anomalous_flag=True, d_min=1.7)
    amplitudes = [miller_set.array(flex.double(random.uniform(0, 100, miller_set.size()))) for _ in range(channels)]
    orthogonal = np.reshape(symmetry.unit_cell().orthogonalization_matrix(), (3, 3))
    real = (rotation_matrix((0.5, 0.3, -0.8, 0.4)) @ orthogonal).T
    crystal = Crystal(
        CrystalModel(*(tuple(axis) for axis in real), space_group_symbol="P 1"),
        (cells, cells + 1, max(1, cells - 1)),
        shape=shape,
        volume_mm3=1e-4,  # spots about as bright as the backgrounds
        mosaic_blocks=np.array([rotation_matrix((1.0, *random.uniform(-2e-3, 2e-3, 3))) for _ in range(3)]),
        rotation=rotation,
        interpolation=interpolation,
    )
    structure_factors = StructureFactors(amplitudes, default_amplitude, F000)
    return Experiment(detector, sources, options, crystal, structure_factors, engine, backgrounds)


def rotation_matrix(quaternion: tuple[float, ...]) -> np.ndarray:
    """The rotation of a quaternion (w, x, y, z) of any length."""
    w, x, y, z = np.array(quaternion) / np.linalg.norm(quaternion)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def of_job(engine: str, *arguments: str) -> Experiment:
    """The first image of a job of nanobragg_kokkos.simulate with these parameters."""
    params = parameters.parse(list(arguments)).extract()
    parameters.validate(params)
    common = from_parameters.experiment(params)
    first = common.exposure(0)
    return Experiment(
        common.detector,
        common.sources(first.pulse),
        dict(
            fluence=common.fluence(first.pulse),
            beam_size_mm=common.beam_size_mm,
            oversample=common.oversample,
            sensor=common.sensor,
        ),
        first.crystals[0],
        StructureFactors(common.amplitudes),
        engine,
        common.backgrounds,
    )


def kept(image: np.ndarray) -> dict[str, np.ndarray]:
    """What is compared of an image: all pixels, or, of a large one, some pixels and the sums of all."""
    if image.size <= MOST_PIXELS:
        return {"pixels": image}
    starts = np.arange(0, image.size, 4096)
    return {"pixels": image[::STRIDE], "sums of 4096 pixels": np.add.reduceat(image, starts)}


def write(path: Path) -> int:
    made = []
    for name, experiment in experiments():
        # A model may differ in its last digits from what a pickle of it holds.
        pickled = pickle.dumps(experiment)
        reference = kept(pickle.loads(pickled).image())
        if not all(np.isfinite(want).all() and want.max() > 0 for want in reference.values()):
            raise ValueError(f"{name}, {experiment.engine}: the image is dark or not finite")
        made.append((name, pickled, reference))
    with open(path, "wb") as file:
        pickle.dump(made, file)
    print(f"{len(made)} experiments by {described(nanobragg_kokkos.backend())} in {path}")
    return 0


def compare(path: Path) -> int:
    with open(path, "rb") as file:
        made = pickle.load(file)
    print(f"compared with another machine's: {described(nanobragg_kokkos.backend())}")
    failed = 0
    for name, pickled, reference in made:
        experiment = pickle.loads(pickled)
        image = experiment.image()
        got = kept(image)
        again = np.array_equal(image, experiment.image())
        failed += not again
        for what, want in reference.items():
            difference = np.abs(got[what] - want).max() / want.max()
            good = bool(difference <= TOLERANCE)  # false for NaN
            failed += not good
            print(
                f"{name:26s} {experiment.engine or '-':10s} {what:20s} max|difference|/max {difference:.1e}"
                f"{'' if good else '  FAILED'}{'' if again else '  FAILED: another image the second time'}"
            )
    print(f"expected images: {len(made)} experiments, {failed} failures")
    return 1 if failed else 0


def described(backend: dict) -> str:
    return f"{backend['backend']} on {backend['device']} with Kokkos {backend['kokkos']}"


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("write", "compare"):
        sys.exit(__doc__)
    sys.exit({"write": write, "compare": compare}[sys.argv[1]](Path(sys.argv[2])))
