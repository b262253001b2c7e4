"""What the state means for the engine: immutable models, kept as long as nothing that they are made of changes."""

from __future__ import annotations

import numpy as np
from dxtbx.model import Crystal as DxtbxCrystal
from dxtbx.model import Detector

from nanobragg_kokkos import Amorphous, Crystal, PointSpread, Rotation, SensorLayers, Simulation, Sources
from nanobragg_kokkos.simtbx import amplitudes
from nanobragg_kokkos.simtbx.arithmetic import DEGREE, cross, dot, length, turned_about, unit
from nanobragg_kokkos.simtbx.enums import shapetype
from nanobragg_kokkos.simtbx.mosaic import blocks_in_use
from nanobragg_kokkos.simtbx.sampling import phi_angles
from nanobragg_kokkos.simtbx.state import State

SHAPES = {
    shapetype.Square: "square",
    shapetype.Round: "round",
    shapetype.Gauss: "gauss",
    shapetype.Gauss_argchk: "gauss_argchk",
    shapetype.Tophat: "tophat",
}
# Rounding of crystal sizes and cell edges leaves whole numbers of cells off by this at most.
NEARLY_WHOLE = 1e-9
# A grid of this many rays a side finds how far the reflections reach over a panel.
RAYS = 33


class Engine:
    """The models of one nanoBragg object, made when they are needed."""

    def __init__(self) -> None:
        self._simulation: tuple[tuple, Simulation] | None = None
        self._plane: tuple[tuple, Simulation] | None = None

    def release(self) -> None:
        """Lets go of everything on the device."""
        self._simulation = self._plane = None

    def spots(self, s: State) -> np.ndarray:
        """Expected photons (slow, fast) of the Bragg spots; light of one exposure.

        Raises:
            ValueError: what the state asks for cannot be, by the name of the property.
        """
        simulation = self._lit(
            s, s.oversample if s.oversample > 0 else s.recommended_oversample, range(len(s.source_XYZ))
        )
        simulation.clear()
        simulation.add_spots(crystal(s), amplitudes.structure_factors(s))
        return simulation.image[0] * s.spot_scale

    def background(self, s: State, oversample: int, source: int) -> np.ndarray:
        """Expected photons (slow, fast) of the amorphous sample.

        Args:
            oversample: sub-pixels along each axis; 0 or less: those of the state.
            source: the only one that shines; less than 0: all.

        Raises:
            ValueError: what the state asks for cannot be, by the name of the property.
        """
        n = len(s.source_XYZ)
        if source >= n:
            raise ValueError(f"override_source must be one of the {n} sources, not {source}")
        oversample = max(oversample if oversample > 0 else s.oversample, 1)
        if source >= 0:
            simulation = self._lit(s, oversample, [source], intensity=float(n))  # it stands for all
        else:
            simulation = self._lit(s, oversample, range(n))
        simulation.clear()
        simulation.add_background(amorphous(s))
        return simulation.image[0]

    def blurred(self, s: State, photons: np.ndarray, point_spread: PointSpread) -> np.ndarray:
        """Photons (slow, fast) after a point-spread function."""
        plane = self.plane(s)
        plane.clear()
        plane.add_photons([photons])
        plane.blur(point_spread)
        return plane.image[0].copy()

    def plane(self, s: State) -> Simulation:
        """A dark image of the detector's size, for what happens after the photons have arrived."""
        key = (s.fast_pixels, s.slow_pixels, s.pixel_size)
        if self._plane is None or self._plane[0] != key:
            self._plane = None  # its memory first
            panel = detector(*key, fast=(1, 0, 0), slow=(0, -1, 0), corner=(0, 0, -1))
            self._plane = (key, Simulation(panel, Sources([1.0], [1.0]), fluence=0.0))
        return self._plane[1]

    def _lit(self, s: State, oversample: int, chosen, intensity: float | None = None) -> Simulation:
        """The simulation of the detector in the light of the chosen sources: of their intensity or this one."""
        if s.curved_detector:
            raise ValueError("curved_detector is not available: panels are flat")
        key = (
            s.fast_pixels, s.slow_pixels, s.pixel_size, s.fdet_vector, s.sdet_vector, s.pix0_vector, s.close_distance,
            s.thickness, s.thickness_step, s.thickness_steps, s.attenuation_length, tuple(s.roi), s.point_pixel,
            oversample, s.nopolar, s.polarization, s.polar_vector, s.fluence, tuple(chosen), intensity,
            tuple(s.source_XYZ), tuple(s.source_intensities), tuple(s.source_wavelengths),
        )  # fmt: skip
        if self._simulation is None or self._simulation[0] != key:
            self._simulation = None
            self._simulation = (key, _simulation(s, oversample, list(chosen), intensity))
        return self._simulation[1]


