"""simtbx's gpu classes on this engine: every call against Simulation, nanoBragg and sums, and how many passes it takes."""

from __future__ import annotations

import os

import numpy as np
import pytest
from cctbx.array_family import flex
from dxtbx.model import Detector
from dxtbx.model.detector import DetectorFactory
from dxtbx_model_ext import flex_Beam
from helpers.small_models import random_amplitudes, rotation_matrix, small_beam, small_crystal

from nanobragg_kokkos import Crystal, Simulation, Sources, StructureFactors
from nanobragg_kokkos.simtbx import (
    Gauss,
    diffuse_api,
    exascale_api,
    exascale_api_small_whitelist,
    gathering,
    gpu_detector,
    gpu_detector_small_whitelist,
    gpu_energy_channels,
    gpu_instance,
    nanoBragg,
    shapetype,
)

SLOW, FAST, PIXEL = 44, 52, 0.8
WAVELENGTHS = (1.28, 1.3, 1.33)
WEIGHTS = (0.5, 2.0, 1.25)
WATER = flex.vec2_double([(0, 2.57), (0.07, 2.8), (0.12, 5), (0.162, 8), (0.2, 6.75), (0.5, 3.17)])


def panels(number: int) -> Detector:
    """Panels around the beam; of several, the first is seen from behind, and the last tilted."""
    detector = Detector()
    for k in range(number):
        one = DetectorFactory.simple("PAD", 60, (20.0 + 5 * k, 15.0), "+x", "-y", (PIXEL, PIXEL), (FAST, SLOW))[0]
        if k == 0 and number > 1:
            one.set_frame((-1, 0, 0), (0, -1, 0), (30, 10, -65))
        if k == number - 1 > 0:
            one.set_frame((0.96, 0, 0.28), (0, -1, 0), (-14, 12, -70))
        detector.add_panel(one)
    return detector


DETECTORS = {number: panels(number) for number in (1, 3)}


def amplitudes(channel: int):
    """P 1 amplitudes of a channel, as scripts have them."""
    return small_structure_factors_of(channel).channels[0]


def small_structure_factors_of(channel: int) -> StructureFactors:
    return StructureFactors(random_amplitudes(seed=10 + channel, d_min=3.0))


AMPLITUDES = [amplitudes(channel) for channel in range(3)]


def experiment(detector: Detector = DETECTORS[1], panel: int = 0, **properties) -> nanoBragg:
    """Some mosaic blocks of a crystal in one wavelength."""
    simulation = nanoBragg(detector, small_beam(1.3), panel_id=panel)
    model = small_crystal().model
    simulation.Ncells_abc = (12, 10, 9)
    simulation.xtal_shape = shapetype.Gauss
    simulation.interpolate = 0
    simulation.oversample = 2
    simulation.Amatrix_RUB = sum(model.get_real_space_vectors(), ())
    simulation.mosaic_spread_deg = 0.3
    simulation.set_mosaic_blocks(flex.mat3_double([tuple(block.ravel()) for block in small_crystal().mosaic_blocks]))
    simulation.flux, simulation.beamsize_mm, simulation.spot_scale = 1e12, 0.01, 3.0
    simulation.Fbg_vs_stol = WATER
    simulation.amorphous_sample_thick_mm = 0.02
    for name, value in properties.items():
        setattr(simulation, name, value)
    return simulation


def several_sources(simulation: nanoBragg, wavelengths=WAVELENGTHS, fluxes=(1e12, 2e12, 4e12), x: float = 0.0) -> None:
    """xray_beams in slightly different directions; wavelengths in metres, as the property takes them."""
    beams = flex_Beam()
    for k, (wavelength, flux) in enumerate(zip(wavelengths, fluxes)):
        beam = small_beam(wavelength * 1e-10, direction=(x + 0.002 * k, 0.0, 1.0))
        beam.set_flux(flux)
        beams.append(beam)
    simulation.xray_beams = beams


def channels() -> gpu_energy_channels:
    result = gpu_energy_channels()
    for array in AMPLITUDES:
        result.structure_factors_to_GPU_direct(0, array.indices(), array.data())
    return result


def allocated(simulation: nanoBragg) -> exascale_api:
    result = exascale_api(nanoBragg=simulation)
    result.allocate()
    return result


def pixels(detector: gpu_detector) -> np.ndarray:
    return detector.get_raw_pixels().as_numpy_array()


