"""Makes the engine's immutable models from the state, and keeps them until the values behind them change."""

from __future__ import annotations

import numpy as np
from dxtbx.model import Crystal as DxtbxCrystal

from nanobragg_kokkos import Amorphous, Crystal, PointSpread, Rotation, Simulation
from nanobragg_kokkos.simtbx import amplitudes
from nanobragg_kokkos.simtbx.arithmetic import DEGREE, turned_about, unit
from nanobragg_kokkos.simtbx.enums import shapetype
from nanobragg_kokkos.simtbx.light import Light, light_for_background, light_of
from nanobragg_kokkos.simtbx.mosaic import blocks_in_use
from nanobragg_kokkos.simtbx.sampling import phi_angles
from nanobragg_kokkos.simtbx.setup import Kept, dark_image, panel_of, roi_slices, setup_of
from nanobragg_kokkos.simtbx.state import State

SHAPES = {
    shapetype.Square: "square",
    shapetype.Round: "round",
    shapetype.Gauss: "gauss",
    shapetype.Gauss_argchk: "gauss_argchk",
    shapetype.Tophat: "tophat",
}
# Largest error in whole numbers of cells due to rounding of crystal sizes and cell edges.
NEARLY_WHOLE = 1e-9
# Rays per side of the grid that finds the reflections on a panel.
RAYS = 33


class Engine:
    """The models of one nanoBragg object, made on demand."""

    def __init__(self) -> None:
        self._kept = Kept(1)
        self._plane: tuple[tuple, Simulation] | None = None

    def release(self) -> None:
        """Releases all memory on the device."""
        self._kept.release()
        self._plane = None

    def spots(self, s: State) -> np.ndarray:
        """Returns the expected photons (slow, fast) of the Bragg spots.

        Raises:
            ValueError: a property is invalid; names the property.
        """
        simulation = self._lit(s, sub_pixels(s), light_of(s))
        simulation.add_spots(crystal(s), amplitudes.structure_factors(s))
        return simulation.image[0] * s.spot_scale

    def background(self, s: State, oversample: int, source: int) -> np.ndarray:
        """Returns the expected photons (slow, fast) of the amorphous sample.

        Args:
            oversample: sub-pixels along each axis; 0 or less: those of the state.
            source: number of the only source to use; less than 0: all.

        Raises:
            ValueError: a property is invalid; names the property.
        """
        light = light_for_background(s, source)
        simulation = self._lit(s, max(oversample if oversample > 0 else s.oversample, 1), light)
        simulation.add_background(amorphous(s))
        return simulation.image[0]

    def blurred(self, s: State, photons: np.ndarray, point_spread: PointSpread) -> np.ndarray:
        """Returns the photons (slow, fast) after a point-spread function."""
        plane = self.plane(s)
        plane.clear()
        plane.add_photons([photons])
        plane.blur(point_spread)
        return plane.image[0].copy()

    def plane(self, s: State) -> Simulation:
        """Returns a dark image of the detector's size, for the steps of the detector response."""
        size = (s.fast_pixels, s.slow_pixels, s.pixel_size)
        if self._plane is None or self._plane[0] != size:
            self._plane = None  # releases its memory first
            self._plane = (size, dark_image(1, *size))
        return self._plane[1]

    def _lit(self, s: State, oversample: int, light: Light) -> Simulation:
        setup = setup_of(s, (panel_of(s),), s.fast_pixels, s.slow_pixels, oversample)
        return self._kept.lit(setup, setup.light(light))


def sub_pixels(s: State) -> int:
    """Returns the number of sub-pixels along each axis of a pixel."""
    return s.oversample if s.oversample > 0 else s.recommended_oversample


def crystal(s: State) -> Crystal:
    """Returns the engine's crystal.

    Raises:
        ValueError: there is no cell, or there are more domains than mosaic blocks.
    """
    if not s.cell_volume:
        raise ValueError("unit_cell_tuple or Amatrix must be set before the spots")
    shape, cells = SHAPES.get(s.shape), tuple(round(n) if abs(n - round(n)) < NEARLY_WHOLE * n else n for n in s.cells)
    if shape is None:  # in simtbx, the cells do not interfere then
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
    """Returns the engine's amorphous sample, in a beam of 1 mm^2.

    Raises:
        ValueError: there are no structure factors.
    """
    # simtbx's search in a table that does not ascend depends on the pixel before; here the table is sorted.
    table = sorted(dict(s.Fbg_table).items()) or ([(0.0, s.default_Fbg)] if s.default_Fbg else [])
    if not table:
        raise ValueError("Fbg_vs_stol or default_Fbg must be set before the background")
    x, y, z = s.sample_size
    stol, amplitude = np.transpose(table)
    return Amorphous(
        stol,
        amplitude,
        thickness_mm=x * y * z * 1e9,
        density_gcm3=s.sample_density * 1e-6,
        molecular_weight_Da=s.sample_molecular_weight,
    )


def _interpolates_everywhere(s: State) -> bool:
    """Returns whether the given structure factors allow interpolation in every pixel.

    simtbx takes the nearest reflection from the first pixel on in which they do not.
    """
    low, high = amplitudes.box(s)
    rows, columns = (range(*part.indices(n)) for part, n in zip(roi_slices(s.roi), (s.slow_pixels, s.fast_pixels)))
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
    """Returns the cell vectors (metres) of every block at every angle, (n, 3, 3)."""
    turned = [
        [turned_about(v, s.spindle_vector, angle) if angle else v for v in s.real_vectors] for angle in phi_angles(s)
    ]
    blocks = np.reshape(blocks_in_use(s), (-1, 3, 3))
    return 1e-10 * np.einsum("bxy,piy->pbix", blocks, np.array(turned)).reshape(-1, 3, 3)
