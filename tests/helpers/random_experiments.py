"""Experiments that hypothesis draws: any detector, beam, crystal and amplitudes that the engines support."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cctbx import crystal as cctbx_crystal
from cctbx import miller, uctbx
from cctbx.array_family import flex
from dxtbx.model import Crystal as DxtbxCrystal
from dxtbx.model import Detector
from helpers.small_models import rotation_matrix
from hypothesis import strategies as st
from scitbx import matrix

from nanobragg_kokkos import Crystal, Rotation, SensorLayers, Simulation, Sources, StructureFactors


@dataclass(frozen=True)
class Draw:
    """What an experiment is made from: few numbers, which shrink well; the rest follows from the seed."""

    seed: int = 0
    shape: str = "gauss_argchk"
    cells: int = 30  # a side, about
    spread_deg: float = 0.1
    bandwidth: float = 0.01
    blocks: int = 3
    wavelengths: int = 5
    directions: int = 1
    channels: int = 1
    panels: int = 1
    layers: int = 0
    oversample: int = 1
    steps: int = 1
    default_amplitude: float = 0.0
    interpolation: str = "nearest"
    place: str = "beside"  # of the panels: beside the beam, in it, tilted, behind the sample, edge-on, all around
    masked: bool = False
    triclinic: bool = True


DRAWS = st.builds(
    Draw,
    seed=st.integers(0, 10**6),
    shape=st.sampled_from(["gauss_argchk", "gauss", "tophat"]),
    cells=st.sampled_from([2, 3, 5, 10, 30, 100, 300, 1000]),
    spread_deg=st.sampled_from([0.0, 0.01, 0.1, 2.0]),
    bandwidth=st.sampled_from([0.0, 1e-4, 0.01, 0.1]),
    blocks=st.integers(1, 5),
    wavelengths=st.integers(1, 12),
    directions=st.integers(1, 3),
    channels=st.integers(1, 2),
    panels=st.integers(1, 4),
    layers=st.integers(0, 3),
    oversample=st.integers(1, 2),
    steps=st.integers(1, 2),
    default_amplitude=st.sampled_from([0.0, 0.0, 7.0]),
    interpolation=st.sampled_from(["nearest", "nearest", "tricubic"]),
    place=st.sampled_from(["beside", "beam", "tilted", "behind", "edge", "around"]),
    masked=st.booleans(),
    triclinic=st.booleans(),
)


def detector_of(draw: Draw, random: np.random.Generator) -> Detector:
    detector = Detector()
    for _ in range(draw.panels):
        pixel = 10 ** random.uniform(-1, 0.3)
        size = tuple(int(n) for n in random.integers(3, 36, 2))
        turn = np.eye(3)
        if draw.place == "tilted":
            turn = rotation_matrix(random.normal(size=3), random.uniform(-40, 40))
        fast, slow = turn @ (1, 0, 0), turn @ (0, -1, 0)
        centre = np.array([random.uniform(-60, 60), random.uniform(-60, 60), -random.uniform(40, 120)])
        if draw.place == "beam":
            centre[:2] = random.uniform(-1, 1, 2)
        elif draw.place == "behind":
            centre[2] *= -1
        elif draw.place == "edge":  # the plane of the panel all but holds the sample
            fast, slow = np.array([0.0, 0, 1]), np.array([0.0, 1, 0])
            centre[0] = random.choice([0.0, 1e-9, 0.3, -2.0])
        elif draw.place == "around":
            r = rotation_matrix(random.normal(size=3), random.uniform(0, 180))
            fast, slow, centre = r @ fast, r @ slow, r @ centre
        origin = centre - 0.5 * pixel * (size[0] * fast + size[1] * slow)
        panel = detector.add_panel()
        panel.set_pixel_size((pixel, pixel * random.choice([1.0, 1.7])))
        panel.set_image_size(size)
        panel.set_frame(tuple(fast), tuple(slow), tuple(origin))
    return detector


def experiment_of(draw: Draw) -> tuple[Simulation, Crystal, StructureFactors]:
    random = np.random.default_rng(draw.seed)
    detector = detector_of(draw, random)

    n = draw.wavelengths * draw.directions
    mean = random.uniform(0.8, 1.6)
    tilt = 0.01 * random.normal(size=(draw.directions, 3))
    sources = Sources(
        wavelengths=mean * (1 + draw.bandwidth * random.uniform(-0.5, 0.5, n)),
        weights=random.uniform(0.1, 1, n),
        directions=np.repeat(tilt * (draw.directions > 1) + (0, 0, 1), draw.wavelengths, axis=0),
        channels=random.integers(0, draw.channels, n),
    )
    angles = random.uniform(75, 110, 3) if draw.triclinic else (90, 90, 90)
    cell = uctbx.unit_cell((*random.uniform(15, 70, 3), *angles))
    symmetry = cctbx_crystal.symmetry(cell, "P 1")
    indices = symmetry.build_miller_set(anomalous_flag=True, d_min=random.uniform(1.5, 4)).indices()
    amplitudes = [
        miller.array(
            miller.set(symmetry, indices, anomalous_flag=True),
            flex.double(random.exponential(50, len(indices)) * (random.random(len(indices)) < 0.9)),
        )
        for _ in range(draw.channels)
    ]
    orientation = rotation_matrix(random.normal(size=3), random.uniform(0, 180))
    real = (orientation @ np.reshape(cell.orthogonalization_matrix(), (3, 3))).T
    crystal = Crystal(
        DxtbxCrystal(*(matrix.col(v) for v in real), space_group_symbol="P 1"),
        n_cells=[max(1, int(draw.cells * factor)) for factor in random.uniform(0.7, 1.3, 3)],
        shape=draw.shape,
        mosaic_blocks=np.array(
            [rotation_matrix(random.normal(size=3), draw.spread_deg * random.normal()) for _ in range(draw.blocks)]
        ),
        rotation=Rotation(tuple(random.normal(size=3)), random.uniform(-90, 90), 0.5, draw.steps),
        interpolation=draw.interpolation,
    )
    mask = [random.random(tuple(reversed(panel.get_image_size()))) < 0.7 for panel in detector]
    sensor = None
    if draw.layers:
        sensor = SensorLayers(*random.uniform(0.1, 1, 2), draw.layers, placement=random.choice([0.0, 0.5]))
    simulation = Simulation(
        detector,
        sources,
        fluence=1e12,
        oversample=draw.oversample,
        sensor=sensor,
        mask=mask if draw.masked else None,
    )
    return simulation, crystal, StructureFactors(amplitudes, draw.default_amplitude, F000=random.choice([0.0, 30.0]))