def spots_of(simulation: nanoBragg, channel: int) -> np.ndarray:
    """What nanoBragg itself adds with the amplitudes of a channel."""
    array = AMPLITUDES[channel]
    simulation.raw_pixels *= 0
    simulation.Fhkl_tuple = array.indices(), array.data()
    simulation.add_nanoBragg_spots()
    return simulation.raw_pixels.as_numpy_array()


def same(image: np.ndarray, expected: np.ndarray) -> None:
    assert expected.max() > 0
    np.testing.assert_allclose(image, expected, rtol=0, atol=1e-11 * expected.max())


@pytest.fixture
def passes(monkeypatch) -> list[str]:
    """The passes of the engine, as they happen."""
    happened = []
    for name in ("add_spots", "add_background"):
        method = getattr(Simulation, name)

        def counted(self, *arguments, method=method, name=name):
            happened.append(name)
            return method(self, *arguments)

        monkeypatch.setattr(Simulation, name, counted)
    return happened


@pytest.mark.parametrize("number", [1, 3])
def test_channels_add_up_to_what_nanoBragg_gives_panel_by_panel(number):
    detector = DETECTORS[number]
    simulation, amplitudes = experiment(detector), channels()
    exascale, image = allocated(simulation), gpu_detector(detector=detector, beam=small_beam(1.3))
    expected = np.zeros((number, SLOW, FAST))
    single = [experiment(detector, panel) for panel in range(number)]
    for channel, (wavelength, weight) in enumerate(zip(WAVELENGTHS, WEIGHTS)):
        for each in (simulation, *single):
            each.wavelength_A, each.flux = wavelength, 1e12 * (channel + 1)
        exascale.add_energy_channel_from_gpu_amplitudes(channel, amplitudes, image, weight)
        expected += weight * np.array([spots_of(each, channel) for each in single])
    assert image.get_raw_pixels().focus() == (number, SLOW, FAST)
    assert all(panel.max() > 0 for panel in expected)
    same(pixels(image), expected)


def test_channels_are_one_pass_of_simulation(passes):
    simulation, amplitudes = experiment(), channels()
    exascale, image = allocated(simulation), gpu_detector(detector=DETECTORS[1], beam=small_beam(1.3))
    for channel, (wavelength, weight) in enumerate(zip(WAVELENGTHS, WEIGHTS)):
        simulation.wavelength_A = wavelength
        exascale.add_energy_channel_from_gpu_amplitudes(channel, amplitudes, image, weight=weight)
    assert passes == []
    got = pixels(image)
    assert passes == ["add_spots"]
    plain = Sources.from_beam(small_beam(1.3))
    sources = Sources(
        wavelengths=WAVELENGTHS,
        weights=WEIGHTS,
        channels=[0, 1, 2],
        electric_vector=plain.electric_vector,
        polarization_fraction=(0.98 + 1) / 2,  # simtbx takes the fraction of dxtbx for the Kahn factor
    )
    by_hand = Simulation(DETECTORS[1], sources, fluence=simulation.fluence * 1e-6 * sum(WEIGHTS), oversample=2)
    crystal = small_crystal()
    by_hand.add_spots(
        Crystal(crystal.model, crystal.n_cells, "gauss", crystal.mosaic_blocks), StructureFactors(AMPLITUDES)
    )
    same(got[0], 3.0 * by_hand.image[0])


