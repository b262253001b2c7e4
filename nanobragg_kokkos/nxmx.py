"""Images and their geometry as NeXus/NXmx HDF5 files, which dxtbx and DIALS open as they are.

Every image has a data file of its own, so that its bytes depend on that image alone; a master file holds the
models and a virtual dataset over all data files (by relative names: the folder can be moved as a whole).

An image is stored as one two-dimensional array, `/entry/data/data` of shape (1, slow, fast): the panels one below
the other in the detector's order, each left-justified, with -1 beside panels that are narrower than the widest.
`data_origin` and `data_size` of each NXdetector_module say which rows and columns are a panel's. Geometry is
written in mm, in the McStas frame (dxtbx's, turned by 180 degrees about y).

NXmx fixes the beam along the frame's z axis, and its readers assume it. An experiment with another beam direction
is turned as a whole by `frame_rotation`; what is written beside the images (see `truth`) has to be turned alike.

NXmx application definition: https://manual.nexusformat.org/classes/applications/NXmx.html
Left out: start and end times (a simulation has none, and files are to depend on their content only), detector
gain, and pixel masks that differ from image to image.
"""

from __future__ import annotations

import copy
import math
import os
from typing import Any, Sequence

import h5py
import hdf5plugin
import numpy as np
from cctbx import factor_ev_angstrom
from cctbx.eltbx import attenuation_coefficient
from dxtbx import flumpy
from dxtbx.model import (
    Beam,
    Detector,
    DetectorNode,
    Goniometer,
    OffsetParallaxCorrectedPxMmStrategy,
    OffsetPxMmStrategy,
    Panel,
    ParallaxCorrectedPxMmStrategy,
    Scan,
    Spectrum,
)
from libtbx.utils import Sorry
from scipy.spatial.transform import Rotation

from nanobragg_kokkos.atomic import whole_file

IMAGE = "/entry/data/data"
DETECTOR = "/entry/instrument/detector"

IMGCIF_TO_MCSTAS = np.diag([-1.0, 1.0, -1.0])

# The value of a pixel that holds no measurement, and its bit in an NXmx pixel mask ("user defined mask").
MASKED = -1
MASK_BIT_USER = 256

PIXELS_A_CHUNK = 2**20

# What dxtbx 3.11 can look up when it reads sensor_material.
SENSOR_MATERIALS = {"Si": "Si", "Silicon": "Si", "CdTe": "CdTe", "GaAs": "GaAs"}
# Stands for no sensor: dxtbx refuses a thickness of 0; the parallax of this one is below 1e-9 mm.
NO_THICKNESS_MM = 1e-6


def write_image(
    path: str | os.PathLike, panels: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None
) -> None:
    """Write one image to the data file `path`: the same bytes whenever the pixels are the same.

    Args:
        path: of the file.
        panels: one integer array of shape (slow, fast) for each panel; values must fit 32 bits with sign.
        masks: one bool array of the same shape for each panel, False where a pixel is to be stored as -1.

    Raises:
        ValueError: arrays of another kind.
        Sorry: the file cannot be written.
    """
    panels = [_as_pixels(panel, i) for i, panel in enumerate(panels)]
    if not panels:
        raise ValueError("panels: expected at least one array.")
    shapes = [panel.shape for panel in panels]
    if masks is not None:
        panels = [np.where(mask, panel, MASKED) for panel, mask in zip(panels, _as_masks(masks, shapes))]
    rows, (slow, fast) = _stack(shapes)
    stack = panels[0]
    if len(panels) > 1:
        stack = np.full((slow, fast), MASKED, np.int32)
        for row, panel in zip(rows, panels):
            stack[row : row + panel.shape[0], : panel.shape[1]] = panel

    with whole_file(path) as temporary, h5py.File(temporary, "w", libver=("earliest", "v110")) as file:
        data = _group(_group(file, "entry", "NXentry"), "data", "NXdata", signal="data")
        data.create_dataset(
            "data",
            data=stack[np.newaxis],
            chunks=(1, *_chunk(panels, slow, fast)),
            track_times=False,
            **_compression(),
        )


