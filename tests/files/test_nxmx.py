"""NXmx files: what dxtbx reads back is what was written."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import h5py
import hdf5plugin
import numpy as np
import pytest
from cctbx.eltbx import attenuation_coefficient
from dxtbx.format import nexus
from dxtbx.format.FormatNXmx import FormatNXmx
from dxtbx.model import (
    Beam,
    Detector,
    DetectorFactory,
    GoniometerFactory,
    ParallaxCorrectedPxMmStrategy,
    Scan,
    Spectrum,
)
from dxtbx.model.experiment_list import ExperimentListFactory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from libtbx.utils import Sorry
from scipy.spatial.transform import Rotation
from scitbx.array_family import flex

from nanobragg_kokkos import nxmx
from nanobragg_kokkos.files.nxmx import write_image, write_master
from nanobragg_kokkos.models.beam_along_z import frame_rotation, rotated_detector
from nanobragg_kokkos.models.detector.trusted_range import lower_end

BEAM = Beam((0, 0, 1), 1.3)


def one_panel(size=(30, 20)):
    return DetectorFactory.simple("PAD", 100, (1.5, 1.0), "+x", "-y", (0.1, 0.1), size, (-1, 65535))


def many_panels(n=4, seed=0, groups=0, sizes=((12, 9),)):
    """Panels in any orientation, in a flat detector or in groups that are themselves tilted."""
    random = np.random.default_rng(seed)
    detector = Detector()
    parents = [detector.hierarchy()]
    for _ in range(groups):
        parents.append(parents[-1].add_group())
        axes = Rotation.random(random_state=random).as_matrix()
        parents[-1].set_local_frame(axes[0], axes[1], random.uniform(-20, 20, 3))
    for i in range(n):
        panel = parents[i % len(parents)].add_panel()
        axes = Rotation.random(random_state=random).as_matrix()
        panel.set_local_frame(axes[0], axes[1], random.uniform(-200, 200, 3))
        panel.set_image_size(sizes[i % len(sizes)])
        panel.set_pixel_size(tuple(random.uniform(0.05, 0.2, 2)))
        panel.set_trusted_range((lower_end(0), 1000))
    return detector


def images(detector, n=1, seed=0, dtype=np.int32):
    random = np.random.default_rng(seed)
    shapes = [panel.get_image_size()[::-1] for panel in detector]
    return [[random.poisson(3, shape).astype(dtype) for shape in shapes] for _ in range(n)]


def masked(picture, masks):
    """The panels with the value of a masked pixel where masks are False."""
    values = [np.array({"int32": -1, "uint16": 65535}[panel.dtype.name], panel.dtype) for panel in picture]
    return [np.where(mask, panel, value) for panel, mask, value in zip(picture, masks, values)]


def write(directory, detector, pictures, beam=BEAM, **options):
    names = [directory / f"x_{k + 1:05d}.h5" for k in range(len(pictures))]
    for name, panels in zip(names, pictures):
        write_image(name, panels)
    write_master(directory / "x_master.h5", names, detector, beam, **options)
    return directory / "x_master.h5"


def read(master):
    return ExperimentListFactory.from_filenames([str(master)])


def assert_same_geometry(found, expected):
    assert len(found) == len(expected)
    for f, e in zip(found, expected):
        assert f.get_image_size() == e.get_image_size()
        assert f.get_pixel_size() == pytest.approx(e.get_pixel_size(), abs=1e-12)
        for axis in ("get_fast_axis", "get_slow_axis"):
            assert getattr(f, axis)() == pytest.approx(getattr(e, axis)(), abs=1e-12)
        assert f.get_origin() == pytest.approx(e.get_origin(), abs=1e-9)


def test_stills_come_back(tmp_path, monkeypatch):
    detector = many_panels(3, groups=2)
    pictures = images(detector, 3)
    master = write(tmp_path, detector, pictures)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in tmp_path.glob("*.h5"):
        name.rename(moved / name.name)
    monkeypatch.chdir("/")

    experiments = read(moved / master.name)
    assert len(experiments) == 3
    for experiment, panels in zip(experiments, pictures):
        assert experiment.scan is None and experiment.goniometer is None
        assert experiment.imageset.get_format_class().__name__ == "FormatNXmx"
        for found, expected in zip(experiment.imageset.get_raw_data(0), panels):
            assert isinstance(found, flex.int)
            assert np.array_equal(found.as_numpy_array(), expected)
        assert_same_geometry(experiment.detector, detector)
        assert experiment.beam.get_wavelength() == 1.3
        assert all(panel.get_trusted_range() == (lower_end(0), 1000) for panel in experiment.detector)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 6),
    groups=st.integers(0, 3),
    seed=st.integers(0, 10**6),
    sizes=st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=3),
    direction=st.sampled_from([(0, 0, 1), (0.1, -0.2, 1), (1, 0, 0), (0, 0, -1)]),
)
def test_any_detector_comes_back(tmp_path, n, groups, seed, sizes, direction):
    detector = many_panels(n, seed, groups, sizes)
    beam = Beam(direction, 0.9)
    expected = rotated_detector(detector, frame_rotation(beam))
    pictures = images(detector, 2, seed)
    try:
        experiments = read(write(tmp_path, detector, pictures, beam))
    except Sorry as error:
        assert "upstream" in str(error) and n == 1 and expected[0].get_origin()[2] > 0
        return
    assert_same_geometry(experiments[0].detector, expected)
    for found, written in zip(experiments[1].imageset.get_raw_data(0), pictures[1]):
        assert np.array_equal(found.as_numpy_array(), written)


def test_large_image_is_compressed_and_comes_back(tmp_path):
    detector = one_panel((1500, 1801))
    pictures = images(detector)
    experiments = read(write(tmp_path, detector, pictures))
    assert np.array_equal(experiments[0].imageset.get_raw_data(0)[0].as_numpy_array(), pictures[0][0])
    assert (tmp_path / "x_00001.h5").stat().st_size < pictures[0][0].nbytes / 4


def test_without_bitshuffle_images_are_readable_everywhere(tmp_path, monkeypatch):
    available = h5py.h5z.filter_avail
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda f: f != hdf5plugin.BSHUF_ID and available(f))
    pictures = images(one_panel())
    experiments = read(write(tmp_path, one_panel(), pictures))
    assert np.array_equal(experiments[0].imageset.get_raw_data(0)[0].as_numpy_array(), pictures[0][0])
    with h5py.File(tmp_path / "x_00001.h5") as file:
        assert file["entry/data/data"].compression == "gzip"


def test_same_input_same_bytes(tmp_path):
    detector = many_panels()
    contents = []
    for name in "ab":
        (tmp_path / name).mkdir()
        write(tmp_path / name, detector, images(detector))
        contents.append([(tmp_path / name / file).read_bytes() for file in ("x_00001.h5", "x_master.h5")])
        if name == "a":
            time.sleep(1.1)  # HDF5's time stamps have a resolution of one second
    assert contents[0] == contents[1]


def test_frame_rotation():
    assert np.array_equal(frame_rotation(BEAM), np.identity(3))
    for direction in np.random.default_rng(0).normal(size=(20, 3)):
        rotation = frame_rotation(Beam(tuple(direction), 1.0))
        assert rotation @ (direction / np.linalg.norm(direction)) == pytest.approx((0, 0, 1), abs=1e-12)
        assert np.linalg.det(rotation) == pytest.approx(1)
    with pytest.raises(Sorry, match="one beam direction"):
        frame_rotation([BEAM, Beam((0, 0.1, 1), 1.0)])


def test_rotated_groups_stay_with_their_panels():
    detector = many_panels(groups=2)
    rotation = Rotation.from_rotvec((0.1, 0.2, 0.3)).as_matrix()
    turned = rotated_detector(detector, rotation)
    for before, after in zip(detector, turned):
        assert after.get_origin() == pytest.approx(rotation @ before.get_origin())
        assert after.parent().get_origin() == pytest.approx(rotation @ before.parent().get_origin())


def random_masks(detector):
    return [np.random.default_rng(i).random(p.get_image_size()[::-1]) > 0.3 for i, p in enumerate(detector)]


@pytest.mark.parametrize("dtype", [np.int32, np.uint16])
def test_masks(tmp_path, dtype):
    detector = many_panels(3)
    detector[1].add_mask(2, 3, 5, 6)
    masks = random_masks(detector)
    picture = masked(images(detector, dtype=dtype)[0], masks)
    experiments = read(write(tmp_path, detector, [picture], masks=masks))
    masks[1][3:6, 2:5] = False
    for found, mask in zip(experiments[0].imageset.get_mask(0), masks):
        assert np.array_equal(found.as_numpy_array(), mask)
    for found, panel in zip(experiments[0].imageset.get_raw_data(0), picture):
        assert np.array_equal(found.as_numpy_array(), panel)


@pytest.mark.parametrize("dtype, value, including", [(np.int32, -1, (-10, 1000)), (np.uint16, 65535, (-1, 65535))])
def test_masks_of_unequal_panels(tmp_path, dtype, value, including):
    detector = many_panels(2, sizes=[(12, 9), (10, 9)])
    masks = random_masks(detector)
    picture = masked(images(detector, dtype=dtype)[0], masks)
    experiments = read(write(tmp_path, detector, [picture], masks=masks))
    for found, mask in zip(experiments[0].imageset.get_mask(0), masks):
        assert np.array_equal(found.as_numpy_array(), mask)
    with h5py.File(tmp_path / "x_master.h5") as file:
        data = file["entry/data/data"]
        assert data.dtype == dtype and data.fillvalue == value
        assert (data[0, 9:, 10:] == value).all()
    for panel in detector:
        panel.set_trusted_range(including)
    with pytest.raises(Sorry, match="trusted range"):
        write(tmp_path, detector, [picture], masks=masks)


@pytest.mark.parametrize("dtype, saturation", [(np.int32, 1048574), (np.int32, 2**31 - 2), (np.uint16, 65533)])
def test_overloads_are_untrusted(tmp_path, dtype, saturation):
    detector = one_panel((4, 2))
    detector[0].set_trusted_range((lower_end(0), saturation))
    # Whether the upper end itself is trusted depends on the version of dxtbx.
    picture = np.array([[0, 1, 1000, saturation - 1], [saturation + 1, 5, 6, saturation - 2]]).astype(dtype)
    (experiment,) = read(write(tmp_path, detector, [[picture]]))
    assert experiment.detector[0].get_trusted_range() == (lower_end(0), saturation)
    (found,) = experiment.imageset.get_raw_data(0)
    assert np.array_equal(found.as_numpy_array(), picture)
    (mask,) = experiment.imageset.get_mask(0)
    assert np.array_equal(mask.as_numpy_array(), picture <= saturation)


def test_panels_of_one_array_are_not_copied(tmp_path):
    buffer = np.arange(60, dtype=np.uint16)
    above, below = buffer[:20].reshape(4, 5), buffer[20:].reshape(8, 5)
    write_image(tmp_path / "views.h5", [above, below])
    write_image(tmp_path / "copies.h5", [above.copy(), below.copy()])
    assert (tmp_path / "views.h5").read_bytes() == (tmp_path / "copies.h5").read_bytes()
    assert np.shares_memory(nxmx._stacked([above, below], [0, 4], (12, 5)), buffer)
    for apart in ([above.copy(), below], [below, above], [above, buffer[25:].reshape(7, 5)], [above[:, ::-1], below]):
        stacked = nxmx._stacked(apart, [0, len(apart[0])], (len(apart[0]) + len(apart[1]), 5))
        assert not np.shares_memory(stacked, buffer) and np.array_equal(stacked, np.concatenate(apart))


@pytest.mark.parametrize(
    "material, mu, thickness",
    [("Si", None, 0.32), ("CdTe", None, 0.75), ("Gd2O2S", 60.0, 0.04), ("Si", 5.0, 0.1)],
)
def test_parallax(tmp_path, material, mu, thickness):
    mu = mu or attenuation_coefficient.get_table(material).mu_at_angstrom(1.3) / 10
    detector = one_panel()
    panel = detector[0]
    panel.set_material(material)
    panel.set_thickness(thickness)
    panel.set_px_mm_strategy(ParallaxCorrectedPxMmStrategy(mu, thickness))
    found = read(write(tmp_path, detector, images(detector)))[0].detector[0]
    for pixel in ((0, 0), (15, 10), (30, 20)):
        assert found.pixel_to_millimeter(pixel) == pytest.approx(panel.pixel_to_millimeter(pixel), abs=1e-5)


def test_no_sensor_no_parallax(tmp_path):
    found = read(write(tmp_path, one_panel(), images(one_panel())))[0].detector[0]
    assert found.pixel_to_millimeter((30, 20)) == pytest.approx((3.0, 2.0), abs=1e-9)


def spectrum_in(master, index=0):
    with h5py.File(master) as file:
        factory = nexus.BeamFactory(SimpleNamespace(handle=file["entry/instrument/beam"]))
        beam, spectrum = factory.read_models(index)
        return beam, np.array(spectrum.get_energies_eV()), np.array(spectrum.get_weights())


def test_spectrum(tmp_path):
    spectrum = Spectrum(flex.double((9499, 9500, 9502)), flex.double((1, 3, 2)))
    master = write(tmp_path, one_panel(), images(one_panel(), 2), spectrum=spectrum)
    beam, energies, weights = spectrum_in(master)
    assert beam.get_wavelength() == 1.3
    assert energies == pytest.approx((9499, 9500, 9502))
    assert weights == pytest.approx((1, 3, 2))


def test_a_spectrum_and_a_wavelength_for_each_image(tmp_path):
    beams = [Beam((0, 0, 1), 1.30), Beam((0, 0, 1), 1.31)]
    spectra = [
        Spectrum(flex.double((9400, 9401)), flex.double((1, 3))),
        Spectrum(flex.double((9500, 9501, 9502)), flex.double((4, 5, 6))),
    ]
    master = write(tmp_path, one_panel(), images(one_panel(), 2), beams, spectrum=spectra, photons=[1e9, 2e9])
    assert [experiment.beam.get_wavelength() for experiment in read(master)] == [1.30, 1.31]
    for k, spectrum in enumerate(spectra):
        beam, energies, weights = spectrum_in(master, k)
        assert beam.get_wavelength() == beams[k].get_wavelength()
        lit = weights > 0
        assert energies[lit] == pytest.approx(np.array(spectrum.get_energies_eV()))
        assert weights[lit] == pytest.approx(np.array(spectrum.get_weights()))
    with h5py.File(master) as file:
        assert file["entry/instrument/beam/total_flux_integrated"][()] == pytest.approx((1e9, 2e9))


@pytest.mark.skipif(
    "get_spectrum" not in vars(FormatNXmx), reason="this dxtbx does not read spectra of NXmx files by itself"
)
def test_dxtbx_gives_the_spectrum_of_each_image(tmp_path):
    spectra = [
        Spectrum(flex.double((9400, 9401, 9402)), flex.double((1, 3, 2))),
        Spectrum(flex.double((9500, 9501, 9502)), flex.double((4, 5, 6))),
    ]
    experiments = read(write(tmp_path, one_panel(), images(one_panel(), 2), spectrum=spectra))
    for experiment, expected in zip(experiments, spectra, strict=True):
        found = experiment.imageset.get_spectrum(0)
        assert np.array(found.get_energies_eV()) == pytest.approx(np.array(expected.get_energies_eV()))
        assert np.array(found.get_weights()) == pytest.approx(np.array(expected.get_weights()))


def test_polarization(tmp_path):
    vertical = Beam((0, 0, 1), 1.0)
    vertical.set_polarization_normal((1, 0, 0))
    vertical.set_polarization_fraction(0.9)
    for beam, expected in ((BEAM, (1, 0.998, 0, 0)), (vertical, (1, -0.8, 0, 0))):
        with h5py.File(write(tmp_path, one_panel(), images(one_panel()), beam)) as file:
            stokes = file["entry/instrument/beam/incident_polarization_stokes"][()]
        assert stokes == pytest.approx(np.array([expected]), abs=1e-12)


@pytest.mark.parametrize("n_images", [1, 3])
def test_rotation(tmp_path, n_images):
    scan = Scan((1, n_images), (10.0, 0.5))
    goniometer = GoniometerFactory.make_goniometer((0.6, 0.8, 0), (1, 0, 0, 0, 1, 0, 0, 0, 1))
    beam = Beam((0.1, 0.2, 1), 1.0)
    experiments = read(
        write(
            tmp_path,
            one_panel(),
            images(one_panel(), n_images),
            beam,
            scan=scan,
            goniometer=goniometer,
            exposure_s=0.2,
        )
    )
    assert len(experiments) == 1
    assert experiments[0].scan.get_oscillation() == pytest.approx((10, 0.5))
    assert experiments[0].scan.get_num_images() == n_images
    assert experiments[0].scan.get_exposure_times()[0] == pytest.approx(0.2)
    axis = frame_rotation(beam) @ (0.6, 0.8, 0)
    assert experiments[0].goniometer.get_rotation_axis() == pytest.approx(axis)


def test_wrong_arguments(tmp_path):
    detector, pictures = one_panel(), images(one_panel(), 2)
    good = np.zeros((4, 5), np.int32)
    for panels, message in (
        ([], "at least one"),
        ([good[0]], "slow, fast"),
        ([good.astype(float)], "integers"),
        ([good, good.astype(np.int64) + 2**31], "32 bits"),
    ):
        with pytest.raises(ValueError, match=message):
            write_image(tmp_path / "bad.h5", panels)
    write_image(tmp_path / "mixed.h5", [good, good.astype(np.uint16) + 65535])
    with h5py.File(tmp_path / "mixed.h5") as file:
        assert file["entry/data/data"].dtype == np.int32 and file["entry/data/data"][0, 4, 0] == 65535

    with pytest.raises(ValueError, match="beam: expected one or 2"):
        write(tmp_path, detector, pictures, [BEAM] * 3)
    with pytest.raises(ValueError, match="has an image of shape"):
        write(tmp_path, one_panel((31, 20)), pictures)
    with pytest.raises(ValueError, match="scan, goniometer"):
        write(tmp_path, detector, pictures, goniometer=GoniometerFactory.single_axis())
    with pytest.raises(ValueError, match="masks: expected one"):
        write_master(tmp_path / "x_master.h5", [tmp_path / "x_00001.h5"], detector, BEAM, masks=[])
    with pytest.raises(Sorry, match="does not exist"):
        write_master(tmp_path / "x_master.h5", [tmp_path / "none.h5"], detector, BEAM)
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(Sorry, match="holds no image"):
        write_master(tmp_path / "x_master.h5", [tmp_path / "text.h5"], detector, BEAM)
    with h5py.File(tmp_path / "real.h5", "w") as file:
        file["entry/data/data"] = np.zeros((1, 20, 30))
    with pytest.raises(ValueError, match="pixels of type float64"):
        write_master(tmp_path / "x_master.h5", [tmp_path / "real.h5"], detector, BEAM)

    detector = many_panels(2)
    detector[0].set_trusted_range((0, 10))
    detector[1].set_trusted_range((20, 30))
    with pytest.raises(Sorry, match="trusted range"):
        write(tmp_path, detector, images(detector))
    assert not [name for name in os.listdir(tmp_path) if "bad" in name or "master" in name or "part" in name]


def test_nothing_half_written(tmp_path, monkeypatch):
    panel = np.ones((4, 5), np.int32)
    with pytest.raises(Sorry, match="does not exist"):
        write_image(tmp_path / "none" / "x.h5", [panel])
    with pytest.raises(Sorry, match="is a directory"):
        write_image(tmp_path, [panel])

    write_image(tmp_path / "x.h5", [panel])
    before = (tmp_path / "x.h5").read_bytes()

    def broken(*arguments, **options):
        raise RuntimeError

    monkeypatch.setattr(h5py.Group, "create_dataset", broken)
    with pytest.raises(RuntimeError):
        write_image(tmp_path / "x.h5", [panel * 2])
    assert os.listdir(tmp_path) == ["x.h5"]
    assert (tmp_path / "x.h5").read_bytes() == before


@pytest.mark.parametrize("failing", ["image", "master"])
def test_full_disk_is_said(failing, tmp_path, run_python):
    """For the process a limit of a file's size is what a full disk is: a write that stops half-way, then an error."""
    done = run_python(
        f"""
import resource, signal
import numpy as np
from dxtbx.model import Beam, DetectorFactory
from libtbx.utils import Sorry
from nanobragg_kokkos.files.nxmx import write_image, write_master

def limited(write, *arguments):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        write(*arguments)
    except Sorry as error:
        print("Sorry:", error)

panel = np.random.default_rng(1).integers(0, 2**31, (300, 200), np.int32)
image, master = {str(tmp_path / "x_00001.h5")!r}, {str(tmp_path / "x_master.h5")!r}
if {failing!r} == "image":
    limited(write_image, image, [panel])
else:
    write_image(image, [panel])
    detector = DetectorFactory.simple("PAD", 100, (1.5, 1), "+x", "-y", (0.1, 0.1), (200, 300), (-1, 65535))
    limited(write_master, master, [image], detector, Beam((0, 0, 1), 1.3))
"""
    )
    assert done.returncode == 0, (done.returncode, done.stderr)
    assert done.stdout.startswith("Sorry: Cannot write") and "File too large" in done.stdout
    assert not done.stderr
    assert os.listdir(tmp_path) == ([] if failing == "image" else ["x_00001.h5"])