def test_a_hundred_calls_are_one_pass_and_the_sum_of_each_alone(passes):
    simulation, amplitudes = experiment(), channels()
    exascale, image = allocated(simulation), gpu_detector(detector=DETECTORS[1], beam=small_beam(1.3))
    one_by_one = gpu_detector(detector=DETECTORS[1], beam=small_beam(1.3))
    wavelengths = np.linspace(1.29, 1.31, 100)
    for k, wavelength in enumerate(wavelengths):
        simulation.wavelength_A, simulation.flux = wavelength, 1e10 * (1 + k % 7)
        exascale.add_energy_channel_from_gpu_amplitudes(k % 3, amplitudes, image)
        exascale.add_energy_channel_from_gpu_amplitudes(k % 3, amplitudes, one_by_one)
        if k % 20 == 0:
            one_by_one.get_raw_pixels()
    assert len(passes) == 5
    gathered = pixels(image)
    assert len(passes) == 6
    same(gathered, pixels(one_by_one))
    pixels(image)
    assert len(passes) == 7  # nothing was left to do for the second look


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"wavelength_A": 1.31}, 1),
        ({"flux": 3e12}, 1),
        ({"spot_scale": 0.5}, 1),
        ({"default_F": 7}, 1),  # which counts for nothing here
        ({"missets_deg": (0, 0, 40)}, 1),  # which is taken at allocate()
        ({"polar_vector": (0, 1, 0)}, 1),  # the same
        ({"polarization": 0.3}, 2),
        ({"nopolar": True}, 2),
        ({"Ncells_abc": (5, 6, 7)}, 2),
        ({"xtal_shape": shapetype.Tophat}, 2),
        ({"mosaic_domains": 2}, 2),
        ({"phi_deg": 3}, 2),
        ({"oversample": 1}, 2),
        ({"region_of_interest": ((3, 30), (5, 20))}, 2),
        ({"detector_thick_mm": 0.4}, 2),
        ({"point_pixel": True}, 2),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_what_changes_between_calls_counts_from_then_on(passes, changes, expected):
    simulation, amplitudes = experiment(), channels()
    exascale, image = allocated(simulation), gpu_detector(detector=DETECTORS[1], beam=small_beam(1.3))
    exascale.add_energy_channel_from_gpu_amplitudes(1, amplitudes, image)
    for name, value in changes.items():
        setattr(simulation, name, value)
    exascale.add_energy_channel_from_gpu_amplitudes(1, amplitudes, image)
    got = pixels(image)[0]
    assert passes == ["add_spots"] * expected
    taken_at_allocate = {"missets_deg", "polar_vector", "default_F"} & set(changes)
    later = experiment(**({} if taken_at_allocate else changes))
    same(got, spots_of(experiment(), 1) + spots_of(later, 1))


def test_orientation_is_that_of_the_last_allocate(passes):
    simulation, amplitudes = experiment(), channels()
    exascale, image = allocated(simulation), gpu_detector(detector=DETECTORS[1], beam=small_beam(1.3))
    turned = small_crystal().model.get_real_space_vectors()
    turned = [rotation_matrix((1, 2, 3), 30) @ vector for vector in turned]
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    simulation.Amatrix_RUB = tuple(np.concatenate(turned))
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    exascale.allocate()
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    got = pixels(image)[0]
    assert len(passes) == 2
    same(got, 2 * spots_of(experiment(), 0) + spots_of(simulation, 0))


def test_a_rotation_over_another_range_is_another_crystal(passes):
    simulation, amplitudes = experiment(phisteps=2, osc_deg=1), channels()
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    simulation.osc_deg = 8
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    got = pixels(image)[0]
    assert len(passes) == 2
    same(got, spots_of(experiment(phisteps=2, osc_deg=1), 0) + spots_of(experiment(phisteps=2, osc_deg=8), 0))


def test_sources_of_all_directions_see_one_channel():
    simulation, amplitudes = experiment(), channels()
    several_sources(simulation)
    exascale, image = allocated(simulation), gpu_detector(-1, simulation)
    exascale.add_energy_channel_from_gpu_amplitudes(
        channel_number=2, gpu_amplitudes=amplitudes, gpu_detector=image, weight=0.25
    )
    reference = experiment()
    several_sources(reference)
    same(pixels(image)[0], 0.25 * spots_of(reference, 2))


def test_directions_are_those_of_allocate_unless_their_number_changes():
    simulation, amplitudes = experiment(), channels()
    several_sources(simulation)
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    expected = spots_of(simulation, 0)
    several_sources(simulation, x=0.1)
    simulation.polar_vector = (1, 0, 0)
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    same(pixels(image)[0], expected)
    # But channels of their own go with directions of their own, those of now.
    image.scale_in_place(0)
    everything = range(SLOW * FAST)
    exascale.add_energy_multichannel_mask_allpanel([0, 0, 0], amplitudes, image, everything, [1, 1, 1])
    same(pixels(image)[0], spots_of(simulation, 0))
    simulation = experiment()
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    several_sources(simulation)
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    same(pixels(image)[0], spots_of(simulation, 0))


