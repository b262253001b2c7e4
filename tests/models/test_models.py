"""The models that a job is made of: detector, spectrum, structure factors, orientations, counts."""

from __future__ import annotations

import numpy as np
import pytest
from cctbx import miller
from cctbx.array_family import flex
from dxtbx.model import Experiment, ExperimentList, SimplePxMmStrategy
from helpers.small_models import small_beam, small_detector
from libtbx.utils import Sorry
from scitbx import matrix

from nanobragg_kokkos import SensorLayers, detectors, named_detectors, protein, specimen
from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.models.beam import pulses
from nanobragg_kokkos.models.sample.random_orientations import axis_rotation, mosaic_blocks, random_rotation
from nanobragg_kokkos.util.random_streams import stream


@pytest.fixture(scope="module")
def structure():
    return protein.read_coordinates(protein.default_coordinates())


def saved(path, detector, beam) -> str:
    ExperimentList([Experiment(detector=detector, beam=beam)]).as_file(str(path))
    return str(path)


def test_rayonix_is_centred_on_the_beam():
    panel = named_detectors.by_name("rayonix_mx340")[0]
    assert panel.get_image_size() == (3840, 3840)
    assert panel.get_beam_centre_px((0, 0, -1)) == pytest.approx((1920, 1920))
    assert panel.get_distance() == pytest.approx(141.7)


def test_detector_from_file_keeps_its_place_in_its_beam(tmp_path):
    beam = small_beam(direction=(0.3, -0.2, 0.9))
    detector = small_detector()
    found = detectors.from_file(saved(tmp_path / "tilted.expt", detector, beam))
    source = matrix.col(beam.get_sample_to_source_direction())
    for pixel in ((0, 0), (95, 3), (40, 90)):
        before = matrix.col(detector[0].get_pixel_lab_coord(pixel))
        after = matrix.col(found[0].get_pixel_lab_coord(pixel))
        assert after.length() == pytest.approx(before.length())
        assert after.angle(matrix.col((0, 0, 1))) == pytest.approx(before.angle(source))


def test_counts_of_zero_are_trusted_on_a_detector_from_a_file(tmp_path):
    detector = small_detector()
    detector[0].set_trusted_range((0, 1000))
    found = detectors.from_file(saved(tmp_path / "small.expt", detector, small_beam()))
    assert found[0].get_trusted_range() == (-1, 1000)


def test_offset_is_added_along_the_beam():
    detector = small_detector(distance_mm=80)
    assert detectors.farther(detector, 20)[0].get_distance() == pytest.approx(100)
    assert detector[0].get_distance() == pytest.approx(80)


def test_silicon_absorbs_as_tabulated():
    detector = small_detector(pixel_mm=0.1)
    detector[0].set_thickness(0.32)
    detector[0].set_material("Si")
    sensor = detectors.sensor_layers(detector, wavelength=1.5418)
    # NIST: mu/rho of silicon is 64.7 cm^2/g at 8.04 keV.
    assert sensor.attenuation_length_mm == pytest.approx(10 / (64.7 * 2.33), rel=0.02)
    assert (sensor.layers, sensor.placement) == (7, 0.5)
    assert detectors.sensor_layers(small_detector(), 1.5) is None


def test_panels_say_what_sensor_is_simulated():
    detector = small_detector()
    detector[0].set_material("Silicon")
    detector[0].set_thickness(0.32)
    deep = detectors.with_sensor(detector, SensorLayers(0.45, 0.1, 5, 0.5))[0]
    assert (deep.get_material(), deep.get_thickness(), deep.get_mu()) == ("Si", 0.45, 10)
    strategy = deep.get_px_mm_strategy()
    assert (strategy.mu(), strategy.t0()) == (10, 0.45)
    for sensor in (None, SensorLayers(0.45, 0.1)):
        flat = detectors.with_sensor(detector, sensor)[0]
        assert (flat.get_thickness(), flat.get_mu()) == (0, 0)
        assert type(flat.get_px_mm_strategy()) is SimplePxMmStrategy


def test_what_nxmx_cannot_hold_is_refused_beforehand(tmp_path):
    detector = small_detector()
    detector[0].set_material("C")
    detector[0].set_thickness(1)
    path = saved(tmp_path / "carbon.expt", detector, small_beam())
    params = parameters.parse([f"detector.reference={path}"]).extract()
    with pytest.raises(Sorry, match="detector.reference=.*has the parallax"):
        from_parameters.experiment(params)


def test_phosphor_stops_nearly_all():
    sensor = detectors.phosphor(1.3)
    assert 0.95 < 1 - np.exp(-sensor.thickness_mm / sensor.attenuation_length_mm) < 0.999
    params = parameters.parse(["attenuation=False"]).extract()
    assert from_parameters.experiment(params).sensor is None


def test_spectrum_has_its_mean_and_width():
    energies, weights = pulses.gaussian_spectrum(9500, 201, 1, 40)
    assert weights.sum() == pytest.approx(1)
    assert (weights * energies).sum() == pytest.approx(9500)
    assert weights[80] / weights[100] == pytest.approx(0.5)
    assert list(pulses.gaussian_spectrum(9500, 1, 1, 40)[0]) == [9500]
    assert np.isfinite(pulses.gaussian_spectrum(9500, 2, 100, 1e-3)[1]).all()