def detector(fast_pixels: int, slow_pixels: int, pixel_size: float, *, fast, slow, corner) -> Detector:
    """A dxtbx detector of one panel; pixel_size and corner in metres."""
    panel = {
        "name": "Panel", "type": "", "identifier": "", "material": "", "mu": 0.0, "thickness": 0.0, "gain": 1.0,
        "pedestal": 0.0, "mask": [], "raw_image_offset": (0, 0), "trusted_range": (-1e9, 1e9),
        "px_mm_strategy": {"type": "SimplePxMmStrategy"}, "image_size": (fast_pixels, slow_pixels),
        "pixel_size": (pixel_size * 1000.0,) * 2, "fast_axis": fast, "slow_axis": slow,
        "origin": tuple(1000.0 * x for x in corner),
    }  # fmt: skip
    return Detector.from_dict({"panels": [panel], "hierarchy": {"children": [{"panel": 0}], "panels": [panel]}})


def crystal(s: State) -> Crystal:
    """The engine's crystal.

    Raises:
        ValueError: no cell, mosaic blocks that are not there.
    """
    if not s.cell_volume:
        raise ValueError("unit_cell_tuple or Amatrix must be set before the spots")
    shape, cells = SHAPES.get(s.shape), tuple(round(n) if abs(n - round(n)) < NEARLY_WHOLE * n else n for n in s.cells)
    if shape is None:  # simtbx has no interference between the cells then
        shape, cells = "square", (1, 1, 1)
    if shape == "square":
        cells = tuple(round(n) for n in cells)  # between whole numbers there are no peaks
    steps = s.phi_steps if s.phi_step else 1
    interpolated = bool(s.interpolate) and _interpolates_everywhere(s)
    if not interpolated:
        s.interpolate = 0
    return Crystal(
        DxtbxCrystal(*s.real_vectors, space_group_symbol="P 1"),
        n_cells=cells,
        shape=shape,
        mosaic_blocks=np.reshape(blocks_in_use(s), (-1, 3, 3)),
        rotation=Rotation(s.spindle_vector, s.phi * DEGREE, s.phi_step * steps * DEGREE, steps)
        if steps > 1 or s.phi
        else None,
        interpolation="tricubic" if interpolated else "nearest",
    )


def amorphous(s: State) -> Amorphous:
    """The engine's amorphous sample, in a beam of 1 mm^2.

    Raises:
        ValueError: no structure factors.
    """
    # simtbx's walk through a table that does not ascend depends on the pixel before; here it is put in order.
    table = sorted(dict(s.Fbg_table).items()) or ([(0.0, s.default_Fbg)] if s.default_Fbg else [])
    if not table:
        raise ValueError("Fbg_vs_stol or default_Fbg must be set before the background")
    x, y, z = s.sample_size
    return Amorphous(
        *zip(*table),
        thickness_mm=x * y * z * 1e9,
        density_gcm3=s.sample_density * 1e-6,
        molecular_weight_Da=s.sample_molecular_weight,
    )


