"""The reflection-driven engine against the pixel-driven one, on experiments that hypothesis draws."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import pytest
from cctbx import crystal as cctbx_crystal
from cctbx import miller, uctbx
from cctbx.array_family import flex
from dxtbx.model import Crystal as DxtbxCrystal
from dxtbx.model import Detector
from helpers.small_models import rotation_matrix, small_beam, small_crystal, small_detector, small_structure_factors
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scitbx import matrix

from nanobragg_kokkos import Crystal, Rotation, SensorLayers, Simulation, Sources, StructureFactors

ROUNDING = 1e-12  # of the brightest pixel


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


@settings(max_examples=250)
@given(DRAWS)
@example(Draw())
@example(Draw(cells=2, blocks=1, default_amplitude=7.0, bandwidth=0.1))
@example(Draw(place="beam", default_amplitude=7.0, cells=5))
@example(Draw(place="edge", panels=4))
@example(Draw(place="behind", panels=4, cells=10))
@example(Draw(shape="gauss", cells=1000, bandwidth=0.0, wavelengths=1, spread_deg=0.0))
@example(Draw(shape="tophat", cells=3, interpolation="tricubic", layers=3, oversample=2))
@example(Draw(shape="tophat", cells=1000, blocks=70, bandwidth=0.0, wavelengths=1, directions=3, spread_deg=0.01))
@example(Draw(shape="tophat", cells=300, wavelengths=70, masked=True, panels=3, oversample=2))
def test_engines_agree(draw):
    simulation, crystal, structure_factors = experiment_of(draw)
    simulation.add_spots(crystal, structure_factors, engine="pixel")
    want = [panel.copy() for panel in simulation.image]
    simulation.clear()
    simulation.add_spots(crystal, structure_factors, engine="reflection")
    brightest = max(panel.max() for panel in want)
    for got, expected in zip(simulation.image, want):
        assert np.abs(got - expected).max() <= ROUNDING * brightest


def left_out(draw: Draw, *tolerances: float) -> list[np.ndarray]:
    """What the reflection-driven engine leaves out of every pixel, as a share of the brightest one."""
    simulation, crystal, structure_factors = experiment_of(draw)
    simulation.add_spots(crystal, structure_factors, engine="pixel")
    want = np.concatenate([panel.ravel() for panel in simulation.image])
    losses = []
    for tolerance in tolerances:
        simulation.clear()
        simulation.add_spots(crystal, structure_factors, engine="reflection", tolerance=tolerance)
        got = np.concatenate([panel.ravel() for panel in simulation.image])
        losses.append((want - got) / (want.max() or 1))
    return losses


@settings(max_examples=60)
@given(
    st.builds(
        replace,
        DRAWS,
        shape=st.sampled_from(["square", "round", "square", "round", "gauss", "gauss_argchk"]),
        cells=st.sampled_from([2, 5, 10, 30, 100]),
    ),
    st.sampled_from([1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1]),
)
@example(Draw(shape="square", cells=2, default_amplitude=7.0, panels=3), 0.1)
@example(Draw(shape="round", cells=2, default_amplitude=7.0, layers=2, oversample=2), 0.1)
@example(Draw(shape="square", cells=100, directions=3, panels=2, place="around"), 0.01)
@example(Draw(shape="round", cells=100, blocks=1, wavelengths=1), 0.1)
@example(Draw(shape="round", cells=10, interpolation="tricubic", channels=2), 0.1)
@example(Draw(shape="gauss", cells=30, blocks=1, wavelengths=1, place="beam"), 0.1)
def test_tolerance_is_an_upper_bound_of_what_is_left_out(draw, tolerance):
    (loss,) = left_out(draw, tolerance)
    assert loss.max() <= tolerance + ROUNDING
    assert loss.min() >= -ROUNDING  # terms are left out, none is added


@pytest.mark.parametrize("shape", ["square", "round", "gauss", "gauss_argchk"])
def test_smaller_tolerance_leaves_out_less(shape):
    # Few blocks and one wavelength: no sum blurs what a reflection lacks, and the bound is nearly reached.
    draw = Draw(seed=4, shape=shape, cells=5, blocks=2, panels=4, wavelengths=1, triclinic=False)
    tolerances = [10.0**-i for i in range(1, 13)]
    most = [loss.max() for loss in left_out(draw, *tolerances)]
    assert most[0] > 1e-3, "next to nothing is left out: the experiment shows nothing"
    for loss, tolerance in zip(most, tolerances):
        assert loss <= tolerance + ROUNDING
    for before, after in itertools.pairwise(most):
        assert after <= before + ROUNDING
    assert most[-1] < 1e-6 * most[0]


@pytest.mark.parametrize("shape", ["square", "gauss_argchk"])
@pytest.mark.parametrize("engine", ["auto", "reflection"])
@pytest.mark.parametrize("tolerance", [0, -1, 1, float("nan")])
def test_tolerance_that_cannot_be_is_refused(shape, engine, tolerance):
    simulation = Simulation(small_detector(), Sources.from_beam(small_beam()), fluence=1e12)
    with pytest.raises(ValueError, match="tolerance .* must lie between 1e-15 and 0.1"):
        simulation.add_spots(small_crystal(shape=shape), small_structure_factors(), engine, tolerance)
    assert simulation.image[0].max() == 0


def test_pixel_driven_engine_leaves_out_nothing_whatever_the_tolerance():
    simulation = Simulation(small_detector(), Sources.from_beam(small_beam()), fluence=1e12)
    crystal, structure_factors = small_crystal(shape="round"), small_structure_factors()
    simulation.add_spots(crystal, structure_factors, "pixel")
    want = simulation.image[0].copy()
    simulation.clear()
    simulation.add_spots(crystal, structure_factors, "pixel", 0.1)
    assert want.max() > 0 and (simulation.image[0] == want).all()


def test_adding_twice_doubles():
    simulation = Simulation(small_detector(), Sources.from_beam(small_beam()), fluence=1e12)
    crystal, structure_factors = small_crystal(), small_structure_factors()
    simulation.add_spots(crystal, structure_factors, engine="reflection")
    once = simulation.image[0].copy()
    simulation.add_spots(crystal, structure_factors, engine="reflection")
    assert once.max() > 0
    np.testing.assert_allclose(simulation.image[0], 2 * once, rtol=1e-15)


@pytest.mark.parametrize("shape", ["square", "round"])
def test_shapes_without_an_end_are_left_to_the_pixels(shape):
    simulation = Simulation(small_detector(), Sources.from_beam(small_beam()), fluence=1e12)
    crystal, structure_factors = small_crystal(shape=shape), small_structure_factors()
    assert simulation.choose_engine(crystal, structure_factors).engine == "pixel"
    with pytest.raises(ValueError, match="gauss, gauss_argchk or tophat"):
        simulation.add_spots(crystal, structure_factors, engine="reflection")


def test_an_unknown_engine_is_refused():
    simulation = Simulation(small_detector(), Sources.from_beam(small_beam()), fluence=1e12)
    with pytest.raises(ValueError, match="engine must be one of pixel, reflection, not 'fast'"):
        simulation.add_spots(small_crystal(), small_structure_factors(), engine="fast")


def test_choice_follows_the_work():
    """Sharp spots on many pixels: reflections. A block of a few cells, which lights everything: pixels."""
    simulation = Simulation(small_detector(pixels=500, pixel_mm=0.1), Sources.from_beam(small_beam()), fluence=1e12)
    structure_factors = small_structure_factors()
    sharp = simulation.choose_engine(small_crystal(n_cells=(60, 50, 45), shape="gauss_argchk"), structure_factors)
    blurred = simulation.choose_engine(small_crystal(n_cells=(2, 2, 2), shape="gauss"), structure_factors)
    assert (sharp.engine, blurred.engine) == ("reflection", "pixel")
    assert "times less to do" in sharp.reason


@pytest.mark.parametrize("shape", ["square", "round"])
def test_choice_follows_the_tolerance(shape):
    """Shapes without an end: what is far from every reflection counts unless a tolerance says that it does not."""
    simulation = Simulation(small_detector(pixels=1000, pixel_mm=0.1), Sources.from_beam(small_beam()), fluence=1e12)
    crystal, structure_factors = small_crystal(n_cells=(60, 50, 45), shape=shape), small_structure_factors()
    coarse = simulation.choose_engine(crystal, structure_factors, tolerance=0.1)
    fine = simulation.choose_engine(crystal, structure_factors, tolerance=1e-15)
    without = simulation.choose_engine(crystal, structure_factors)
    assert (coarse.engine, fine.engine, without.engine) == ("reflection", "pixel", "pixel")
    assert "times less to do" in coarse.reason
    assert "leaves no pixel out" in without.reason
    simulation.add_spots(crystal, structure_factors, "auto", 0.1)
    automatic = simulation.image[0].copy()
    simulation.clear()
    simulation.add_spots(crystal, structure_factors, "reflection", 0.1)
    assert (simulation.image[0] == automatic).all()