@pytest.mark.parametrize("number", [1, 3])
def test_masks_as_bools_or_as_lists(passes, number):
    detector = DETECTORS[number]
    simulation, amplitudes = experiment(detector), channels()
    exascale = allocated(simulation)
    image = gpu_detector(detector=detector, beam=small_beam(1.3))
    mask = np.random.default_rng(1).random(number * SLOW * FAST) < 0.3
    everywhere = exascale_sum(exascale, amplitudes, detector, flex.size_t(range(mask.size)))
    plain = gpu_detector(detector=detector, beam=small_beam(1.3))
    for channel in range(3):
        exascale.add_energy_channel_from_gpu_amplitudes(channel, amplitudes, plain)
    same(everywhere, pixels(plain))
    passes.clear()
    expected = np.where(mask.reshape(everywhere.shape), everywhere, 0)
    shuffled = np.random.default_rng(2).permutation(np.flatnonzero(mask))
    twice = np.concatenate([shuffled, shuffled[:100]])
    for listed in (flex.bool(mask), flex.size_t(np.flatnonzero(mask)), flex.size_t(twice), mask, shuffled):
        got = exascale_sum(exascale, amplitudes, detector, listed)
        same(got, expected)
        assert not got[~mask.reshape(got.shape)].any()
    assert len(passes) == 5
    for listed in (mask, ~mask):
        for channel in range(3):
            exascale.add_energy_channel_mask_allpanel(
                channel, amplitudes, image, pixel_active_mask_bools=flex.bool(listed)
            )
    same(pixels(image), everywhere)
    assert len(passes) == 7
    assert not exascale_sum(exascale, amplitudes, detector, flex.size_t()).any()


def exascale_sum(exascale: exascale_api, amplitudes: gpu_energy_channels, detector: Detector, listed) -> np.ndarray:
    image = gpu_detector(detector=detector, beam=small_beam(1.3))
    for channel in range(3):
        exascale.add_energy_channel_mask_allpanel(channel, amplitudes, image, listed)
    return pixels(image)


def test_blocks_are_gauss_shaped_and_the_region_of_interest_does_not_count_where_pixels_are_listed():
    simulation, amplitudes = experiment(xtal_shape=shapetype.Tophat), channels()
    simulation.region_of_interest = ((10, 20), (5, 30))
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    everything = flex.bool(SLOW * FAST, True)
    exascale.add_energy_channel_mask_allpanel(1, amplitudes, image, everything)
    same(pixels(image)[0], spots_of(experiment(), 1))
    image.scale_in_place(0)
    exascale.add_energy_channel_from_gpu_amplitudes(1, amplitudes, image)
    got = pixels(image)[0]
    expected = spots_of(experiment(xtal_shape=shapetype.Tophat), 1)
    same(got[5:31, 10:21], expected[5:31, 10:21])
    got[5:31, 10:21] = 0
    assert not got.any()


def test_each_source_its_own_channel(passes):
    simulation, amplitudes = experiment(), channels()
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    several_sources(simulation)
    listed = flex.size_t(range(0, SLOW * FAST, 3))
    exascale.add_energy_multichannel_mask_allpanel(
        ichannels=flex.int([2, -1, 0]),
        gpu_amplitudes=amplitudes,
        gpu_detector=image,
        pixel_active_list_ints=listed,
        weights=flex.double(WEIGHTS),
    )
    got = pixels(image)[0]
    assert len(passes) == 1
    # nanoBragg scales the intensities of its sources to a mean of 1, and takes the fluence of all together for each.
    expected = np.zeros((SLOW, FAST))
    for k, channel in ((0, 2), (2, 0)):
        one = experiment()
        several_sources(one, [WAVELENGTHS[k]], [7e12])
        one.xray_source_XYZ = [(0.002 * k, 0.0, 1.0)]
        one.polar_vector = experiment().polar_vector
        expected += WEIGHTS[k] * (3 * 2**k / 7) * spots_of(one, channel)
    mask = np.zeros(SLOW * FAST, bool)
    mask[::3] = True
    same(got, np.where(mask.reshape(got.shape), expected, 0))


def test_channels_without_photons_take_no_pass(passes):
    simulation, amplitudes = experiment(), channels()
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image, weight=0)
    simulation.flux = 0
    simulation.fluence = 0
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    exascale.add_energy_multichannel_mask_allpanel([-1], amplitudes, image, flex.size_t([5]), [1.0])
    assert not pixels(image).any() and passes == []


