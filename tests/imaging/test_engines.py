"""The reflection-driven engine against the pixel-driven one, on experiments that hypothesis draws."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from helpers.random_experiments import DRAWS, Draw, experiment_of
from helpers.small_models import small_beam, small_crystal, small_detector, small_structure_factors
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nanobragg_kokkos import Simulation, Sources

ROUNDING = 1e-12  # of the brightest pixel


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
