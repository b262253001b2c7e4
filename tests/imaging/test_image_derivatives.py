"""Derivatives of images: between engines, against images, of combinations; what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.random_experiments import DRAWS, Draw, experiment_of
from helpers.small_models import small_crystal, small_detector, small_structure_factors
from hypothesis import example, given, settings

from nanobragg_kokkos import Crystal, Simulation, Sources
from nanobragg_kokkos.imaging.image_derivatives import ImageDerivatives
from nanobragg_kokkos.models.beam import beam_tangents
from nanobragg_kokkos.models.detector import panel_tangents
from nanobragg_kokkos.models.sample.amorphous import water
from nanobragg_kokkos.models.sample.crystal_tangents import CELL_PARAMETERS, CrystalTangents
from nanobragg_kokkos.models.tangent import Tangent

AXES = dict(zip("xyz", np.eye(3)))


def all_tangents(simulation: Simulation, crystal: Crystal) -> dict[str, Tangent]:
    """Everything that moves, 36 parameters and more."""
    of_crystal, detector = CrystalTangents(crystal), simulation.detector
    tangents = {f"rotation_{k}": of_crystal.rotation(axis) for k, axis in AXES.items()}
    tangents |= {f"cell_{name}": of_crystal.cell(name) for name in CELL_PARAMETERS}
    tangents |= {f"n_cells_{k}": of_crystal.n_cells(i) for i, k in enumerate("abc")}
    tangents |= {f"beam_rotation_{k}": beam_tangents.rotation(axis) for k, axis in AXES.items()}
    tangents |= {
        "scale": of_crystal.scale(),
        "wavelength_shift": beam_tangents.wavelength_shift(),
        "wavelength_scale": beam_tangents.wavelength_scale(),
        "weight": beam_tangents.weight(simulation.sources, 0),
        "polarization_fraction": beam_tangents.polarization_fraction(),
        "fluence": beam_tangents.fluence(simulation.fluence),
    }
    for panel in range(len(detector)):
        centre = panel_tangents.centre(detector, panel)
        for k, axis in AXES.items():
            tangents[f"panel_{panel}_{k}"] = panel_tangents.translation(detector, [panel], axis)
            tangents[f"panel_{panel}_rotation_{k}"] = panel_tangents.rotation(detector, [panel], axis, centre)
    return tangents


def derivatives_of(draw: Draw, engine: str) -> ImageDerivatives:
    simulation, crystal, structure_factors = experiment_of(draw)
    derivatives = ImageDerivatives(simulation, all_tangents(simulation, crystal))
    derivatives.add_spots(crystal, structure_factors, engine)
    return derivatives


@settings(max_examples=40)
@given(DRAWS)
@example(Draw())
@example(Draw(place="beam", default_amplitude=7.0, cells=5, panels=4))
@example(Draw(shape="gauss", cells=1000, bandwidth=0.0, wavelengths=1, spread_deg=0.0))
@example(Draw(cells=3, interpolation="tricubic", layers=3, oversample=2))
@example(Draw(cells=300, wavelengths=70, masked=True, panels=3, oversample=2, directions=2))
def test_engines_agree(draw):
    want, got = derivatives_of(draw, "pixel"), derivatives_of(draw, "reflection")
    brightest = max(panel.max() for panel in want.image)
    for expected, panel in zip(want.image, got.image):
        assert np.abs(panel - expected).max() <= 1e-11 * brightest
    for name, expected, row in zip(want.parameters, want.jacobian, got.jacobian):
        # The shares of sources at one wavelength cancel, but for rounding.
        rounding = 1e-11 * brightest if name == "weight" else 0
        assert np.abs(row - expected).max() <= 1e-10 * np.abs(expected).max() + rounding, name


def central_difference(image, step: float) -> np.ndarray:
    """Of fourth order."""
    return (8 * (image(step) - image(-step)) - (image(2 * step) - image(-2 * step))) / (12 * step)


def image_of(crystal: Crystal, sources: Sources | None = None, detector=None) -> np.ndarray:
    simulation = Simulation(detector or small_detector(), sources or Sources([1.3], [1.0]), fluence=1e12)
    simulation.add_spots(crystal, small_structure_factors(), "pixel")
    return simulation.image[0].copy()


def test_derivatives_are_slopes_of_images():
    crystal, sources = small_crystal(), Sources([1.3, 1.31], [1.0, 2.0])
    simulation = Simulation(small_detector(), sources, fluence=1e12)
    of_crystal = CrystalTangents(crystal)
    derivatives = ImageDerivatives(
        simulation,
        {
            "n_cells": of_crystal.n_cells(1),
            "shift": beam_tangents.wavelength_shift(),
            "weight": beam_tangents.weight(sources, 1),
        },
    )
    derivatives.add_spots(crystal, small_structure_factors())

    def with_cells(step):
        n_cells = (crystal.n_cells[0], crystal.n_cells[1] + step, crystal.n_cells[2])
        return image_of(Crystal(crystal.model, n_cells, crystal.shape, crystal.mosaic_blocks), sources)

    slopes = {
        "n_cells": central_difference(with_cells, 1e-3),
        "shift": central_difference(
            lambda step: image_of(crystal, Sources(sources.wavelengths + step, sources.weights)), 1e-6
        ),
        "weight": central_difference(lambda step: image_of(crystal, Sources(sources.wavelengths, [1, 2 + step])), 1e-3),
    }
    for name, slope in slopes.items():
        np.testing.assert_allclose(derivatives[name][0], slope, rtol=0, atol=1e-7 * np.abs(slope).max())


def test_image_is_that_of_the_simulation():
    crystal = small_crystal()
    simulation = Simulation(small_detector(), Sources([1.3], [1.0]), fluence=1e12, beam_size_mm=0.01)
    derivatives = ImageDerivatives(simulation, {"scale": CrystalTangents(crystal).scale()})
    derivatives.add_spots(crystal, small_structure_factors())
    derivatives.add_background(water(0.01))
    simulation.add_spots(crystal, small_structure_factors())
    spots = simulation.image[0].copy()
    simulation.add_background(water(0.01))
    np.testing.assert_allclose(derivatives.image[0], simulation.image[0], rtol=1e-12)
    np.testing.assert_allclose(derivatives["scale"][0], spots, rtol=1e-10, atol=1e-12 * spots.max())


def test_tied_parameters_have_the_sum_of_their_tangents():
    crystal = small_crystal()
    simulation = Simulation(small_detector(), Sources([1.3], [1.0]), fluence=1e12)
    a, alpha = (CrystalTangents(crystal).cell(name) for name in ("a", "alpha"))
    derivatives = ImageDerivatives(simulation, {"a": a, "alpha": alpha, "both": 2 * a + alpha, "none": Tangent()})
    derivatives.add_spots(crystal, small_structure_factors())
    want = 2 * derivatives["a"][0] + derivatives["alpha"][0]
    np.testing.assert_allclose(derivatives["both"][0], want, rtol=0, atol=1e-12 * np.abs(want).max())
    assert not derivatives["none"][0].any()


def test_what_cannot_be_is_refused():
    crystal = small_crystal(blocks=3)
    simulation = Simulation(small_detector(), Sources([1.3], [1.0]), fluence=1e12)
    with pytest.raises(ValueError, match="tangents must hold a parameter at least"):
        ImageDerivatives(simulation, {})
    with pytest.raises(ValueError, match="volume_mm3 of the crystal is needed"):
        CrystalTangents(crystal).volume()
    rotation = CrystalTangents(crystal).rotation(AXES["x"])
    with pytest.raises(ValueError, match="the tangents are those of 3 blocks, but the crystal has 2"):
        ImageDerivatives(simulation, {"x": rotation}).add_spots(small_crystal(blocks=2), small_structure_factors())
    other = CrystalTangents(small_crystal(blocks=2)).rotation(AXES["x"])
    with pytest.raises(ValueError, match="tangents must be of the same models"):
        ImageDerivatives(simulation, {"x": rotation, "y": other}).add_spots(crystal, small_structure_factors())
    with pytest.raises(ValueError, match="weights of the tangents|weights has 2 values"):
        weights = beam_tangents.weight(Sources([1.3, 1.4], [1, 1]), 0)
        ImageDerivatives(simulation, {"weight": weights}).add_spots(crystal, small_structure_factors())
    with pytest.raises(ValueError, match="tangent of parameter 0 must be finite"):
        ImageDerivatives(simulation, {"x": float("nan") * rotation}).add_spots(crystal, small_structure_factors())
    with pytest.raises(ValueError, match="beam_size_mm of the simulation is needed"):
        ImageDerivatives(simulation, {"x": rotation}).add_background(water(0.01))