def test_background(passes):
    simulation = experiment()
    several_sources(simulation)
    simulation.region_of_interest = ((10, 20), (5, 30))  # does not count
    exascale, image = allocated(simulation), gpu_detector(0, nanoBragg=simulation)
    reference = experiment()
    several_sources(reference)
    for arguments in ({}, {"override_source": 2}):
        exascale.add_background(detector=image, **arguments)
        image.scale_in_place(0.5)
        reference.raw_pixels *= 0
        reference.add_background(**arguments)
        same(pixels(image)[0], 0.5 * reference.raw_pixels.as_numpy_array())
        image.scale_in_place(0)
    passes.clear()
    exascale.add_background(image)
    simulation.amorphous_sample_thick_mm = 0.04
    exascale.add_background(image)
    got = pixels(image)[0]
    assert passes == ["add_background"]
    reference.raw_pixels *= 0
    reference.add_background()
    same(got, 3 * reference.raw_pixels.as_numpy_array())


def test_spots_and_background_of_two_images():
    """Only scale_in_place(0) and new objects make it dark, as in simtbx."""
    amplitudes = channels()
    simulation = experiment()
    reference = experiment()
    spots = spots_of(reference, 1)
    reference.raw_pixels *= 0
    reference.add_background()
    both = spots + reference.raw_pixels.as_numpy_array()
    image = None
    for times in (1, 2, 1, 1):
        if times == 1:
            image = gpu_detector(detector=DETECTORS[1], beam=small_beam(1.3))
        exascale = allocated(simulation)
        image.each_image_allocate()
        exascale.add_background(image)
        exascale.add_energy_channel_from_gpu_amplitudes(1, amplitudes, image)
        image.each_image_free()
        same(pixels(image)[0], times * both)
    image.scale_in_place(0)
    assert not pixels(image).any()


def test_detectors_and_structure_factors_stay_on_the_device(monkeypatch):
    gpu_instance().finalize_kokkos()
    made = []
    for kind in (Simulation, StructureFactors):

        def noted(self, *arguments, kind=kind, initialize=kind.__init__, **options):
            made.append(kind)
            initialize(self, *arguments, **options)

        monkeypatch.setattr(kind, "__init__", noted)
    amplitudes, images = channels(), []
    for seed in range(3):
        simulation = experiment(missets_deg=(0, 0, 5 * seed))
        exascale, image = allocated(simulation), gpu_detector(detector=DETECTORS[1], beam=small_beam(1.3))
        images.append(image)
        for channel, wavelength in enumerate(WAVELENGTHS):
            simulation.wavelength_A = wavelength + 0.01 * seed
            exascale.add_energy_channel_from_gpu_amplitudes(channel, amplitudes, image)
        image.get_raw_pixels()
    assert made.count(StructureFactors) == 1
    assert made.count(Simulation) == 1 + 3  # the detector in the beam, and the sum of each gpu_detector that is alive
    del images, image
    for _ in range(3):
        image = gpu_detector(detector=DETECTORS[1], beam=small_beam(1.3))
        exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
        image.get_raw_pixels()
        del image
    assert made.count(Simulation) == 1 + 3


def test_scaling_counts_for_what_was_added_before(passes):
    simulation, amplitudes = experiment(), channels()
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    first, second = (spots_of(experiment(), channel) for channel in (0, 1))
    passes.clear()
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    image.scale_in_place(3)
    exascale.add_energy_channel_from_gpu_amplitudes(1, amplitudes, image)
    image.scale_in_place(0.5)
    same(pixels(image)[0], 1.5 * first + 0.5 * second)
    assert len(passes) == 1
    image.scale_in_place(4)
    exascale.add_energy_channel_from_gpu_amplitudes(1, amplitudes, image)
    image.scale_in_place(-1)
    same(-pixels(image)[0], 6 * first + 3 * second)
    exascale.add_energy_channel_from_gpu_amplitudes(1, amplitudes, image)
    image.scale_in_place(0)
    exascale.add_energy_channel_from_gpu_amplitudes(1, amplitudes, image)
    same(pixels(image)[0], second)


