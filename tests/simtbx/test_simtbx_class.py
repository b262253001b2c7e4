"""simtbx's class on this engine: what scripts do with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from cctbx import crystal, miller, uctbx
from cctbx.array_family import flex
from dxtbx_model_ext import flex_Beam
from helpers.small_models import small_beam, small_detector
from scitbx import matrix

from nanobragg_kokkos import Crystal, Simulation, Sources, StructureFactors
from nanobragg_kokkos.simtbx import Gauss, nanoBragg, pivot, shapetype
from nanobragg_kokkos.simtbx.setup import Setup

WATER = flex.vec2_double([(0, 2.57), (0.07, 2.8), (0.12, 5), (0.162, 8), (0.2, 6.75), (0.18, 7.32), (0.5, 3.17)])


def small(**options) -> nanoBragg:
    simulation = nanoBragg(
        detpixels_slowfast=(60, 80), pixel_size_mm=0.5, unit_cell_Adeg=(40, 50, 60, 90, 90, 90), **options
    )
    simulation.Ncells_abc = (12, 10, 9)
    simulation.xtal_shape = shapetype.Gauss
    simulation.interpolate = 0
    simulation.default_F = 100
    simulation.missets_deg = (10, 20, 30)
    return simulation


def pixels(simulation: nanoBragg) -> np.ndarray:
    return simulation.raw_pixels.as_numpy_array()


def test_the_image_adds_up_in_the_array_that_a_script_holds():
    simulation = small()
    held = simulation.raw_pixels
    simulation.add_nanoBragg_spots()
    once = held.as_numpy_array()
    assert once.shape == (60, 80) and once.max() > 0
    simulation.spot_scale = 2
    simulation.add_nanoBragg_spots_nks()
    np.testing.assert_allclose(held.as_numpy_array(), 3 * once, rtol=1e-12)
    simulation.raw_pixels *= 0
    simulation.add_nanoBragg_spots_cuda()
    np.testing.assert_allclose(pixels(simulation), 2 * once, rtol=1e-12)
    simulation.raw_pixels = flex.double(60 * 80, 1.0)  # as one row
    simulation.spot_scale = 1
    simulation.add_nanoBragg_spots()
    np.testing.assert_allclose(simulation.raw_pixels.as_numpy_array().reshape(60, 80), 1 + once, rtol=1e-12)


def test_a_detector_stays_on_the_device_as_long_as_it_does_not_change(monkeypatch):
    simulation = small()
    make, made = Setup.simulation, []
    monkeypatch.setattr(Setup, "simulation", lambda *arguments: made.append(1) or make(*arguments))
    simulation.add_nanoBragg_spots()
    simulation.randomize_orientation()
    simulation.mosaic_spread_deg = 0.1
    simulation.add_nanoBragg_spots()
    simulation.wavelength_A, simulation.fluence, simulation.polarization = 1.1, 1e20, 0.5
    simulation.add_nanoBragg_spots()
    assert len(made) == 1
    simulation.distance_mm = 90
    simulation.add_nanoBragg_spots()
    assert len(made) == 2
    simulation.free_all()
    simulation.add_nanoBragg_spots()
    assert len(made) == 3


def test_the_same_detector_in_another_beam():
    simulation, other = small(oversample=2), small(oversample=2)
    simulation.add_nanoBragg_spots()
    for each in (simulation, other):
        each.wavelength_A, each.fluence = 1.1, 1e20
        each.raw_pixels *= 0
        each.add_nanoBragg_spots()
    np.testing.assert_array_equal(pixels(simulation), pixels(other))


def test_parts_of_cells():
    simulation = small()
    simulation.xtal_size_mm = (12.5 * 40e-7, 10 * 50e-7, 9.25 * 60e-7)
    assert simulation.Ncells_abc == pytest.approx((12.5, 10, 9.25))
    simulation.add_nanoBragg_spots()
    detector = small_detector()
    by_hand = Simulation(detector, Sources.from_beam(small_beam()), fluence=1.0)
    with pytest.raises(ValueError, match="whole"):
        by_hand.add_spots(
            Crystal(small_crystal_model(), n_cells=(12.5, 10, 9), shape="square"), StructureFactors(one_amplitude())
        )
    images = []
    for cells in (12, 12.5, 13):
        by_hand.clear()
        by_hand.add_spots(
            Crystal(small_crystal_model(), n_cells=(cells, 10, 9), shape="gauss"),
            StructureFactors(one_amplitude(), default_amplitude=100),
        )
        images.append(by_hand.image[0].max())
    assert images[0] < images[1] < images[2]


def small_crystal_model():
    from helpers.small_models import small_crystal

    return small_crystal().model


def one_amplitude() -> miller.array:
    symmetry = crystal.symmetry((40, 50, 60, 90, 90, 90), "P 1")
    indices = flex.miller_index([(1, 2, 3)])
    return miller.array(miller.set(symmetry, indices, anomalous_flag=True), flex.double([100.0]))


def test_reading_sources_changes_nothing_and_setting_them_works_in_any_order():
    simulation = small(wavelength_A=1.2)
    simulation.dispersion_pct, simulation.dispsteps = 1.0, 3
    assert list(simulation.xray_source_wavelengths_A) == pytest.approx([1.194, 1.2, 1.206])
    assert list(simulation.xray_source_intensity_fraction) == pytest.approx([1 / 3] * 3)
    assert len(simulation.xray_source_XYZ) == 3
    simulation.dispsteps = 2
    assert list(simulation.xray_source_wavelengths_A) == pytest.approx([1.194, 1.206])
    simulation.xray_source_wavelengths_A = flex.double([1.1, 1.3])
    simulation.xray_source_intensity_fraction = flex.double([0.25, 0.75])
    assert list(simulation.xray_source_wavelengths_A) == pytest.approx([1.1, 1.3])
    assert simulation.xray_source_XYZ[1] == pytest.approx((-10, 0, 0))
    assert [beam.get_flux() for beam in simulation.xray_beams] == pytest.approx([0.25, 0.75])
    simulation.wavelength_A = 1.5
    assert list(simulation.xray_source_wavelengths_A) == pytest.approx([1.5, 1.5])


def test_beams_are_summed_and_one_of_them_stands_for_all():
    simulation = nanoBragg(small_detector(), small_beam(1.0))
    simulation.Fbg_vs_stol = WATER
    simulation.amorphous_sample_thick_mm = 0.1
    simulation.flux = 1e12
    simulation.add_background()
    alone = pixels(simulation)
    beams = flex_Beam()
    for _ in range(4):
        beam = small_beam(1e-10)
        beam.set_flux(1e12 / 4)
        beams.append(beam)
    simulation.xray_beams = beams
    simulation.flux = 1e12
    for arguments in ({}, {"oversample": 1, "override_source": 2}):
        simulation.raw_pixels *= 0
        simulation.add_background(**arguments)
        np.testing.assert_allclose(pixels(simulation), 4 * alone, rtol=1e-9)


def test_the_region_of_interest():
    simulation = small()
    simulation.add_nanoBragg_spots()
    whole = pixels(simulation)
    simulation.raw_pixels *= 0
    simulation.region_of_interest = ((10, 20), (5, 30))
    simulation.add_nanoBragg_spots()
    part = pixels(simulation)
    np.testing.assert_allclose(part[5:31, 10:21], whole[5:31, 10:21], rtol=1e-9)
    part[5:31, 10:21] = 0
    assert not part.any()


def test_interpolation_ends_where_structure_factors_do():
    simulation = small()
    simulation.interpolate = 1
    simulation.add_nanoBragg_spots()
    assert simulation.interpolate == 0  # there are none around these pixels
    nearest = pixels(simulation)
    other = small()
    other.add_nanoBragg_spots()
    np.testing.assert_array_equal(pixels(other), nearest)
    box = [(h, k, l) for h in range(-40, 41) for k in range(-40, 41) for l in range(-40, 41)]
    simulation.Fhkl_tuple = flex.miller_index(box), flex.double(len(box), 100.0)
    simulation.F000 = 100
    simulation.interpolate = 1
    simulation.raw_pixels *= 0
    simulation.add_nanoBragg_spots()
    assert simulation.interpolate == 1
    other.F000 = 100
    other.raw_pixels *= 0
    other.add_nanoBragg_spots()
    np.testing.assert_allclose(pixels(simulation), pixels(other), rtol=1e-7, atol=1e-9 * nearest.max())


def test_structure_factors_read_back():
    simulation = small()
    simulation.F000 = 3
    simulation.Fhkl_tuple = flex.miller_index([(1, 0, 0), (-1, 0, 1), (1, 0, 0)]), flex.double([7.0, 8.0, 9.0])
    indices, amplitudes = simulation.Fhkl_tuple
    found = dict(zip(indices, amplitudes))
    assert len(found) == 6
    assert (found[1, 0, 0], found[-1, 0, 1], found[0, 0, 0], found[0, 0, 1]) == (9, 8, 3, 100)
    simulation.amplitudes = flex.double([1.0])
    with pytest.raises(ValueError, match="3 indices, but 1 amplitudes"):
        simulation.add_nanoBragg_spots()


def test_background_comes_back_out_of_the_image():
    simulation = nanoBragg(detpixels_slowfast=(300, 300), pixel_size_mm=0.5, distance_mm=100, wavelength_A=1)
    table = flex.vec2_double([(0.05 * k, 5.0) for k in range(11)])
    simulation.Fbg_vs_stol = table
    simulation.amorphous_sample_thick_mm = 0.1
    simulation.flux = 1e15
    simulation.adc_offset_adu = 0
    simulation.add_background(oversample=1)
    held = [F for _, F in simulation.Fbg_vs_stol]
    assert held == [5.0] * 11
    simulation.raw_pixels *= 4.0
    simulation.extract_background()
    extracted = [F for _, F in simulation.Fbg_vs_stol]
    assert extracted[2:7] == pytest.approx([10.0] * 5, rel=0.01)
    simulation.amorphous_sample_thick_mm = 0.1  # brings back what was given
    assert [F for _, F in simulation.Fbg_vs_stol] == [5.0] * 11


def noisy(**properties) -> nanoBragg:
    simulation = nanoBragg(detpixels_slowfast=(200, 200))
    simulation.seed = 1
    simulation.detector_psf_fwhm_mm = 0
    simulation.detector_calibration_noise_pct = 0
    simulation.readout_noise_adu = 0
    for name, value in properties.items():
        setattr(simulation, name, value)
    simulation.raw_pixels += 50
    return simulation


@pytest.mark.parametrize(
    "properties, mean, variance",
    [
        ({}, 90, 50),
        ({"quantum_gain": 2, "adc_offset_adu": 10}, 110, 200),
        ({"readout_noise_adu": 5}, 90, 75),
        ({"detector_calibration_noise_pct": 10}, 90, 50 + 0.01 * 2550),
        ({"flicker_noise_pct": 20}, 90, 50 + 0.04 * 2500),
    ],
)
def test_noise_has_the_right_mean_and_variance(properties, mean, variance):
    simulation = noisy(**properties)
    simulation.add_noise()
    counts = pixels(simulation)
    assert counts.mean() == pytest.approx(mean, abs=5 * math.sqrt(variance / counts.size))
    assert counts.var() == pytest.approx(variance, rel=0.05)


def test_noise_follows_the_seeds():
    first, second = noisy(readout_noise_adu=3), noisy(readout_noise_adu=3)
    first.add_noise()
    second.add_noise()
    np.testing.assert_array_equal(pixels(first), pixels(second))
    assert first.seed == second.seed != 1
    again = flex.double(flex.grid(200, 200), 50)
    before = pixels(first)
    first.raw_pixels = again
    first.add_noise()
    assert (pixels(first) != before).mean() > 0.9


def test_noise_stays_in_the_region_and_leaves_negative_pixels():
    simulation = noisy(region_of_interest=((0, 99), (0, 199)), adc_offset_adu=0)
    simulation.raw_pixels[0] = -7
    simulation.add_noise()
    counts = pixels(simulation)
    assert counts[0, 0] == -7
    assert (counts[:, 100:] == 50).all()
    simulation = noisy(adc_offset_adu=0)
    simulation.raw_pixels *= 1e10
    simulation.add_noise()
    assert pixels(simulation).mean() == pytest.approx(5e11, rel=1e-6)


def test_point_spread():
    simulation = nanoBragg(detpixels_slowfast=(64, 64))
    simulation.raw_pixels[32 * 64 + 32] = 1e4
    simulation.apply_psf(shapetype.Unknown)
    assert pixels(simulation)[32, 32] == 1e4
    simulation.apply_psf(psf_type=Gauss, fwhm_pixels=3)
    blurred = pixels(simulation)
    assert blurred.sum() == pytest.approx(1e4, rel=1e-3)
    assert blurred[32, 32] == pytest.approx(1e4 * math.log(16) / math.pi / 9, rel=0.05)
    assert simulation.detector_psf_fwhm_mm == pytest.approx(0.3)
    assert simulation.detector_psf_kernel_radius_pixels == -1


def test_files(tmp_path):
    simulation = noisy()
    simulation.raw_pixels[5] = -3
    simulation.raw_pixels[6] = 1e9
    simulation.to_smv_format(fileout=str(tmp_path / "image.img"), intfile_scale=1)
    content = (tmp_path / "image.img").read_bytes()
    header = dict(line.split("=") for line in content[:1024].decode().split("\n") if "=" in line)
    assert header["SIZE1"] == "200;" and header["WAVELENGTH"] == "1;" and header["DISTANCE"] == "100;"
    counts = np.frombuffer(content[1024:], "<u2")
    assert list(counts[4:7]) == [50, 0, 65534]
    assert simulation.get_intfile_scale() == 55000 / 1e9
    assert simulation.get_intfile_scale(2) == 2
    assert simulation.raw_pixels_unsigned_short_as_python_bytes(1) == content[1024:]


def test_printing(capsys):
    simulation = small(verbose=1)
    simulation.mosaic_spread_deg, simulation.mosaic_domains = 0.3, 3
    simulation.show_params()
    simulation.show_sources()
    simulation.show_mosaic_blocks()
    simulation.add_nanoBragg_spots()
    printed = capsys.readouterr().out
    for word in ("unit cell 40 50 60", "1 sources", "total of 3 mosaic domains", "Bragg spots"):
        assert word in printed


def test_vectors_and_cells_of_every_kind():
    simulation = small()
    simulation.Amatrix = matrix.sqr((0.01, 0, 0, 0, 0.02, 0, 0, 0, 0.025))
    assert simulation.unit_cell_tuple == pytest.approx((100, 50, 40, 90, 90, 90))
    simulation.unit_cell_Adeg = uctbx.unit_cell((30, 40, 50, 90, 100, 90))
    assert simulation.unit_cell_Adeg.parameters()[:3] == pytest.approx((30, 40, 50))
    simulation.spindle_axis = np.array([0, 1, 0])
    assert simulation.spindle_axis == (0, 1, 0)
    simulation.detector_pivot = pivot.Sample
    assert str(simulation.detector_pivot) == "Sample"
    assert repr(shapetype.Gauss) == "simtbx_nanoBragg_ext.shapetype.Gauss"
    assert shapetype.names["Gauss"] is shapetype.values[3] is Gauss


@pytest.mark.parametrize(
    "name, value",
    [
        ("distance_mm", "far"),
        ("oversample", 1.5),
        ("beam_center_mm", (1,)),
        ("Amatrix", range(8)),
        ("xtal_shape", 12),
        ("region_of_interest", (1, 2, 3)),
        ("raw_pixels", [1.0]),
        ("mosaic_seed", None),
        ("fdet_vector", "abc"),
    ],
)
def test_what_cannot_be_is_named(name, value):
    with pytest.raises(ValueError, match=name):
        setattr(small(), name, value)


@pytest.mark.parametrize(
    "name, value",
    [("curved_detector", True), ("polarization", 2.0), ("raw_pixels", flex.double(3)), ("sdet_vector", (0, 0, 1))],
)
def test_what_cannot_be_simulated_is_named(name, value):
    simulation = small()
    setattr(simulation, name, value)
    with pytest.raises(ValueError, match=name):
        simulation.add_nanoBragg_spots()
    with pytest.raises(ValueError, match="Fbg_vs_stol"):
        small().add_background()
    with pytest.raises(ValueError, match="unit_cell_tuple"):
        nanoBragg(small_detector(), small_beam()).add_nanoBragg_spots()
