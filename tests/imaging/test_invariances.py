"""What must not change an image, on experiments that hypothesis draws."""

from __future__ import annotations

from functools import partial

import numpy as np
from dxtbx.model import Crystal as DxtbxCrystal
from dxtbx.model import Detector
from helpers.small_models import (
    random_amplitudes,
    rotation_matrix,
    small_beam,
    small_crystal,
    small_detector,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from scitbx import matrix

from nanobragg_kokkos import Crystal, Rotation, SensorLayers, Simulation, Sources, StructureFactors, water

# Libraries built with fast-math switch subnormal numbers off in the whole process, which hypothesis minds.
floats = partial(st.floats, allow_subnormal=False)

SHAPES = st.sampled_from(["square", "round", "gauss", "gauss_argchk"])  # tophat jumps: rounding may switch a pixel
ANGLE = floats(-180, 180, allow_nan=False)
AXIS = st.tuples(*[floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 0.1)
SEED = st.integers(0, 10**6)
SETTINGS = settings(max_examples=25)

STRUCTURE_FACTORS = StructureFactors(random_amplitudes(), default_amplitude=3.0)


def simulated(detector, sources, crystal, **options) -> list[np.ndarray]:
    simulation = Simulation(detector, sources, fluence=1e12, beam_size_mm=0.005, **options)
    simulation.add_spots(crystal, STRUCTURE_FACTORS)
    simulation.add_background(water(0.01))
    return [panel.copy() for panel in simulation.image]


def assert_same(got, want, relative=1e-10):
    assert np.abs(got - want).max() <= relative * want.max()


@SETTINGS
@given(seed=SEED, shape=SHAPES, axis=AXIS, angle=ANGLE, oversample=st.integers(1, 2), thick=st.booleans())
def test_rotating_everything_together(seed, shape, axis, angle, oversample, thick):
    """A frame of reference is nobody's business."""
    crystal = small_crystal(seed, shape=shape, rotation=Rotation((0.3, 1, 0.1), 1.0, 0.7, 2))
    sources = Sources([1.3, 1.31], [1, 2], directions=[(0, 0, 1), (0.002, -0.001, 1)], polarization_fraction=0.9)
    detector = small_detector(pixels=48, pixel_mm=1.0)
    sensor = SensorLayers(0.3, 0.2, 3) if thick else None
    plain = simulated(detector, sources, crystal, oversample=oversample, sensor=sensor)

    r = rotation_matrix(axis, angle)
    turned_detector = Detector.from_dict(detector.to_dict())
    panel = turned_detector[0]
    panel.set_frame(*(tuple(r @ v) for v in (panel.get_fast_axis(), panel.get_slow_axis(), panel.get_origin())))
    real = [matrix.col(r @ np.array(v)) for v in crystal.model.get_real_space_vectors()]
    turned_crystal = Crystal(
        DxtbxCrystal(*real, space_group_symbol="P 21 21 21"),
        n_cells=crystal.n_cells,
        shape=shape,
        mosaic_blocks=r @ crystal.mosaic_blocks @ r.T,
        rotation=Rotation(tuple(r @ np.array((0.3, 1, 0.1))), 1.0, 0.7, 2),
    )
    turned_sources = Sources(
        sources.wavelengths,
        sources.weights,
        directions=sources.directions @ r.T,
        electric_vector=r @ np.array(sources.electric_vector),
        polarization_fraction=0.9,
    )
    turned = simulated(turned_detector, turned_sources, turned_crystal, oversample=oversample, sensor=sensor)
    # Rounding moves the indices (up to 50 x 12 cells) by 1e-13 or so, which steep profiles multiply.
    assert_same(turned[0], plain[0], 1e-9)


@SETTINGS
@given(seed=SEED, shape=SHAPES, split=floats(0.05, 0.95), channels=st.integers(1, 6))
def test_splitting_a_channel_of_the_spectrum(seed, shape, split, channels):
    """Two sources of one wavelength are one source."""
    random = np.random.default_rng(seed)
    wavelengths, weights = 1.3 + 0.01 * random.random(channels), 0.1 + random.random(channels)
    crystal = small_crystal(seed, shape=shape)
    whole = simulated(small_detector(), Sources(wavelengths, weights), crystal)
    divided = simulated(
        small_detector(),
        Sources([wavelengths[0], *wavelengths], [split * weights[0], (1 - split) * weights[0], *weights[1:]]),
        crystal,
    )
    assert_same(divided[0], whole[0], 1e-13)


@SETTINGS
@given(seed=SEED, shape=SHAPES, cut=st.integers(1, 95), along_fast=st.booleans(), oversample=st.integers(1, 2))
def test_splitting_a_panel(seed, shape, cut, along_fast, oversample):
    """Where a panel ends is nobody's business either."""
    crystal, sources = small_crystal(seed, shape=shape), Sources.from_beam(small_beam())
    whole = small_detector()
    halves = Detector()
    for start, stop in ((0, cut), (cut, 96)):
        panel = halves.add_panel()
        panel.set_pixel_size(whole[0].get_pixel_size())
        panel.set_image_size((stop - start, 96) if along_fast else (96, stop - start))
        origin = whole[0].get_pixel_lab_coord((start, 0) if along_fast else (0, start))
        panel.set_frame(whole[0].get_fast_axis(), whole[0].get_slow_axis(), origin)
    together = simulated(whole, sources, crystal, oversample=oversample)[0]
    parts = simulated(halves, sources, crystal, oversample=oversample)
    assert_same(np.concatenate(parts, axis=1 if along_fast else 0), together, 1e-10)


@SETTINGS
@given(seed=SEED, shape=SHAPES)
def test_equivalent_orientations_of_a_crystal(seed, shape):
    """A two-fold axis of the space group turns a crystal without mosaic spread into itself."""
    crystal = small_crystal(seed, shape=shape, blocks=1)
    a, b, c = (np.array(v) for v in crystal.model.get_real_space_vectors())
    turned = DxtbxCrystal(*(matrix.col(v) for v in (-a, -b, c)), space_group_symbol="P 21 21 21")
    options = dict(n_cells=crystal.n_cells, shape=shape, mosaic_blocks=crystal.mosaic_blocks)
    sources = Sources.from_beam(small_beam())
    # The default amplitude fills what the data leave out, and that set has the symmetry too.
    assert_same(
        simulated(small_detector(), sources, Crystal(turned, **options))[0],
        simulated(small_detector(), sources, Crystal(crystal.model, **options))[0],
        1e-10,
    )


@SETTINGS
@given(
    fraction=floats(0, 1),
    direction=AXIS.filter(lambda v: v[2] > 0.3),
    roll=ANGLE,
)
def test_a_dxtbx_beam_and_plain_values_agree(fraction, direction, roll):
    """Polarization normal and fraction of a beam mean what dxtbx says, for any direction."""
    d = np.array(direction) / np.linalg.norm(direction)
    normal = rotation_matrix(d, roll) @ np.cross(d, (1.0, 0.3, -0.2))
    normal /= np.linalg.norm(normal)
    beam = small_beam(direction=d, fraction=fraction, normal=normal)
    detector = small_detector(pixels=24, pixel_mm=4.0)
    simulation = Simulation(detector, Sources.from_beam(beam), fluence=1e12, beam_size_mm=0.01)
    simulation.add_background(water(1.0))
    unpolarized = Simulation(detector, Sources.from_beam(beam), fluence=1e12, beam_size_mm=0.01, polarized=False)
    unpolarized.add_background(water(1.0))
    # The share f of the light has its field across the normal and the beam, the rest along the normal; a dipole
    # radiates with the square of the sine of the angle to its field.
    slow, fast = np.mgrid[0:24, 0:24] + 0.5
    panel = detector[0]
    position = (
        np.array(panel.get_origin())
        + 4.0 * fast[..., None] * np.array(panel.get_fast_axis())
        + 4.0 * slow[..., None] * np.array(panel.get_slow_axis())
    )
    out = position / np.linalg.norm(position, axis=-1, keepdims=True)
    field = np.cross(normal, d)
    expected = fraction * (1 - (out @ field) ** 2) + (1 - fraction) * (1 - (out @ normal) ** 2)
    np.testing.assert_allclose(simulation.image[0] / unpolarized.image[0], expected, rtol=1e-10, atol=1e-12)
