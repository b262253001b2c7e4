"""What the state means for the engine: immutable models, kept as long as nothing that they are made of changes."""

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
# Rounding of crystal sizes and cell edges leaves whole numbers of cells off by this at most.
NEARLY_WHOLE = 1e-9
# A grid of this many rays a side finds how far the reflections reach over a panel.
RAYS = 33


class Engine:
    """The models of one nanoBragg object, made when they are needed."""

    def __init__(self) -> None:
        self._kept = Kept(1)
        self._plane: tuple[tuple, Simulation] | None = None

    def release(self) -> None:
        """Lets go of everything on the device."""
        self._kept.release()
        self._plane = None

    def spots(self, s: State) -> np.ndarray:
        """Expected photons (slow, fast) of the Bragg spots; light of one exposure.

        Raises:
            ValueError: what the state asks for cannot be, by the name of the property.
        """
        simulation = self._lit(s, sub_pixels(s), light_of(s))
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
        light = light_for_background(s, source)
        simulation = self._lit(s, max(oversample if oversample > 0 else s.oversample, 1), light)
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
        size = (s.fast_pixels, s.slow_pixels, s.pixel_size)
        if self._plane is None or self._plane[0] != size:
            self._plane = None  # its memory first
            self._plane = (size, dark_image(1, *size))
        return self._plane[1]

    def _lit(self, s: State, oversample: int, light: Light) -> Simulation:
        setup = setup_of(s, (panel_of(s),), s.fast_pixels, s.slow_pixels, oversample)
        return self._kept.lit(setup, setup.light(light))


def sub_pixels(s: State) -> int:
    """Sub-pixels along each axis of a pixel."""
    return s.oversample if s.oversample > 0 else s.recommended_oversample


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


def _interpolates_everywhere(s: State) -> bool:
    """Whether the structure factors given reach far enough for interpolation in every pixel.

    From the first pixel on in which they do not, simtbx takes the nearest reflection, in all others too.
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
    """The cell vectors (metres) of every block at every angle: (n, 3, 3)."""
    turned = [
        [turned_about(v, s.spindle_vector, angle) if angle else v for v in s.real_vectors] for angle in phi_angles(s)
    ]
    blocks = np.reshape(blocks_in_use(s), (-1, 3, 3))
    return 1e-10 * np.einsum("bxy,piy->pbix", blocks, np.array(turned)).reshape(-1, 3, 3)