def write_master(
    path: str | os.PathLike,
    data_files: Sequence[str | os.PathLike],
    detector: Detector,
    beam: Beam | Sequence[Beam],
    spectrum: Spectrum | Sequence[Spectrum] | None = None,
    *,
    masks: Sequence[np.ndarray] | None = None,
    photons: float | Sequence[float] | None = None,
    beam_size_mm: float | None = None,
    exposure_s: float | None = None,
    scan: Scan | None = None,
    goniometer: Goniometer | None = None,
    sample_name: str = "crystal",
    description: str = "simulated detector",
) -> None:
    """Write the master file `path` over `data_files`, which `write_image` has written, in the order of the images.

    Args:
        path: of the file.
        data_files: one an image.
        detector: any dxtbx Detector; its groups become the levels of the chain of transformations.
        beam: for all images, or one an image; all of one direction and polarization. Its wavelength (angstrom) is
            the one that dxtbx reads back.
        spectrum: for all images, or one an image (eV, relative weights); written as variant of the wavelength.
        masks: one bool array (slow, fast) for each panel, True where a pixel is good, as given to `write_image`;
            the untrusted rectangles of the detector's panels are added to it.
        photons: of the beam in the exposure, for all images, or one number an image.
        beam_size_mm: side of the beam's square cross-section.
        exposure_s: of an image.
        scan, goniometer: for a rotation about one axis; None for stills.
        sample_name, description: of the sample and of the detector, for people.

    Raises:
        ValueError: sequences or arrays of wrong length or shape.
        Sorry: something that NXmx or its reader in dxtbx cannot represent; a data file is missing; the file cannot
            be written.
    """
    path = os.path.abspath(os.fspath(path))
    data_files = [os.path.abspath(os.fspath(name)) for name in data_files]
    n_images = len(data_files)
    beams = _one_an_image("beam", beam, Beam, n_images)
    rotation = frame_rotation(beams)
    detector = rotated_detector(detector, rotation)
    shapes = [panel.get_image_size()[::-1] for panel in detector]
    rows, shape = _stack(shapes)
    _check_data_files(data_files, shape)
    _check_readable(detector)
    sensor = _sensor(detector, beams[0].get_wavelength())

    with whole_file(path) as temporary, h5py.File(temporary, "w", libver=("earliest", "v110")) as file:
        file.attrs["default"] = "entry"
        entry = _group(file, "entry", "NXentry", default="data")
        _field(entry, "definition", "NXmx").attrs["version"] = "2024.02"

        data = _group(entry, "data", "NXdata", signal="data")
        _write_links(data, [os.path.relpath(name, os.path.dirname(path)) for name in data_files], shape)

        source = _group(entry, "source", "NXsource")
        _field(source, "name", "simulation")
        sample = _group(entry, "sample", "NXsample")
        _field(sample, "name", sample_name)
        _write_goniometer(sample, scan, goniometer, rotation, n_images)

        instrument = _group(entry, "instrument", "NXinstrument")
        _field(instrument, "name", "nanobragg_kokkos")
        _write_beam(_group(instrument, "beam", "NXbeam"), beams, spectrum, photons, beam_size_mm, rotation)
        group = _group(instrument, "detector", "NXdetector")
        _field(group, "description", description)
        group["data"] = h5py.SoftLink(IMAGE)
        if exposure_s is not None:
            _quantity(group, "count_time", exposure_s, "s")
            _quantity(group, "frame_time", exposure_s, "s")
        _write_detector(group, detector, rows, sensor)
        _write_mask(group, detector, masks)