def test_pixels_in_the_order_in_which_they_are_asked_for():
    simulation, amplitudes = experiment(DETECTORS[3]), channels()
    exascale, image = allocated(simulation), gpu_detector(detector=DETECTORS[3], beam=small_beam(1.3))
    exascale.add_energy_channel_from_gpu_amplitudes(1, amplitudes, image)
    order = np.random.default_rng(3).integers(0, 3 * SLOW * FAST, 500)
    got = image.get_whitelist_raw_pixels(flex.size_t(order))
    np.testing.assert_array_equal(got.as_numpy_array(), pixels(image).ravel()[order])
    assert len(image.get_whitelist_raw_pixels(flex.size_t())) == 0


def test_pixels_are_written_into_the_array_that_a_script_holds():
    simulation, amplitudes = experiment(), channels()
    held = simulation.raw_pixels
    simulation.raw_pixels += 5
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    exascale.add_energy_channel_from_gpu_amplitudes(1, amplitudes, image)
    image.write_raw_pixels(simulation)
    assert held.focus() == (SLOW, FAST)
    np.testing.assert_array_equal(held.as_numpy_array(), pixels(image)[0])


def test_replaced_amplitudes_count_from_then_on(passes):
    simulation, amplitudes = experiment(), channels()
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    amplitudes.structure_factors_replace_GPU_direct(0, AMPLITUDES[2].indices(), AMPLITUDES[2].data())
    assert amplitudes.get_nchannels() == 3
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    got = pixels(image)[0]
    assert len(passes) == 2
    same(got, spots_of(experiment(), 0) + spots_of(experiment(), 2))


def test_amplitudes_are_those_at_the_time_of_the_call():
    simulation, amplitudes, array = experiment(), gpu_energy_channels(), AMPLITUDES[1].deep_copy()
    for _ in range(2):
        amplitudes.structure_factors_to_GPU_direct(0, array.indices(), array.data())
    array.data().fill(0)
    for channel in (0, 1):
        exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
        exascale.add_energy_channel_from_gpu_amplitudes(channel, amplitudes, image)
        same(pixels(image)[0], spots_of(experiment(), 1))


def test_channels_may_come_one_by_one(passes):
    simulation, amplitudes = experiment(), gpu_energy_channels(0)
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    for channel, array in enumerate(AMPLITUDES):
        assert amplitudes.get_nchannels() == channel
        amplitudes.structure_factors_to_GPU_direct(channel, array.indices(), array.data())
        exascale.add_energy_channel_from_gpu_amplitudes(channel, amplitudes, image)
        if channel == 1:
            image.get_raw_pixels()
    got = pixels(image)[0]
    assert len(passes) == 2
    same(got, sum(spots_of(experiment(), channel) for channel in range(3)))


def test_only_reflections_that_are_given_count():
    amplitudes = gpu_energy_channels()
    given = [(1, 2, 3), (0, 0, 0), (2, -1, 4), (1, 2, 3)]
    amplitudes.structure_factors_to_GPU_direct(0, flex.miller_index(given), flex.double([5, 100, 7, 9]))
    simulation = experiment(default_F=50, F000=50)
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    reference = experiment()
    reference.Fhkl_tuple = flex.miller_index(given[2:]), flex.double([7, 9])
    reference.add_nanoBragg_spots()
    same(pixels(image)[0], reference.raw_pixels.as_numpy_array())


def test_lists_of_pixels_in_little_memory():
    simulation, amplitudes = experiment(DETECTORS[3]), channels()
    several_sources(simulation)
    listed = flex.size_t(np.random.default_rng(4).integers(0, 3 * SLOW * FAST, 800))
    models = {"detector": DETECTORS[3], "beam": small_beam(1.3)}
    large, small = gpu_detector(**models), gpu_detector_small_whitelist(**models)
    small.each_image_allocate(n_pixels=listed.size())
    for kind, image in ((exascale_api, large), (exascale_api_small_whitelist, small)):
        exascale = kind(nanoBragg=simulation)
        exascale.allocate()
        for _ in range(2):
            exascale.add_energy_multichannel_mask_allpanel(
                flex.int([0, 1, 2]), amplitudes, image, listed, flex.double(WEIGHTS)
            )
        image.scale_in_place(5)
    same(
        small.get_whitelist_raw_pixels(flex.size_t(range(listed.size()))).as_numpy_array(),
        large.get_whitelist_raw_pixels(listed).as_numpy_array(),
    )
    assert not pixels(small).ravel()[listed.size() :].any()
    for add, arguments in (
        (exascale.add_background, (small,)),
        (exascale.add_energy_channel_from_gpu_amplitudes, (0, amplitudes, small)),
    ):
        with pytest.raises(ValueError, match="needs a gpu_detector"):
            add(*arguments)
    with pytest.raises(ValueError, match="n_pixels"):
        small.each_image_allocate()


