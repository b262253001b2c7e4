"""The true models and amplitudes, and the picture."""

from __future__ import annotations

import os
import time

import iotbx.mtz
import numpy as np
import pytest
from cctbx import crystal as cctbx_crystal
from cctbx import miller, sgtbx
from cctbx.array_family import flex
from dxtbx.model import (
    Beam,
    Crystal,
    Detector,
    DetectorFactory,
    ExperimentList,
    GoniometerFactory,
    Scan,
)
from libtbx.utils import Sorry
from PIL import Image
from scipy.spatial.transform import Rotation

from nanobragg_kokkos import nxmx
from nanobragg_kokkos.files.picture import write_picture
from nanobragg_kokkos.files.true_models import write_amplitudes, write_experiments
from nanobragg_kokkos.models.beam_along_z import frame_rotation

BEAM = Beam((0, 0, 1), 1.3)
DETECTOR = DetectorFactory.simple("PAD", 100, (1.5, 1.0), "+x", "-y", (0.1, 0.1), (30, 20), (-1, 65535))


def crystals(n=3):
    matrices = Rotation.random(n, random_state=1).as_matrix()
    cell = np.diag((40.0, 50.0, 60.0))
    return [Crystal(*(m @ row for row in cell), space_group_symbol="P212121") for m in matrices]


def write_images(directory, n=3, **options):
    names = [directory / f"x_{k}.h5" for k in range(n)]
    for k, name in enumerate(names):
        nxmx.write_image(name, [np.full((20, 30), k)])
    nxmx.write_master(directory / "x_master.h5", names, DETECTOR, options.pop("beam", BEAM), **options)


@pytest.mark.parametrize("check_format", [True, False])
def test_experiments_come_back(tmp_path, check_format, monkeypatch):
    true = crystals()
    # before the images, as it may be
    write_experiments(tmp_path / "x_truth.expt", tmp_path / "x_master.h5", DETECTOR, BEAM, true)
    write_images(tmp_path)
    monkeypatch.chdir("/")
    experiments = ExperimentList.from_file(str(tmp_path / "x_truth.expt"), check_format=check_format)
    assert len(experiments) == 3
    assert len(set(experiments.identifiers())) == 3
    for k, (experiment, crystal) in enumerate(zip(experiments, true)):
        assert experiment.crystal.get_A() == pytest.approx(crystal.get_A())
        assert experiment.crystal.get_space_group() == crystal.get_space_group()
        assert experiment.detector == DETECTOR and experiment.beam == BEAM
        assert experiment.imageset.paths() == [str(tmp_path / "x_master.h5")]
        assert list(experiment.imageset.indices()) == [k]
        if check_format:
            assert experiment.imageset.get_raw_data(0)[0].all_eq(k)


def test_experiments_are_in_the_frame_of_the_images(tmp_path):
    beam = Beam((0.1, 0.3, 1), 1.3)
    beam.set_polarization_normal(tuple(np.cross((0.1, 0.3, 1), (1, 0, 0))))
    write_images(tmp_path, beam=beam)
    write_experiments(tmp_path / "t.expt", tmp_path / "x_master.h5", DETECTOR, beam, crystals())
    experiment = ExperimentList.from_file(str(tmp_path / "t.expt"))[0]
    rotation = frame_rotation(beam)
    assert experiment.beam.get_sample_to_source_direction() == pytest.approx((0, 0, 1), abs=1e-12)
    normal = rotation @ beam.get_polarization_normal()
    assert experiment.beam.get_polarization_normal() == pytest.approx(normal)
    assert np.reshape(experiment.crystal.get_A(), (3, 3)) == pytest.approx(
        rotation @ np.reshape(crystals()[0].get_A(), (3, 3))
    )
    images = experiment.imageset.get_format_class()(str(tmp_path / "x_master.h5"))
    assert experiment.detector[0].get_origin() == pytest.approx(images.get_detector()[0].get_origin())


def test_experiments_of_a_rotation(tmp_path):
    scan = Scan((1, 3), (0.0, 0.5))
    goniometer = GoniometerFactory.single_axis()
    write_images(tmp_path, scan=scan, goniometer=goniometer)
    write_experiments(
        tmp_path / "t.expt",
        tmp_path / "x_master.h5",
        DETECTOR,
        BEAM,
        crystals(2),
        scan=scan,
        goniometer=goniometer,
    )
    experiments = ExperimentList.from_file(str(tmp_path / "t.expt"))
    assert len(experiments) == 2
    assert experiments[0].imageset == experiments[1].imageset
    assert len(experiments[0].imageset) == 3
    assert experiments[1].scan.get_oscillation() == (0, 0.5)
    assert experiments[1].goniometer == goniometer