def frame_rotation(beam: Beam | Sequence[Beam]) -> np.ndarray:
    """The rotation from the experiment's frame to that of its files, where the beam comes from (0, 0, 1).

    A (3, 3) matrix: the smallest rotation that does so, the identity for dxtbx's default beam.

    Raises:
        Sorry: several beams of different directions.
    """
    beams = [beam] if isinstance(beam, Beam) else list(beam)
    directions = np.array([b.get_sample_to_source_direction() for b in beams])
    direction = directions[0]
    if np.abs(directions - direction).max() > 1e-9:
        raise Sorry("beam: all images of a file must have one beam direction.")
    axis = np.cross(direction, (0.0, 0.0, 1.0))
    sine, cosine = np.linalg.norm(axis), direction[2]
    if sine < 1e-12:
        return np.identity(3) if cosine > 0 else np.diag([-1.0, 1.0, -1.0])
    return Rotation.from_rotvec(axis / sine * math.atan2(sine, cosine)).as_matrix()


def rotated_detector(detector: Detector, rotation: np.ndarray) -> Detector:
    """A copy of the detector, turned about the origin as a whole by the (3, 3) matrix `rotation`."""
    detector = copy.deepcopy(detector)
    if not np.array_equal(rotation, np.identity(3)):
        # Panel.rotate_around_origin would leave the groups where they are.
        root = detector.hierarchy()
        frame = root.get_local_fast_axis(), root.get_local_slow_axis(), root.get_local_origin()
        root.set_local_frame(*(tuple(rotation @ vector) for vector in frame))
    return detector


def _as_pixels(panel: np.ndarray, index: int) -> np.ndarray:
    panel = np.asarray(panel)
    if panel.ndim != 2 or 0 in panel.shape:
        raise ValueError(f"panels[{index}]: expected an array (slow, fast), got shape {panel.shape}.")
    if not np.issubdtype(panel.dtype, np.integer):
        raise ValueError(f"panels[{index}]: expected integers, got {panel.dtype}.")
    limits = np.iinfo(np.int32)
    if not np.can_cast(panel.dtype, np.int32) and (panel.min() < limits.min or panel.max() > limits.max):
        raise ValueError(f"panels[{index}]: values do not fit 32 bits with sign.")
    return panel.astype(np.int32, copy=False)


def _as_masks(masks: Sequence[np.ndarray], shapes: Sequence[tuple[int, int]]) -> list[np.ndarray]:
    masks = [np.asarray(mask) for mask in masks]
    if len(masks) != len(shapes):
        raise ValueError(f"masks: expected one for each of {len(shapes)} panels, got {len(masks)}.")
    for i, (mask, shape) in enumerate(zip(masks, shapes)):
        if mask.shape != tuple(shape) or mask.dtype != bool:
            raise ValueError(f"masks[{i}]: expected bool of shape {tuple(shape)}, got {mask.dtype} {mask.shape}.")
    return masks


def _stack(shapes: Sequence[tuple[int, int]]) -> tuple[list[int], tuple[int, int]]:
    """First row of every panel in the stored array, and that array's shape."""
    slow = np.cumsum([0] + [s for s, _ in shapes])
    return [int(row) for row in slow[:-1]], (int(slow[-1]), max(int(f) for _, f in shapes))


