"""Writes images and their geometry as NeXus/NXmx HDF5 files, which dxtbx and DIALS open without conversion.

A data file holds one image or several, and its bytes depend on these alone; a master file holds the models and a
virtual dataset over all data files (by relative names: the folder can be moved as a whole). An image that is missing
reads as one in which no pixel holds a measurement; the attribute `missing_images` of the dataset, in data files and
master, lists such images, counted from 0 in that file.

An image is stored as one two-dimensional array, of `/entry/data/data` of shape (images, slow, fast): the panels one
below the other in the detector's order, each left-justified. `data_origin` and `data_size` of each
NXdetector_module say which rows and columns are a panel's. Pixels are integers of 32 bits with sign or of 16 without;
one that holds no measurement, or lies beside a panel that is narrower than the widest, is -1 or 65535.
Geometry is written in mm, in the McStas frame (dxtbx's, turned by 180 degrees about y).

NXmx fixes the beam along the frame's z axis, and its readers assume it. An experiment with another beam
direction is turned as a whole by `frame_rotation`; what is written beside the images (see `truth`) has to be
turned alike.

NXmx application definition: https://manual.nexusformat.org/classes/applications/NXmx.html
Its start and end times are TIME: a simulation has none, and files are to depend on their content only. A flux without
an exposure time is that of an exposure of 1 s. Left out: the detector's gain and offset, which dxtbx 3.11 does not
read, pixel masks that differ from image to image, and `bit_depth_readout`, which has dxtbx replace the two highest
values, overloads among them, by -1 and -2.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import h5py
import numpy as np
from dxtbx.model import Beam, Detector, Goniometer, Scan, Spectrum
from libtbx.utils import Sorry

from nanobragg_kokkos.files import nexus
from nanobragg_kokkos.files.nxmx_beam import write_beam
from nanobragg_kokkos.files.nxmx_detector import check_readable, write_detector, write_mask
from nanobragg_kokkos.models.beam_along_z import frame_rotation, rotated_detector
from nanobragg_kokkos.models.detector.counts import MASKED

IMAGE = "/entry/data/data"

# Of the first and the last image, as NXmx wants to have one.
TIME = "1970-01-01T00:00:00Z"

PIXELS_A_CHUNK = 2**20


def write_image(path: str | os.PathLike, panels: Sequence[np.ndarray]) -> None:
    """Writes one image to the data file `path`, see image_file."""
    with image_file(path, 1) as write:
        write(0, panels)


@contextmanager
def image_file(path: str | os.PathLike, n_images: int) -> Iterator[Callable[[int, Sequence[np.ndarray]], None]]:
    """Yields a function that writes image k, 0 to n_images - 1, to the data file `path`, which exists at the end.

    The images come in any order, each at most once; those that have not come are missing. They go into the file as
    they come: memory is taken for one of them. Equal images, in the same order, give equal bytes. Panels of one width
    that lie one below the other in one array are written from there, without a copy.

    The function's arguments are the image's number and one array of shape (slow, fast) for each panel: all uint16, with
    65535 for pixels that hold no measurement, or any integers that fit 32 bits with sign, with -1 for them.

    Raises:
        ValueError: arrays of another kind, or not of the first image's.
        OSError: by the function: there is no room for more.
        atomic.CannotWrite: at the end: the file cannot be written.
    """
    with nexus.whole_hdf5(path) as file:
        images = _Images(file, n_images)
        yield images.write
        images.note_missing()


def write_image_to(stream: io.RawIOBase | io.BytesIO, panels: Sequence[np.ndarray]) -> None:
    """Writes the contents of a data file of one image to an open file."""
    with nexus.hdf5_in(stream) as file:
        _Images(file, 1).write(0, panels)


def stored_shape(shapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Returns the shape (slow, fast) in which an image of panels of these shapes is stored."""
    return _stack(shapes)[1]


def images_of(path: str | os.PathLike) -> tuple[int, list[int]]:
    """Returns the number of images that a data file or master has room for, and the missing ones, counted from 0.

    Raises:
        OSError: the file cannot be read, or is none of images.
    """
    try:
        with h5py.File(os.fspath(path), "r") as file:
            data = file[IMAGE]
            return data.shape[0], _missing(data)
    except (KeyError, AttributeError, IndexError) as error:
        raise OSError(f"{path} holds no images ({error})") from error