def test_several_crystals_of_an_image_share_it(tmp_path):
    some = crystals(4)
    beams = [Beam((0, 0, 1), wavelength) for wavelength in (1.1, 1.2, 1.3)]
    write_images(tmp_path, beam=beams)
    truth = [some[:2], [], some[2:]]
    write_experiments(tmp_path / "t.expt", tmp_path / "x_master.h5", DETECTOR, beams, truth)
    experiments = ExperimentList.from_file(str(tmp_path / "t.expt"))
    assert len(experiments) == 4 and len(experiments.imagesets()) == 2 and len(set(experiments.identifiers())) == 4
    for experiment, crystal, image in zip(experiments, some, (0, 0, 2, 2)):
        assert experiment.crystal.get_A() == pytest.approx(crystal.get_A())
        assert list(experiment.imageset.indices()) == [image]
        assert experiment.imageset.get_raw_data(0)[0].all_eq(image)
        wavelengths = (experiment.beam.get_wavelength(), experiment.imageset.get_beam(0).get_wavelength())
        assert wavelengths == (beams[image].get_wavelength(),) * 2


def test_mosaicity(tmp_path):
    write_experiments(tmp_path / "t.expt", "x.h5", DETECTOR, BEAM, crystals(), mosaic_spread_deg=0.1, domain_size_A=800)
    crystal = ExperimentList.from_file(str(tmp_path / "t.expt"), check_format=False)[2].crystal
    assert crystal.get_half_mosaicity_deg() == pytest.approx(0.05)
    assert crystal.get_domain_size_ang() == pytest.approx(800)


@pytest.mark.parametrize("anomalous", [True, False])
def test_amplitudes_come_back(tmp_path, anomalous):
    symmetry = cctbx_crystal.symmetry((40, 50, 60, 90, 90, 90), "P 21 21 21")
    indices = symmetry.build_miller_set(anomalous_flag=anomalous, d_min=8)
    amplitudes = indices.array(flex.double(np.random.default_rng(0).exponential(100, indices.size())))
    write_amplitudes(tmp_path / "t.mtz", amplitudes, 1.3)
    mtz = iotbx.mtz.object(str(tmp_path / "t.mtz"))
    (found,) = mtz.as_miller_arrays()
    assert found.info().labels == (["F(+)", "F(-)"] if anomalous else ["F"])
    assert found.is_xray_amplitude_array()
    assert found.info().wavelength == pytest.approx(1.3)
    found, expected = found.common_sets(amplitudes)
    assert found.size() == amplitudes.size()
    assert found.data().as_numpy_array() == pytest.approx(expected.data().as_numpy_array(), rel=1e-6)


@pytest.mark.parametrize(
    "hall, symbol",
    [(" A 1", "A 1"), ("-I 1", "I -1"), ("-I 4ad", "I 41/a :2"), (" P 2 2ab (x+1/4,y,z)", "P 2 2ab (x+1/4,y,z)")],
)
def test_mtz_files_name_unusual_settings(hall, symbol, tmp_path):
    group = sgtbx.space_group(hall)
    symmetry = group.info().any_compatible_crystal_symmetry(volume=1e5)
    indices = symmetry.build_miller_set(anomalous_flag=True, d_min=10)
    write_amplitudes(tmp_path / "t.mtz", indices.array(flex.double(indices.size(), 1)))
    mtz = iotbx.mtz.object(str(tmp_path / "t.mtz"))
    assert mtz.space_group_name() == symbol and mtz.space_group() == group


def test_same_input_same_bytes(tmp_path):
    indices = miller.build_set(
        cctbx_crystal.symmetry((40, 50, 60, 90, 90, 90), "P 21 21 21"), anomalous_flag=True, d_min=10
    )
    contents = []
    for name in ("a", "b"):
        write_experiments(tmp_path / f"{name}.expt", tmp_path / "x.h5", DETECTOR, BEAM, crystals())
        write_amplitudes(tmp_path / f"{name}.mtz", indices.array(flex.double(indices.size(), 1)))
        write_picture(tmp_path / f"{name}.png", [np.ones((20, 30))], DETECTOR, BEAM)
        contents.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("expt", "mtz", "png")])
        if name == "a":
            time.sleep(1.1)  # the time stamps in MTZ files have a resolution of one second
    assert contents[0] == contents[1]


