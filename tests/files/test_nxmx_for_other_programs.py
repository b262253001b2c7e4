"""What programs other than DIALS need of NXmx files: texts in ASCII, the fields that NXmx requires, and bits of masks."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from dxtbx.model import Scan
from dxtbx.model.experiment_list import ExperimentListFactory
from dxtbx.model.goniometer import GoniometerFactory
from helpers.small_models import small_beam, small_detector

from nanobragg_kokkos.files import nexus
from nanobragg_kokkos.files.nxmx import image_file, write_master

# Of the application definition, 2018.5 to 2024.02: with the groups whose fields have to be there, and their ranks.
REQUIRED = {
    "NXentry": {"definition": 0, "title": 0, "start_time": 0, "end_time": 0, "end_time_estimated": 0},
    "NXsample": {"name": 0, "depends_on": 0},
    "NXinstrument": {"name": 0},
    "NXsource": {"name": 0},
    "NXdata": {"data": 3},
    "NXdetector": {"depends_on": 0, "data": 3, "sensor_material": 0, "sensor_thickness": 0, "description": 0},
    "NXdetector_module": {
        "data_origin": 1,
        "data_size": 1,
        "module_offset": None,
        "fast_pixel_direction": None,
        "slow_pixel_direction": None,
    },
    "NXbeam": {"incident_wavelength": 0, "total_flux": 0, "incident_polarization_stokes": 2},
}
AXIS_ATTRIBUTES = ("transformation_type", "vector", "offset", "depends_on")


@pytest.fixture(params=["still", "scan"])
def master(request, tmp_path):
    """Writes three images of a detector with a gap and a mask; returns the name of the master file."""
    detector = small_detector(pixels=20)
    detector[0].add_mask(8, 0, 11, 20)
    mask = np.ones((20, 20), bool)
    mask[5, 3:10] = False
    with image_file(tmp_path / "b.h5", 3) as write:
        for k in range(3):
            write(k, [np.full((20, 20), k, np.int32)])
    options = {}
    if request.param == "scan":
        options = {"scan": Scan((1, 3), (0, 0.1)), "goniometer": GoniometerFactory.known_axis((1, 0, 0))}
    path = tmp_path / "b_master.h5"
    # One description has letters that are not ASCII.
    write_master(
        path, [tmp_path / "b.h5"], detector, small_beam(), masks=[mask], images_per_file=3, photons=1e9,
        beam_size_mm=0.01, exposure_s=0.5, description="Gaußian, 3 µm", **options,
    )  # fmt: skip
    return path


def everything(file: h5py.File) -> list:
    found = [file]
    file.visititems(lambda _, item: found.append(item))
    return found


def as_c_reads_it(attribute: h5py.h5a.AttrID) -> bytes:
    """Reads a text as C does with memory for its length: as ASCII that ends with a null byte."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(attribute.get_type().get_size())
    kind.set_strpad(h5py.h5t.STR_NULLTERM)
    assert kind.get_cset() == h5py.h5t.CSET_ASCII
    read = np.zeros((), f"S{attribute.get_type().get_size()}")
    attribute.read(read, mtype=kind)
    return read.tobytes().split(b"\0")[0]


def test_texts_are_ascii_of_fixed_length(master):
    for path in (master, master.with_name("b.h5")):
        with h5py.File(path) as file:
            texts = 0
            for item in everything(file):
                for name in item.attrs:
                    attribute = item.attrs.get_id(name)
                    if attribute.dtype.kind in "OSU":
                        kind = h5py.check_string_dtype(attribute.dtype)
                        assert kind.encoding == "ascii", (item.name, name)
                        # dxtbx needs one of variable length.
                        if name == "variant":
                            continue
                        assert kind.length is not None, (item.name, name)
                        assert as_c_reads_it(attribute) == item.attrs[name], (item.name, name)
                        texts += 1
                if isinstance(item, h5py.Dataset) and item.dtype.kind in "OSU":
                    assert h5py.check_string_dtype(item.dtype).encoding == "ascii", item.name
                    texts += 1
            assert texts >= 3
    with h5py.File(master) as file:
        assert as_c_reads_it(file["entry/instrument/detector"].attrs.get_id("NX_class")) == b"NXdetector"
        assert as_c_reads_it(file["entry/instrument/detector/x_pixel_size"].attrs.get_id("units")) == b"m"
        assert file["entry/instrument/detector/description"][()] == rb"Gau\xdfian, 3 \xb5m"


def test_fields_that_nxmx_requires_are_there(master):
    with h5py.File(master) as file:
        groups = {}
        for item in everything(file)[1:]:
            if isinstance(item, h5py.Group):
                groups.setdefault(item.attrs["NX_class"].decode(), []).append(item)
        for nx_class, fields in REQUIRED.items():
            for group in groups[nx_class]:
                for name, rank in fields.items():
                    assert name in group, (nx_class, name)
                    assert rank is None or group[name].ndim == rank, (nx_class, name)
        for module in groups["NXdetector_module"]:
            for axis in ("module_offset", "fast_pixel_direction", "slow_pixel_direction"):
                assert set(AXIS_ATTRIBUTES) <= set(module[axis].attrs)
        beam = file["entry/instrument/beam"]
        assert beam["incident_polarization_stokes"].shape == (3, 4)
        assert (beam["total_flux"][()], beam["total_flux"].attrs["units"]) == (2e9, b"Hz")
        # Times in the form of ISO 8601, the same for equal images.
        for name in ("start_time", "end_time_estimated"):
            np.datetime64(file["entry"][name][()].decode().rstrip("Z"), "s")


def test_gaps_are_told_from_masks(master):
    expected = np.zeros((20, 20), int)
    expected[5, 3:10] = 256
    expected[:, 8:11] = 1
    with h5py.File(master) as file:
        assert np.array_equal(file["entry/instrument/detector/pixel_mask"][()], expected)
    (mask,) = ExperimentListFactory.from_filenames([str(master)])[0].imageset.get_mask(0)
    assert np.array_equal(mask.as_numpy_array(), expected == 0)


def test_the_package_that_reads_nxmx_finds_all(master):
    nxmx = pytest.importorskip("nxmx")
    with h5py.File(master) as file:
        entry = nxmx.NXmx(file).entries[0]
        assert entry.definition == "NXmx" and entry.start_time == entry.end_time_estimated
        instrument = entry.instruments[0]
        assert instrument.beams[0].total_flux.to("Hz").magnitude == 2e9
        assert instrument.detectors[0].sensor_material == "Si"
        assert entry.samples[0].name == "crystal"


def test_fabio_and_silx_open_masters(master):
    fabio = pytest.importorskip("fabio")
    assert fabio.open(f"{master}::/entry/data/data").data.shape == (20, 20)


def test_text_of_no_letters():
    assert nexus.text("").tobytes() == b"\0"