def read_image(path: str | os.PathLike, image: int) -> np.ndarray:
    """Returns an image (slow, fast) of a data file or master, counted from 0: all panels one below the other.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with h5py.File(os.fspath(path), "r") as file:
            return file[IMAGE][image]
    except (KeyError, ValueError) as error:
        raise OSError(f"{path} holds no image {image} ({error})") from error


def as_panels(stored: np.ndarray, shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    """Returns the panels, of shapes (slow, fast), of an image as it is stored."""
    rows, _ = _stack(shapes)
    return [stored[row : row + slow, :fast] for row, (slow, fast) in zip(rows, shapes)]


def stacked(panels: Sequence[np.ndarray]) -> np.ndarray:
    """Returns an image (slow, fast) as it is stored, made of the panels that image_file takes.

    Raises:
        ValueError: arrays of another kind.
    """
    panels = _as_pixels(panels)
    return _stacked(panels, *_stack([panel.shape for panel in panels]))


class _Images:
    """The dataset of a data file, created when the first image gives shape and type."""

    def __init__(self, file: nexus.File, n_images: int) -> None:
        self._file = file
        self._group = nexus.group(nexus.group(file, "entry", "NXentry"), "data", "NXdata", signal="data")
        self._n_images = n_images
        self._data: h5py.Dataset | None = None
        self._written: set[int] = set()

    def write(self, image: int, panels: Sequence[np.ndarray]) -> None:
        panels = _as_pixels(panels)
        rows, shape = _stack([panel.shape for panel in panels])
        dtype = panels[0].dtype
        if self._data is None:
            self._data = self._group.create_dataset(
                "data",
                (self._n_images, *shape),
                dtype,
                chunks=(1, *_chunk(panels, *shape)),
                fillvalue=MASKED[dtype],
                track_times=False,
                **nexus.compression(),
            )
        elif (self._data.shape[1:], self._data.dtype) != (shape, dtype):
            raise ValueError(
                f"panels: expected {self._data.dtype} of shape {self._data.shape[1:]}, as in this file's first image, "
                f"got {dtype} of shape {shape}."
            )
        self._data[image] = _stacked(panels, rows, shape)
        self._written.add(image)
        self._file.check()

    def note_missing(self) -> None:
        if self._data is not None:
            _note_missing(self._data, [k for k in range(self._n_images) if k not in self._written])


def _note_missing(data: h5py.Dataset, missing: Sequence[int]) -> None:
    if missing:
        data.attrs["missing_images"] = np.array(missing, np.int64)


def _missing(data: h5py.Dataset) -> list[int]:
    return [int(k) for k in data.attrs.get("missing_images", ())]


def write_master(
    path: str | os.PathLike,
    data_files: Sequence[str | os.PathLike],
    detector: Detector,
    beam: Beam | Sequence[Beam],
    spectrum: Spectrum | Sequence[Spectrum] | None = None,
    *,
    masks: Sequence[np.ndarray] | None = None,
    n_images: int | None = None,
    images_per_file: int = 1,
    missing: Collection[int] = (),
    photons: float | Sequence[float] | None = None,
    beam_size_mm: float | None = None,
    exposure_s: float | None = None,
    sensor_wavelength: float | None = None,
    scan: Scan | None = None,
    goniometer: Goniometer | None = None,
    sample_name: str = "crystal",
    description: str = "simulated detector",
) -> None:
    """Writes the master file `path` for `data_files`, which `image_file` or `write_image` has written.

    Args:
        path: path of the file.
        data_files: the data files in the order of the images; the master names them relative to itself.
        detector: any dxtbx Detector; its groups become the levels of the chain of transformations.
        beam: one beam for all images, or one for each; all with the same direction and polarization. dxtbx reads its
            wavelength (angstrom) back.
        spectrum: one spectrum for all images, or one for each (eV, relative weights); a variant of the wavelength.
        masks: one bool array (slow, fast) for each panel, False where all images hold no measurement; the
            untrusted rectangles of the detector's panels are added to it.
        n_images: None: as many as the data files are for.
        images_per_file: image k is number k % images_per_file of file number k // images_per_file.
        missing: images, counted from 0, that are in no file; a file need not exist if all its images are missing.
        photons: photons of the beam in the exposure, one number for all images or one for each.
        beam_size_mm: side of the beam's square cross-section.
        exposure_s: exposure time of an image.
        sensor_wavelength: wavelength of the detector's attenuation coefficients (angstrom). None: that of the first
            image, at which dxtbx will look them up.
        scan, goniometer: models of a rotation about one axis; None for stills.
        sample_name, description: names of the sample and of the detector for readers.

    Raises:
        ValueError: sequences or arrays of wrong length or shape.
        Sorry: something that NXmx or its reader in dxtbx cannot represent; a data file is missing; the file
            cannot be written.
    """
    path = os.path.abspath(os.fspath(path))
    data_files = [os.path.abspath(os.fspath(name)) for name in data_files]
    if not data_files:
        raise ValueError("data_files: expected at least one.")
    if n_images is None:
        n_images = len(data_files) * images_per_file
    if len(data_files) != -(-n_images // images_per_file):
        raise ValueError(f"data_files: expected {-(-n_images // images_per_file)}, got {len(data_files)}.")
    missing = sorted(missing)
    beams = _one_an_image("beam", beam, Beam, n_images)
    spectra = None if spectrum is None else _one_an_image("spectrum", spectrum, Spectrum, n_images)
    counts = None if photons is None else _one_an_image("photons", photons, (int, float, np.number), n_images)
    rotation = frame_rotation(beams)
    detector = rotated_detector(detector, rotation)
    shapes = [panel.get_image_size()[::-1] for panel in detector]
    rows, shape = _stack(shapes)
    dtype = _type_of_pixels(_files_with_images(data_files, n_images, images_per_file, missing), shape)
    check_readable(detector)

    with nexus.whole_hdf5(path) as file:
        nexus.note(file, default="entry")
        entry = nexus.group(file, "entry", "NXentry", default="data")
        nexus.note(nexus.field(entry, "definition", "NXmx"), version="2024.02")
        nexus.field(entry, "title", "simulated images")
        for name in ("start_time", "end_time", "end_time_estimated"):
            nexus.field(entry, name, TIME)

        data = nexus.group(entry, "data", "NXdata", signal="data")
        names = [os.path.relpath(name, os.path.dirname(path)) for name in data_files]
        _write_links(data, names, n_images, images_per_file, shape, dtype)
        _note_missing(data["data"], missing)

        source = nexus.group(entry, "source", "NXsource")
        nexus.field(source, "name", "simulation")
        sample = nexus.group(entry, "sample", "NXsample")
        nexus.field(sample, "name", sample_name)
        _write_goniometer(sample, scan, goniometer, rotation, n_images)

        instrument = nexus.group(entry, "instrument", "NXinstrument")
        nexus.field(instrument, "name", "nanobragg_kokkos")
        group = nexus.group(instrument, "beam", "NXbeam")
        write_beam(group, beams, spectra, counts, beam_size_mm, rotation, exposure_s)
        group = nexus.group(instrument, "detector", "NXdetector")
        nexus.field(group, "description", description)
        group["data"] = h5py.SoftLink(IMAGE)
        if exposure_s is not None:
            nexus.quantity(group, "count_time", exposure_s, "s")
            nexus.quantity(group, "frame_time", exposure_s, "s")
        write_detector(group, detector, rows, sensor_wavelength or beams[0].get_wavelength())
        write_mask(group, detector, masks, MASKED[dtype])


def _as_pixels(panels: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Returns the panels in the type in which they are stored."""
    panels = [np.asarray(panel) for panel in panels]
    if not panels:
        raise ValueError("panels: expected at least one array.")
    limits = np.iinfo(np.int32)
    for i, panel in enumerate(panels):
        if panel.ndim != 2 or 0 in panel.shape:
            raise ValueError(f"panels[{i}]: expected an array (slow, fast), got shape {panel.shape}.")
        if not np.issubdtype(panel.dtype, np.integer):
            raise ValueError(f"panels[{i}]: expected integers, got {panel.dtype}.")
        if not np.can_cast(panel.dtype, np.int32) and (panel.min() < limits.min or panel.max() > limits.max):
            raise ValueError(f"panels[{i}]: values do not fit 32 bits with sign.")
    dtype = np.uint16 if all(panel.dtype == np.uint16 for panel in panels) else np.int32
    return [panel.astype(dtype, copy=False) for panel in panels]