def test_noise_of_each_panel():
    simulation = experiment(DETECTORS[3], amorphous_sample_thick_mm=2.0, detector_psf_type=shapetype.Unknown)
    simulation.adc_offset_adu, simulation.readout_noise_adu, simulation.detector_calibration_noise_pct = 10, 3, 0
    simulation.quantum_gain, simulation.seed = 2, 5
    exascale, image = allocated(simulation), gpu_detector(detector=DETECTORS[3], beam=small_beam(1.3))
    exascale.add_background(image)
    expected = pixels(image)
    noisy = exascale.add_noise(image).as_numpy_array()
    assert noisy.shape == expected.shape
    deviations = (noisy - 10 - 2 * expected) / np.sqrt(4 * expected + 9)
    assert deviations.mean() == pytest.approx(0, abs=5 / np.sqrt(noisy.size))
    assert deviations.std() == pytest.approx(1, rel=0.03)
    assert abs(np.corrcoef(deviations.reshape(3, -1))[0, 1]) < 0.1
    np.testing.assert_array_equal(pixels(image), expected)
    assert simulation.seed == 5
    np.testing.assert_array_equal(exascale.add_noise(image).as_numpy_array(), noisy)


def test_diffuse_scattering_is_refused():
    exascale = exascale_api(nanoBragg=experiment())
    diffuse = exascale.diffuse
    assert diffuse.enable is False and diffuse.stencil_size == 1 and diffuse.laue_group_num == 12
    diffuse.anisoG, diffuse.anisoU = [300.0, 100.0, 300.0], (0.48, 0.16, 0.16)
    diffuse.rotate_principal_axes = "a-b,a+b,c"
    diffuse.enable = False
    exascale.diffuse = diffuse
    assert exascale.diffuse.anisoG == (300, 100, 300)
    assert exascale.diffuse.rotate_principal_axes[:3] == pytest.approx((0.5**0.5, -(0.5**0.5), 0))
    with pytest.raises(NotImplementedError, match="diffuse scattering of the crystal is not part of"):
        diffuse.enable = True
    for name, value in (("anisoG", (1, 2)), ("rotate_principal_axes", "b,a,c"), ("stencil_size", 1.5)):
        with pytest.raises(ValueError, match=name):
            setattr(diffuse, name, value)
    with pytest.raises(ValueError, match="diffuse"):
        exascale.diffuse = True
    assert isinstance(exascale.diffuse, diffuse_api)


def test_what_cannot_be_computed_stays_pending():
    simulation, amplitudes = experiment(), channels()
    exascale, image = allocated(simulation), gpu_detector(nanoBragg=simulation)
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    simulation.polar_vector = (0, 0, 1)  # along the beam
    exascale.allocate()
    exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
    for _ in range(2):
        with pytest.raises(ValueError, match="electric"):
            image.get_raw_pixels()
    image.scale_in_place(0)
    assert not pixels(image).any()