def _simulation(s: State, oversample: int, chosen: list[int], intensity: float | None) -> Simulation:
    fast, slow = s.fdet_vector, s.sdet_vector
    if abs(dot(fast, slow)) > 1e-6 or abs(length(fast) - 1) > 1e-6 or abs(length(slow) - 1) > 1e-6:
        raise ValueError("fdet_vector and sdet_vector must be unit vectors at right angles to each other")
    if not -1.0 <= s.polarization <= 1.0:
        raise ValueError(f"polarization, the Kahn factor, must lie between -1 and 1, not {s.polarization}")
    intensities = np.array([s.source_intensities[k] for k in chosen])
    sources = Sources(
        wavelengths=[s.source_wavelengths[k] * 1e10 for k in chosen],
        weights=intensities,
        directions=[s.source_XYZ[k] for k in chosen],
        electric_vector=s.polar_vector,
        polarization_fraction=(s.polarization + 1.0) / 2.0,
    )
    # The engine divides weights by their sum.  And where close_distance is not that of the panel it still is what
    # simtbx has pixels appear as large by.
    plane = abs(dot(unit(cross(fast, slow)), s.pix0_vector))
    obliquity = 1.0 if s.point_pixel or abs(s.close_distance - plane) <= 1e-12 * plane else s.close_distance / plane
    panel = detector(s.fast_pixels, s.slow_pixels, s.pixel_size, fast=fast, slow=slow, corner=s.pix0_vector)
    return Simulation(
        panel,
        sources,
        fluence=s.fluence * 1e-6 * (float(intensities.sum()) if intensity is None else intensity) * obliquity,
        beam_size_mm=1.0,
        oversample=oversample,
        sensor=_sensor(s),
        mask=_mask(s),
        point_pixel=bool(s.point_pixel),
        polarized=not s.nopolar,
    )


def _sensor(s: State) -> SensorLayers | None:
    """Layers as far apart as simtbx has them, which makes the sensor thicker than it is."""
    if not s.thickness > 0.0:
        return None
    if not s.attenuation_length > 0.0:
        raise ValueError(f"detector_attenuation_length_mm must be positive, not {s.attenuation_length * 1000}")
    return SensorLayers(
        thickness_mm=s.thickness_step * s.thickness_steps * 1000.0,
        attenuation_length_mm=s.attenuation_length * 1000.0,
        layers=s.thickness_steps,
    )


def roi_slices(s: State) -> tuple[slice, slice]:
    """The region of interest, slow and fast; both ends belong to it."""
    return slice(s.roi[2], s.roi[3] + 1), slice(s.roi[0], s.roi[1] + 1)


def _mask(s: State) -> list[np.ndarray] | None:
    mask = np.zeros((s.slow_pixels, s.fast_pixels), bool)
    mask[roi_slices(s)] = True
    return None if mask.all() else [mask]


def _interpolates_everywhere(s: State) -> bool:
    """Whether the structure factors given reach far enough for interpolation in every pixel.

    From the first pixel on in which they do not, simtbx takes the nearest reflection, in all others too.
    """
    low, high = amplitudes.box(s)
    rows, columns = (range(*part.indices(n)) for part, n in zip(roi_slices(s), (s.slow_pixels, s.fast_pixels)))
    if not rows or not columns:
        return False
    fast, slow = (s.pixel_size * np.linspace(part[0], part[-1] + 1, RAYS) for part in (columns, rows))
    position = np.array(s.pix0_vector) + np.outer(slow, s.sdet_vector)[:, None] + np.outer(fast, s.fdet_vector)
    rays = (position / np.linalg.norm(position, axis=-1, keepdims=True)).reshape(-1, 3)
    axes = _oriented_axes(s)
    for xyz, wavelength in set(zip(s.source_XYZ, s.source_wavelengths)):
        scattering = (rays + unit(xyz)) / wavelength
        hkl = np.einsum("rx,oix->roi", scattering, axes)
        if (hkl.min(axis=(0, 1)) < low + 2).any() or (hkl.max(axis=(0, 1)) > high - 2).any():
            return False
    return True


def _oriented_axes(s: State) -> np.ndarray:
    """The cell vectors (metres) of every block at every angle: (n, 3, 3)."""
    turned = [
        [turned_about(v, s.spindle_vector, angle) if angle else v for v in s.real_vectors] for angle in phi_angles(s)
    ]
    blocks = np.reshape(blocks_in_use(s), (-1, 3, 3))
    return 1e-10 * np.einsum("bxy,piy->pbix", blocks, np.array(turned)).reshape(-1, 3, 3)