def _stack(shapes: Sequence[tuple[int, ...]]) -> tuple[list[int], tuple[int, int]]:
    """Returns the first row of every panel in the stored array, and that array's shape."""
    slow = np.cumsum([0] + [s for s, _ in shapes])
    return [int(row) for row in slow[:-1]], (int(slow[-1]), max(int(f) for _, f in shapes))


def _stacked(panels: Sequence[np.ndarray], rows: Sequence[int], shape: tuple[int, int]) -> np.ndarray:
    """Returns all panels in one array of a shape, each from its row on."""
    if _one_below_the_other(panels):
        return np.lib.stride_tricks.as_strided(panels[0], shape, writeable=False)
    stack = np.full(shape, MASKED[panels[0].dtype], panels[0].dtype)
    for row, panel in zip(rows, panels):
        stack[row : row + panel.shape[0], : panel.shape[1]] = panel
    return stack


def _one_below_the_other(panels: Sequence[np.ndarray]) -> bool:
    """Returns whether the panels are, in this order, all rows of one array."""
    first = panels[0]
    if not all(panel.flags.c_contiguous and panel.shape[1] == first.shape[1] for panel in panels):
        return False
    # Of one array, not merely of neighbours in memory.
    one_array = len(panels) == 1 or all(panel.base is not None and panel.base is first.base for panel in panels)
    starts = np.cumsum([first.ctypes.data] + [panel.nbytes for panel in panels])
    return one_array and all(panel.ctypes.data == start for panel, start in zip(panels, starts))