CALLS = {
    "channel_number": lambda e, a, d: e.add_energy_channel_from_gpu_amplitudes(3, a, d),
    "weight must be a finite number": lambda e, a, d: e.add_energy_channel_from_gpu_amplitudes(0, a, d, "much"),
    "weights, spot_scale": lambda e, a, d: e.add_energy_channel_from_gpu_amplitudes(0, a, d, -1),
    "gpu_amplitudes": lambda e, a, d: e.add_energy_channel_from_gpu_amplitudes(0, d, d),
    "gpu_detector must be": lambda e, a, d: e.add_energy_channel_from_gpu_amplitudes(0, a, a),
    "pixel_active_mask_bools": lambda e, a, d: e.add_energy_channel_mask_allpanel(0, a, d, flex.bool(5, True)),
    "pixel_active_list_ints must hold": lambda e, a, d: e.add_energy_channel_mask_allpanel(
        0, a, d, flex.size_t([10**7])
    ),
    "pixel_active_list_ints must be": lambda e, a, d: e.add_energy_channel_mask_allpanel(0, a, d, [0.5]),
    "either": lambda e, a, d: e.add_energy_channel_mask_allpanel(0, a, d),
    "ichannels must have": lambda e, a, d: e.add_energy_multichannel_mask_allpanel([0, 1], a, d, [1], [1.0]),
    "ichannels must be one": lambda e, a, d: e.add_energy_multichannel_mask_allpanel([7], a, d, [1], [1.0]),
    "weights must have": lambda e, a, d: e.add_energy_multichannel_mask_allpanel([0], a, d, [1], []),
    "override_source": lambda e, a, d: e.add_background(d, 1),
    "detector must be": lambda e, a, d: e.add_background(a),
    "allocate": lambda e, a, d: exascale_api(experiment()).add_background(d),
    "nanoBragg must be": lambda e, a, d: exascale_api(nanoBragg=a),
    "nanoBragg has a panel": lambda e, a, d: d.write_raw_pixels(nanoBragg(detpixels_slowfast=(SLOW, FAST + 1))),
    "nanoBragg has a panel of 7": lambda e, a, d: exascale_api(nanoBragg(detpixels_slowfast=(7, 7))).add_noise(d),
    "selection": lambda e, a, d: d.get_whitelist_raw_pixels(flex.int([-1])),
    "factor": lambda e, a, d: d.scale_in_place("twice"),
    "either nanoBragg": lambda e, a, d: gpu_detector(deviceId=0),
    "deviceId": lambda e, a, d: gpu_instance(deviceId="first"),
    "indices must hold": lambda e, a, d: a.structure_factors_to_GPU_direct(0, flex.miller_index(), flex.double()),
    "1 indices, but 2 amplitudes": lambda e, a, d: a.structure_factors_to_GPU_direct(
        0, flex.miller_index([(1, 2, 3)]), flex.double(2)
    ),
    "amplitudes must be a flex.double": lambda e, a, d: a.structure_factors_to_GPU_direct(
        0, flex.miller_index([(1, 2, 3)]), flex.int(1)
    ),
    "ichannel must be": lambda e, a, d: a.structure_factors_replace_GPU_direct(
        3, flex.miller_index([(1, 2, 3)]), flex.double(1)
    ),
    "first_element": lambda e, a, d: a.print_Fhkl(0, 5, 10**9),
}


@pytest.mark.parametrize("message", CALLS)
def test_what_cannot_be_is_named(message):
    simulation = experiment()
    with pytest.raises(ValueError, match=message):
        CALLS[message](allocated(simulation), channels(), gpu_detector(nanoBragg=simulation))


def test_panels_of_one_size():
    detector = panels(2)
    detector[1].set_image_size((FAST, SLOW + 1))
    with pytest.raises(ValueError, match="panels of one size"):
        gpu_detector(detector=detector, beam=small_beam())


def test_devices(monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    assert gpu_instance().get_deviceID() == -1 and not os.environ
    instance = gpu_instance(deviceId=2)
    assert instance.get_deviceID() == 2 and os.environ == {"KOKKOS_DEVICE_ID": "2"}
    gpu_instance(deviceId=1)
    assert os.environ == {"KOKKOS_DEVICE_ID": "2"}
    assert gpu_energy_channels(3).get_deviceID() == 3
    assert gpu_detector(4, nanoBragg=experiment()).get_deviceID() == 4
    instance.finalize_kokkos()
    assert len(gathering.SPOTS) == len(gathering.BACKGROUNDS) == 0


def test_printing(capsys):
    simulation, amplitudes = experiment(), channels()
    gpu_detector(detector=DETECTORS[3], beam=small_beam()).show_summary()
    exascale_api(simulation).show()
    one = gpu_energy_channels()
    one.structure_factors_to_GPU_direct(0, flex.miller_index([(-1, 0, 0), (1, 1, 0)]), flex.double([7, 8]))
    one.print_Fhkl(channel=0, first_element=0, last_element=6)
    printed = capsys.readouterr().out
    assert "3 panels of 52 x 44 pixels" in printed and "panel 2: " in printed and "unit cell 40 50 60" in printed
    assert printed.endswith(
        "element 0, -1 0 0: 7\nelement 1, -1 1 0: 0\nelement 2, 0 0 0: 0\n"
        "element 3, 0 1 0: 0\nelement 4, 1 0 0: 0\nelement 5, 1 1 0: 8\n"
    )
    assert amplitudes.get_nchannels() == 3 and Gauss is shapetype.Gauss