def test_amplitudes_are_those_of_the_atoms(structure):
    found = protein.amplitudes(structure, 2.0, 1.3, anomalous_table=None, k_sol=0)
    structure = structure.deep_copy_scatterers()
    structure.scattering_type_registry(table="wk1995")
    direct = found.structure_factors_from_scatterers(structure, algorithm="direct").f_calc().amplitudes()
    assert found.anomalous_flag() and found.completeness() == 1.0
    assert flex.mean(flex.abs(found.data() - direct.data())) < 2e-3 * flex.mean(direct.data())


def test_solvent_counts_at_low_resolution_only(structure):
    bare = protein.amplitudes(structure, 1.5, 1.3, k_sol=0)
    soaked = protein.amplitudes(structure, 1.5, 1.3)
    change = flex.abs(soaked.data() - bare.data()) / flex.mean(bare.data())
    d = bare.d_spacings().data()
    assert flex.mean(change.select(d > 8)) > 0.2
    assert flex.max(change.select(d < 2)) < 0.01


def test_iron_scatters_anomalously(structure):
    above_the_edge, below_the_edge = (protein.amplitudes(structure, 2.0, 12398.42 / e) for e in (7200, 7000))
    assert above_the_edge.anomalous_signal() > 2 * below_the_edge.anomalous_signal()
    assert protein.amplitudes(structure, 2.0, 1.7, anomalous_table=None).anomalous_signal() < 1e-3


def test_experiment_reaches_the_farthest_corner_and_survives_pickling():
    import pickle

    params = parameters.parse(["crystal.Deff_A=1000", "length_um=20", "beam.size_mm=0.005"]).extract()
    experiment = pickle.loads(pickle.dumps(from_parameters.experiment(params)))
    assert isinstance(experiment.amplitudes, miller.array)
    angle = np.arctan2(np.hypot(1920, 1920) * 0.088, 141.7)
    assert experiment.amplitudes.d_min() == pytest.approx(12398.42 / 9549.5 / 2 / np.sin(angle / 2), rel=1e-3)
    exposure = experiment.exposure(0)
    (crystal,) = exposure.crystals
    assert crystal.n_cells == (29, 29, 23)
    assert crystal.volume_mm3 == pytest.approx(0.005**2 * 0.02)
    assert experiment.simulation(exposure.pulse).fluence == pytest.approx(1e11 / 0.005**2)


def test_crystal_is_turned_as_asked(structure):
    rotation = axis_rotation((1, 2, 3), 40)
    crystal = specimen.oriented_crystal(structure.crystal_symmetry(), rotation)
    assert np.reshape(crystal.get_U(), (3, 3)) == pytest.approx(rotation)
    assert crystal.get_unit_cell().is_similar_to(structure.unit_cell(), 1e-9)
    assert crystal.get_space_group() == structure.space_group()


def test_orientations_are_uniform():
    rotations = np.array([random_rotation(stream(3, "orientation", k)) for k in range(4000)])
    assert rotations @ rotations.transpose(0, 2, 1) == pytest.approx(np.tile(np.eye(3), (4000, 1, 1)), abs=1e-12)
    assert np.linalg.det(rotations) == pytest.approx(np.ones(4000))
    assert rotations.mean(0) == pytest.approx(np.zeros((3, 3)), abs=0.04)
    assert (rotations**2).mean(0) == pytest.approx(np.full((3, 3), 1 / 3), abs=0.02)
    # The density of the angle t of a uniform rotation is (1 - cos t) / pi.
    angles = np.arccos((rotations.trace(axis1=1, axis2=2) - 1) / 2)
    assert angles.mean() == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.03)


def test_mosaic_blocks_spread_as_asked():
    blocks = mosaic_blocks(5000, 0.05, stream(1, "mosaic"))
    angles = np.degrees(np.arcsin(np.linalg.norm(blocks - blocks.transpose(0, 2, 1), axis=(1, 2)) / np.sqrt(8)))
    assert np.sqrt((angles**2).mean()) == pytest.approx(0.05, rel=0.03)
    # As many in a crystal as there usually are: it is to be where its orientation says.
    for domains in (2, 3, 10):
        crystals = np.array([mosaic_blocks(domains, 0.05, stream(seed, "mosaic")) for seed in range(200)])
        assert crystals.shape[1] == domains
        turns = crystals - crystals.transpose(0, 1, 3, 2)
        assert np.abs(np.degrees(turns.mean(axis=1) / 2)).max() < 1e-6
        assert np.degrees(np.sqrt((turns**2).sum(axis=(2, 3)).mean() / 8)) == pytest.approx(0.05, rel=0.1)
    for blocks in (mosaic_blocks(1, 0.05, stream(1, "mosaic")), mosaic_blocks(7, 0.0, stream(1, "mosaic"))):
        assert (blocks == np.eye(3)).all() and len(blocks) == 1


def test_streams_differ_by_purpose_image_and_seed():
    keys = [(1, "orientation", 0), (1, "orientation", 1), (2, "orientation", 0), (1, "mosaic", 0)]
    assert len({stream(*key).integers(2**62) for key in keys}) == 4
    assert stream(1, "mosaic", 5).integers(2**62) == stream(1, "mosaic", 5).integers(2**62)