def _chunk(panels: Sequence[np.ndarray], slow: int, fast: int) -> tuple[int, int]:
    """Returns the shape (slow, fast) of a chunk: a panel, where all are equally high, or an even band of rows."""
    heights = {panel.shape[0] for panel in panels}
    height = heights.pop() if len(heights) == 1 else slow
    bands = -(-height * fast // PIXELS_A_CHUNK)
    return -(-height // bands), fast


def _one_an_image(name: str, value: Any, kind: type | tuple[type, ...], n_images: int) -> list:
    values = [value] * n_images if isinstance(value, kind) else list(value)
    if len(values) != n_images:
        raise ValueError(f"{name}: expected one or {n_images} (the number of images), got {len(values)}.")
    return values


def _files_with_images(
    data_files: Sequence[str | os.PathLike], n_images: int, images_per_file: int, missing: Sequence[int]
) -> list[str | os.PathLike]:
    """Returns the data files that must exist: those with at least one image."""
    expected = np.ones(n_images, bool)
    expected[list(missing)] = False
    files = sorted({int(k) // images_per_file for k in np.flatnonzero(expected)})
    if not files:
        raise Sorry("data_files: expected at least one image, but all are missing.")
    return [data_files[k] for k in files]


def _type_of_pixels(data_files: Sequence[str | os.PathLike], shape: tuple[int, int]) -> np.dtype:
    """Returns the type of the images in all data files, which must exist and have this shape."""
    for name in data_files:
        if not os.path.isfile(name):
            raise Sorry(f"data_files: {name} does not exist.")
    # Only the first: opening a hundred thousand files costs minutes on a parallel file system.
    try:
        with h5py.File(data_files[0], "r") as file:
            found, dtype = file[IMAGE].shape, file[IMAGE].dtype
    except (OSError, KeyError) as error:
        raise Sorry(f"data_files: {data_files[0]} holds no image ({error}).") from error
    if len(found) != 3 or found[1:] != shape:
        raise ValueError(f"data_files: {data_files[0]} has an image of shape {found[1:]}, the detector needs {shape}.")
    if dtype not in MASKED:
        raise ValueError(f"data_files: {data_files[0]} has pixels of type {dtype}, expected int32 or uint16.")
    return dtype


def _write_links(
    group: h5py.Group,
    data_files: Sequence[str],
    n_images: int,
    images_per_file: int,
    shape: tuple[int, int],
    dtype: np.dtype,
) -> None:
    """Writes the virtual dataset over all images, at h5py's low level: only there its time stamp can be left out."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    properties.set_fill_value(np.array(MASKED[dtype], dtype))
    space = h5py.h5s.create_simple((n_images, *shape))
    for k, name in enumerate(data_files):
        first = k * images_per_file
        source_shape = (min(images_per_file, n_images - first), *shape)
        space.select_hyperslab((first, 0, 0), source_shape)
        properties.set_virtual(space, os.fsencode(name), IMAGE.encode(), h5py.h5s.create_simple(source_shape))
    space.select_all()
    h5py.h5d.create(group.id, b"data", h5py.h5t.py_create(dtype), space, properties)


def _write_goniometer(
    sample: h5py.Group, scan: Scan | None, goniometer: Goniometer | None, rotation: np.ndarray, n_images: int
) -> None:
    if (scan is None) != (goniometer is None):
        raise ValueError("scan, goniometer: give both or none.")
    if scan is None or goniometer is None:
        nexus.field(sample, "depends_on", ".")
        return
    if scan.get_num_images() != n_images:
        raise ValueError(f"scan: expected {n_images} images, got {scan.get_num_images()}.")
    setting = np.reshape(goniometer.get_setting_rotation(), (3, 3))
    fixed = np.reshape(goniometer.get_fixed_rotation(), (3, 3))
    if np.abs(setting @ fixed - np.identity(3)).max() > 1e-9:
        raise Sorry("goniometer: only one that is at its datum apart from the scan axis can be written.")
    axis = nexus.IMGCIF_TO_MCSTAS @ rotation @ setting @ np.array(goniometer.get_rotation_axis_datum())
    start, width = scan.get_oscillation()
    angles = start + width * np.arange(n_images)
    transformations = nexus.group(sample, "transformations", "NXtransformations")
    nexus.field(sample, "depends_on", nexus.axis(transformations, "omega", "rotation", angles, axis, "."))
    nexus.quantity(transformations, "omega_end", angles + width, "deg")