def test_wrong_arguments(tmp_path):
    with pytest.raises(ValueError, match="crystals"):
        write_experiments(tmp_path / "t.expt", "x.h5", DETECTOR, BEAM, [])
    with pytest.raises(ValueError, match=r"beam: expected one or 3 \(the number of images\)"):
        write_experiments(tmp_path / "t.expt", "x.h5", DETECTOR, [BEAM] * 2, crystals())
    indices = miller.build_set(cctbx_crystal.symmetry((40, 50, 60, 90, 90, 90), "P1"), False, d_min=20)
    with pytest.raises(ValueError, match="real"):
        write_amplitudes(tmp_path / "t.mtz", indices.array(flex.complex_double(indices.size(), 1j)))
    with pytest.raises(ValueError, match="panels"):
        write_picture(tmp_path / "t.png", [np.zeros((20, 31))], DETECTOR, BEAM)
    assert os.listdir(tmp_path) == []
    amplitudes = indices.array(flex.double(indices.size(), 1))
    for write in (
        lambda path: write_experiments(path, "x.h5", DETECTOR, BEAM, crystals()),
        lambda path: write_amplitudes(path, amplitudes),
        lambda path: write_picture(path, [np.zeros((20, 30))], DETECTOR, BEAM),
    ):
        with pytest.raises(Sorry, match="does not exist"):
            write(tmp_path / "none" / "t")


def darkness(path):
    return 255 - np.asarray(Image.open(path).convert("L")).astype(int)


def test_picture_shows_a_lone_pixel_of_a_large_detector(tmp_path):
    detector = DetectorFactory.simple("PAD", 150, (120, 120), "+x", "-y", (0.1, 0.1), (2400, 2400))
    image = np.random.default_rng(0).poisson(10, (2400, 2400))
    image[700, 2101] = 1000
    write_picture(tmp_path / "t.png", [image], detector, BEAM)
    assert (tmp_path / "t.png").stat().st_size < 1.5e6
    dark = darkness(tmp_path / "t.png")
    assert dark.shape == (1200, 1200)
    assert dark[350, 1050] > 240
    assert np.median(dark) < 60


def test_picture_of_panels_is_laid_out_as_seen_from_the_source(tmp_path):
    detector = Detector()
    for x, y in ((-10, 10), (2, 10), (-10, -2)):  # top left, top right, bottom left
        panel = detector.add_panel()
        panel.set_frame((1, 0, 0), (0, -1, 0), (x, y, -100))
        panel.set_pixel_size((0.1, 0.1))
        panel.set_image_size((80, 80))
    panels = [np.full((80, 80), value) for value in (0, 100, -1)]
    write_picture(tmp_path / "t.png", panels, detector, BEAM)
    dark = darkness(tmp_path / "t.png")
    assert dark.shape == (1200, 1200)
    top_left, top_right, bottom_left = dark[60:200, 60:200], dark[60:200, 1000:1140], dark[1000:1140, 60:200]
    assert np.median(top_left) == 0 and np.median(top_right) > 50
    gap = dark[600, 600]
    assert 0 < gap == np.median(bottom_left)


def test_picture_of_anything(tmp_path):
    for value in (0.0, np.nan):
        write_picture(tmp_path / "t.png", [np.full((20, 30), value)], DETECTOR, BEAM)
        assert darkness(tmp_path / "t.png").shape == (800, 1200)


@pytest.mark.parametrize("missing", [20000, 1000, 30])
def test_amplitudes_cut_short_by_a_full_disk_are_refused(missing, tmp_path, run_python):
    """For the process a limit of a file's size is what a full disk is."""
    done = run_python(
        f"""
import os, resource, signal
from helpers.small_models import random_amplitudes
from libtbx.utils import Sorry
from nanobragg_kokkos.files.true_models import write_amplitudes

path = {str(tmp_path / "true.mtz")!r}
write_amplitudes(path, random_amplitudes(d_min=4), 1.3)
size = os.path.getsize(path) - {missing}
os.remove(path)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
try:
    write_amplitudes(path, random_amplitudes(d_min=4), 1.3)
except Sorry as error:
    print("Sorry:", error)
"""
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Sorry: Cannot write")
    assert not list(tmp_path.iterdir())