def _chunk(panels: Sequence[np.ndarray], slow: int, fast: int) -> tuple[int, int]:
    """A panel each where all are equally high and of moderate size, else even bands of rows."""
    heights = {panel.shape[0] for panel in panels}
    height = heights.pop() if len(heights) == 1 else slow
    bands = -(-height * fast // PIXELS_A_CHUNK)
    return -(-height // bands), fast


def _compression() -> dict[str, Any]:
    """Bitshuffle with LZ4; gzip, which every HDF5 library has, where that filter is not installed."""
    if h5py.h5z.filter_avail(hdf5plugin.BSHUF_ID):
        return dict(hdf5plugin.Bitshuffle())
    return {"compression": "gzip", "compression_opts": 1, "shuffle": True}


def _one_an_image(name: str, value: Any, kind: type | tuple[type, ...], n_images: int) -> list:
    values = [value] * n_images if isinstance(value, kind) else list(value)
    if len(values) != n_images or not values:
        raise ValueError(f"{name}: expected one or {n_images} (the number of images), got {len(values)}.")
    return values


def _check_data_files(data_files: Sequence[str], shape: tuple[int, int]) -> None:
    if not data_files:
        raise ValueError("data_files: expected at least one.")
    for name in data_files:
        if not os.path.isfile(name):
            raise Sorry(f"data_files: {name} does not exist.")
    # Only the first: opening a hundred thousand files costs minutes on a parallel file system.
    try:
        with h5py.File(data_files[0], "r") as file:
            found = file[IMAGE].shape
    except (OSError, KeyError) as error:
        raise Sorry(f"data_files: {data_files[0]} holds no image ({error}).") from error
    if found != (1, *shape):
        raise ValueError(
            f"data_files: {data_files[0]} has an image of shape {found}, the detector needs {(1, *shape)}."
        )


def _check_readable(detector: Detector) -> None:
    for panel in detector:
        if isinstance(panel.get_px_mm_strategy(), (OffsetPxMmStrategy, OffsetParallaxCorrectedPxMmStrategy)):
            raise Sorry("detector: NXmx has no place for the pixel-wise offsets of a panel.")
    # The beam travels along -z here.
    if len(detector) == 1 and abs(detector[0].get_normal()[2]) > 0.99 and detector[0].get_origin()[2] > 0:
        raise Sorry(
            "detector: dxtbx takes a single panel that faces the beam from upstream of the sample for one "
            "downstream; split it in two panels."
        )


def _write_links(group: h5py.Group, data_files: Sequence[str], shape: tuple[int, int]) -> None:
    """The virtual dataset over all images, through h5py's low level: only there its time stamp can be left out."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_obj_track_times(False)
    properties.set_fill_value(np.array(MASKED, np.int32))
    space = h5py.h5s.create_simple((len(data_files), *shape))
    source = h5py.h5s.create_simple((1, *shape))
    for k, name in enumerate(data_files):
        space.select_hyperslab((k, 0, 0), (1, *shape))
        properties.set_virtual(space, os.fsencode(name), IMAGE.encode(), source)
    space.select_all()
    h5py.h5d.create(group.id, b"data", h5py.h5t.STD_I32LE, space, properties)


def _group(parent: h5py.Group, name: str, nx_class: str, **attributes: str) -> h5py.Group:
    group = parent.create_group(name)
    group.attrs["NX_class"] = nx_class
    group.attrs.update(attributes)
    return group


def _field(group: h5py.Group, name: str, value: Any) -> h5py.Dataset:
    return group.create_dataset(name, data=value, track_times=False)


def _quantity(group: h5py.Group, name: str, value: Any, units: str, **attributes: Any) -> h5py.Dataset:
    dataset = _field(group, name, np.asarray(value, np.float64))
    dataset.attrs["units"] = units
    dataset.attrs.update(attributes)
    return dataset


def _axis(
    group: h5py.Group,
    name: str,
    kind: str,
    value: Any,
    vector: Sequence[float],
    depends_on: str,
    offset_mm: Sequence[float] = (0.0, 0.0, 0.0),
) -> str:
    """Write one transformation (`kind` rotation: degrees; translation: mm); returns its path."""
    dataset = _quantity(
        group,
        name,
        np.atleast_1d(value),
        "deg" if kind == "rotation" else "mm",
        transformation_type=kind,
        vector=np.asarray(vector, np.float64),
        offset=np.asarray(offset_mm, np.float64),
        offset_units="mm",
        depends_on=depends_on,
    )
    return dataset.name


def _length_and_direction(vector: np.ndarray) -> tuple[float, np.ndarray]:
    length = float(np.linalg.norm(vector))
    return (length, vector / length) if length > 0 else (0.0, np.array([0.0, 0.0, 1.0]))


def _frame(node: DetectorNode) -> np.ndarray:
    """The (4, 4) matrix from a group's own coordinates to the laboratory's (McStas, mm)."""
    fast, slow = np.array(node.get_fast_axis()), np.array(node.get_slow_axis())
    matrix = np.identity(4)
    rotation = np.column_stack((fast, slow, np.cross(fast, slow)))
    matrix[:3, :3] = IMGCIF_TO_MCSTAS @ rotation @ IMGCIF_TO_MCSTAS
    matrix[:3, 3] = IMGCIF_TO_MCSTAS @ np.array(node.get_origin())
    return matrix


def _write_detector(
    group: h5py.Group, detector: Detector, rows: Sequence[int], sensor: tuple[str, float]
) -> None:
    material, thickness_mm = sensor
    _field(group, "sensor_material", material)
    _quantity(group, "sensor_thickness", thickness_mm * 1e-3, "m")
    underload, saturation = _count_limits(detector)
    if saturation is not None:
        _field(group, "underload_value", underload)
        _field(group, "saturation_value", saturation)
    pixel_sizes = {panel.get_pixel_size() for panel in detector}
    if len(pixel_sizes) == 1:
        fast_mm, slow_mm = pixel_sizes.pop()
        _quantity(group, "x_pixel_size", fast_mm * 1e-3, "m")
        _quantity(group, "y_pixel_size", slow_mm * 1e-3, "m")
    if len(detector) == 1:
        _write_beam_centre(group, detector[0])

    # The chain of every panel begins with the distance along the beam, on which programs that refine it rely.
    z = float(np.mean([_centre(panel)[2] for panel in detector]))
    transformations = _group(group, "transformations", "NXtransformations")
    base = _axis(transformations, "detector_z", "translation", -z, (0, 0, 1), ".")
    _field(group, "depends_on", base)
    _quantity(group, "distance", abs(z) * 1e-3, "m")
    base_frame = np.identity(4)
    base_frame[2, 3] = -z

    def descend(node: DetectorNode, parent: str, parent_frame: np.ndarray) -> None:
        for child in node:
            if child.is_panel():
                write_panel(child, parent, parent_frame)
                continue
            frame = _frame(child)
            relative = np.linalg.inv(parent_frame) @ frame
            angle, axis = _length_and_direction(Rotation.from_matrix(relative[:3, :3]).as_rotvec())
            name = f"group_{len(transformations):05d}"
            path = _axis(
                transformations, name, "rotation", math.degrees(angle), axis, parent, relative[:3, 3]
            )
            descend(child, path, frame)

    def write_panel(panel: Panel, parent: str, parent_frame: np.ndarray) -> None:
        # Readers take the modules in alphabetical order, hence the zeros.
        module = _group(group, f"module_{panel.index():05d}", "NXdetector_module")
        fast_size, slow_size = panel.get_image_size()
        _field(module, "data_origin", np.array([rows[panel.index()], 0], np.int64))
        _field(module, "data_size", np.array([slow_size, fast_size], np.int64))
        to_parent = np.linalg.inv(parent_frame)
        origin = to_parent @ np.append(IMGCIF_TO_MCSTAS @ np.array(panel.get_origin()), 1.0)
        offset = _axis(module, "module_offset", "translation", *_length_and_direction(origin[:3]), parent)
        for name, size, vector in (
            ("fast_pixel_direction", panel.get_pixel_size()[0], panel.get_fast_axis()),
            ("slow_pixel_direction", panel.get_pixel_size()[1], panel.get_slow_axis()),
        ):
            direction = to_parent[:3, :3] @ IMGCIF_TO_MCSTAS @ np.array(vector)
            _axis(module, name, "translation", size, direction, offset)

    descend(detector.hierarchy(), base, base_frame)


def _centre(panel: Panel) -> tuple[float, float, float]:
    fast_mm, slow_mm = panel.get_image_size_mm()
    return panel.get_lab_coord((fast_mm / 2, slow_mm / 2))


def _write_beam_centre(group: h5py.Group, panel: Panel) -> None:
    try:
        x_mm, y_mm = panel.get_ray_intersection((0.0, 0.0, -1.0))
    except RuntimeError:  # the beam does not meet the panel's plane
        return
    fast_mm, slow_mm = panel.get_pixel_size()
    _quantity(group, "beam_center_x", x_mm / fast_mm, "pixel")
    _quantity(group, "beam_center_y", y_mm / slow_mm, "pixel")


def _count_limits(detector: Detector) -> tuple[int, int | None]:
    """The lowest valid and the first saturated value of all panels; (0, None) where a panel has no range."""
    ranges = np.array([panel.get_trusted_range() for panel in detector])
    if np.any(ranges[:, 0] >= ranges[:, 1]):
        return 0, None
    limits = np.iinfo(np.int32)
    low, high = np.clip((ranges[:, 0].max(), ranges[:, 1].min()), limits.min, limits.max)
    if low >= high:
        raise Sorry("detector: NXmx has one trusted range for all panels, but those of the panels exclude each other.")
    # dxtbx's range is open, NXmx names the lowest value that is valid.
    return math.floor(low) + 1, math.floor(high)


def _sensor(detector: Detector, wavelength: float) -> tuple[str, float]:
    """Material and thickness (mm) from which dxtbx makes the parallax correction that the detector has.

    dxtbx looks the attenuation coefficient up again, and for few materials; a sensor that it cannot know (a
    phosphor, say) is replaced by the layer of a known one with the same mean depth at normal incidence.
    """
    sensors = {_panel_sensor(panel, wavelength) for panel in detector}
    if len(sensors) > 1:
        raise Sorry("detector: NXmx has one sensor material and thickness for all panels, but they differ.")
    return sensors.pop()


def _panel_sensor(panel: Panel, wavelength: float) -> tuple[str, float]:
    material = SENSOR_MATERIALS.get(panel.get_material(), "Si")
    strategy = panel.get_px_mm_strategy()
    if not isinstance(strategy, ParallaxCorrectedPxMmStrategy):
        return material, NO_THICKNESS_MM
    depth = _mean_depth(strategy.mu(), strategy.t0())
    mu = attenuation_coefficient.get_table(material).mu_at_angstrom(wavelength) / 10
    if panel.get_material() in SENSOR_MATERIALS and math.isclose(mu, strategy.mu(), rel_tol=1e-3):
        return material, strategy.t0()
    if depth >= 0.999 / mu:
        raise Sorry(
            f"detector: no layer of {material} has the parallax of the panel's sensor "
            f"({strategy.t0():g} mm with an attenuation coefficient of {strategy.mu():g}/mm)."
        )
    thin, thick = 0.0, 20 / mu
    for _ in range(60):
        middle = (thin + thick) / 2
        thin, thick = (middle, thick) if _mean_depth(mu, middle) < depth else (thin, middle)
    return material, round(thick, 9)


def _mean_depth(mu: float, thickness_mm: float) -> float:
    """Depth (mm) at normal incidence that dxtbx's parallax correction uses."""
    return 1 / mu - (thickness_mm + 1 / mu) * math.exp(-mu * thickness_mm)


def _write_mask(group: h5py.Group, detector: Detector, masks: Sequence[np.ndarray] | None) -> None:
    if masks is not None:
        masks = _as_masks(masks, [panel.get_image_size()[::-1] for panel in detector])
    good = [flumpy.to_numpy(panel.get_untrusted_rectangle_mask()) for panel in detector]
    good = [g & m for g, m in zip(good, masks)] if masks is not None else good
    if all(g.all() for g in good):
        return
    if len({g.shape[1] for g in good}) > 1:
        # dxtbx 3.11 can read a mask only where every panel is as wide as the stored array.
        underload, saturation = _count_limits(detector)
        if saturation is None or underload <= MASKED:
            raise Sorry(
                "masks: where panels differ in width, masked pixels are known by their value -1 alone, which the "
                "detector's trusted range must exclude."
            )
        return
    mask = np.where(np.concatenate(good), 0, MASK_BIT_USER).astype(np.uint32)
    _field(group, "pixel_mask_applied", True)
    group.create_dataset("pixel_mask", data=mask, track_times=False, **_compression())


def _write_beam(
    group: h5py.Group,
    beams: Sequence[Beam],
    spectrum: Spectrum | Sequence[Spectrum] | None,
    photons: float | Sequence[float] | None,
    beam_size_mm: float | None,
    rotation: np.ndarray,
) -> None:
    wavelengths = [beam.get_wavelength() for beam in beams]
    one = len(set(wavelengths)) == 1
    wavelength = _quantity(group, "incident_wavelength", wavelengths[0] if one else wavelengths, "angstrom")
    if spectrum is not None:
        name = "incident_wavelength_1Dspectrum"
        wavelength.attrs["variant"] = name
        channels, weights = _spectrum_arrays(_one_an_image("spectrum", spectrum, Spectrum, len(beams)))
        _quantity(group, name, channels, "angstrom")
        _field(group, name + "_weights", weights)
        # The name until 2020, and the one that dxtbx 3.11 looks for.
        group[name + "_weight"] = group[name + "_weights"]
    if photons is not None:
        counts = _one_an_image("photons", photons, (int, float, np.number), len(beams))
        total = counts[0] if len(set(counts)) == 1 else counts
        _quantity(group, "total_flux_integrated", total, "")
        group.attrs["flux"] = "total_flux_integrated"
    if beam_size_mm is not None:
        _quantity(group, "incident_beam_size", [beam_size_mm * 1e-3] * 2, "m")
        _field(group, "profile", "rectangular")
    stokes = {_stokes(beam, rotation) for beam in beams}
    if len(stokes) > 1:
        raise Sorry("beam: all images of a file must have one polarization.")
    _field(group, "incident_polarization_stokes", stokes.pop())


def _spectrum_arrays(spectra: Sequence[Spectrum]) -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths (angstrom) and weights, (channels,) where they are common to all images, else (images, channels)."""
    tables = {}
    for spectrum in spectra:
        if id(spectrum) not in tables:
            wavelengths = factor_ev_angstrom / np.array(spectrum.get_energies_eV())
            tables[id(spectrum)] = wavelengths, np.array(spectrum.get_weights())
    longest = max(len(wavelengths) for wavelengths, _ in tables.values())
    channels, weights = np.empty((2, len(spectra), longest))
    for k, spectrum in enumerate(spectra):
        x, y = tables[id(spectrum)]
        channels[k] = np.pad(x, (0, longest - len(x)), mode="edge")
        weights[k] = np.pad(y, (0, longest - len(y)))
    if (channels == channels[0]).all():
        channels = channels[0]
    return (channels, weights[0]) if len(tables) == 1 else (channels, weights)


def _stokes(beam: Beam, rotation: np.ndarray) -> tuple[float, float, float, float]:
    """Stokes parameters of unit intensity; the first axis is McStas' x."""
    normal = IMGCIF_TO_MCSTAS @ rotation @ np.array(beam.get_polarization_normal())
    electric = np.cross(normal, (0.0, 0.0, 1.0))
    angle = 2 * math.atan2(electric[1], electric[0])
    degree = 2 * beam.get_polarization_fraction() - 1
    return 1.0, degree * math.cos(angle), degree * math.sin(angle), 0.0


def _write_goniometer(
    sample: h5py.Group, scan: Scan | None, goniometer: Goniometer | None, rotation: np.ndarray, n_images: int
) -> None:
    if (scan is None) != (goniometer is None):
        raise ValueError("scan, goniometer: give both or none.")
    if scan is None:
        _field(sample, "depends_on", ".")
        return
    if scan.get_num_images() != n_images:
        raise ValueError(f"scan: expected {n_images} images, got {scan.get_num_images()}.")
    setting = np.reshape(goniometer.get_setting_rotation(), (3, 3))
    fixed = np.reshape(goniometer.get_fixed_rotation(), (3, 3))
    if np.abs(setting @ fixed - np.identity(3)).max() > 1e-9:
        raise Sorry("goniometer: only one that is at its datum apart from the scan axis can be written.")
    axis = IMGCIF_TO_MCSTAS @ rotation @ setting @ np.array(goniometer.get_rotation_axis_datum())
    start, width = scan.get_oscillation()
    angles = start + width * np.arange(n_images)
    transformations = _group(sample, "transformations", "NXtransformations")
    _field(sample, "depends_on", _axis(transformations, "omega", "rotation", angles, axis, "."))
    _quantity(transformations, "omega_end", angles + width, "deg")
