"""Detector and sampling: the part of an experiment that stays on the device while beam and crystal change."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dxtbx.model import Detector

from nanobragg_kokkos import SensorLayers, Simulation
from nanobragg_kokkos.simtbx.arithmetic import Vector, cross, dot, length, unit
from nanobragg_kokkos.simtbx.light import Light
from nanobragg_kokkos.simtbx.state import State


@dataclass(frozen=True)
class Panel:
    """The position of a panel (metres): its axes, its corner, and its distance from the sample along the normal.

    Raises:
        ValueError: the axes are not perpendicular unit vectors.
    """

    fast: Vector
    slow: Vector
    corner: Vector
    close_distance: float

    def __post_init__(self) -> None:
        fast, slow = self.fast, self.slow
        if abs(dot(fast, slow)) > 1e-6 or abs(length(fast) - 1) > 1e-6 or abs(length(slow) - 1) > 1e-6:
            raise ValueError("fdet_vector and sdet_vector must be unit vectors at right angles to each other")

    @property
    def obliquity(self) -> float:
        """Returns the factor by which pixels appear larger; it is not 1 if close_distance differs from the plane's."""
        plane = abs(dot(unit(cross(self.fast, self.slow)), self.corner))
        return 1.0 if abs(self.close_distance - plane) <= 1e-12 * plane else self.close_distance / plane


@dataclass(frozen=True)
class Setup:
    """Panels of one size and their sampling; equal setups share memory on the device.

    Args:
        panels: positions of the panels.
        fast_pixels, slow_pixels, pixel_size: numbers of pixels of each panel, and their size in metres.
        thickness, thickness_step, thickness_steps, attenuation_length: the sensor, lengths in metres; thickness 0: no
            depth.
        oversample: sub-pixels along each axis.
        point_pixel: whether to use 1/r² in place of a pixel's solid angle.
        polarized: whether there is a polarization factor.
        roi: first and last pixel, fast and slow, of the region of interest on every panel; it includes both.
        whitelist: the pixels to compute, numbered through all panels, as the bytes of 64-bit integers. Default: all.
    """

    panels: tuple[Panel, ...]
    fast_pixels: int
    slow_pixels: int
    pixel_size: float
    thickness: float
    thickness_step: float
    thickness_steps: int
    attenuation_length: float
    oversample: int
    point_pixel: bool
    polarized: bool
    roi: tuple[int, int, int, int] | None = None
    whitelist: bytes | None = None

    def light(self, light: Light) -> Light:
        """Returns the light scaled by the obliquity, which all of these panels share."""
        return light if self.point_pixel else light.scaled(self.panels[0].obliquity)

    def simulation(self, light: Light, channels: Sequence[int] | None = None) -> Simulation:
        """Returns a dark image of these panels."""
        return Simulation(
            detector(self.panels, self.fast_pixels, self.slow_pixels, self.pixel_size),
            light.sources(channels),
            fluence=light.total_fluence,
            beam_size_mm=1.0,  # engine.amorphous relies on it
            oversample=self.oversample,
            sensor=self._sensor(),
            mask=self._mask(),
            point_pixel=self.point_pixel,
            polarized=self.polarized,
        )

    def _sensor(self) -> SensorLayers | None:
        """Returns layers with simtbx's distances, which make the sensor thicker than it is."""
        if not self.thickness > 0.0:
            return None
        return SensorLayers(
            thickness_mm=self.thickness_step * self.thickness_steps * 1000.0,
            attenuation_length_mm=self.attenuation_length * 1000.0,
            layers=self.thickness_steps,
        )

    def _mask(self) -> list[np.ndarray] | None:
        mask = np.ones((len(self.panels), self.slow_pixels, self.fast_pixels), bool)
        if self.roi is not None:
            mask[:] = False
            mask[(slice(None), *roi_slices(self.roi))] = True
        if self.whitelist is not None:
            listed = np.zeros(mask.size, bool)
            listed[np.frombuffer(self.whitelist, np.int64)] = True
            mask &= listed.reshape(mask.shape)
        return None if mask.all() else list(mask)


class Kept:
    """Keeps the simulations of the last few setups on the device, each with its last light."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._simulations: OrderedDict[Setup, tuple[Simulation, tuple]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._simulations)

    def lit(self, setup: Setup, light: Light, channels: Sequence[int] | None = None) -> Simulation:
        """Returns the dark image of a setup in this light, which replaces the setup's last image."""
        shining = (light, channels)
        simulation, before = self._simulations.pop(setup, (None, None))
        if simulation is None:
            while len(self._simulations) >= self._most:  # releases their memory first
                self._simulations.popitem(last=False)
            simulation = setup.simulation(light, channels)
        elif shining != before:
            simulation.illuminate(light.sources(channels), light.total_fluence)
        simulation.clear()
        self._simulations[setup] = (simulation, shining)
        return simulation

    def release(self) -> None:
        """Releases all simulations."""
        self._simulations.clear()


def setup_of(
    s: State,
    panels: tuple[Panel, ...],
    fast_pixels: int,
    slow_pixels: int,
    oversample: int,
    *,
    roi: bool = True,
    whitelist: bytes | None = None,
) -> Setup:
    """Returns panels with the sampling of the state.

    Args:
        roi: whether to use the region of interest.

    Raises:
        ValueError: a property is invalid; names the property.
    """
    if s.curved_detector:
        raise ValueError("curved_detector is not available: panels are flat")
    if s.thickness > 0.0 and not s.attenuation_length > 0.0:
        raise ValueError(f"detector_attenuation_length_mm must be positive, not {s.attenuation_length * 1000}")
    first_fast, last_fast, first_slow, last_slow = s.roi
    whole = first_fast <= 0 and first_slow <= 0 and last_fast >= fast_pixels - 1 and last_slow >= slow_pixels - 1
    return Setup(
        panels=panels,
        fast_pixels=fast_pixels,
        slow_pixels=slow_pixels,
        pixel_size=s.pixel_size,
        thickness=s.thickness,
        thickness_step=s.thickness_step,
        thickness_steps=s.thickness_steps,
        attenuation_length=s.attenuation_length,
        oversample=oversample,
        point_pixel=bool(s.point_pixel),
        polarized=not s.nopolar,
        roi=(first_fast, last_fast, first_slow, last_slow) if roi and not whole else None,
        whitelist=whitelist,
    )


def panel_of(s: State) -> Panel:
    """Returns the panel of a state."""
    return Panel(s.fdet_vector, s.sdet_vector, s.pix0_vector, s.close_distance)


def detector(panels: Sequence[Panel], fast_pixels: int, slow_pixels: int, pixel_size: float) -> Detector:
    """Returns a dxtbx detector of panels of one size; pixel_size in metres."""
    dictionaries = [
        {
            "name": f"Panel {number}", "type": "", "identifier": "", "material": "", "mu": 0.0, "thickness": 0.0,
            "gain": 1.0, "pedestal": 0.0, "mask": [], "raw_image_offset": (0, 0), "trusted_range": (-1e9, 1e9),
            "px_mm_strategy": {"type": "SimplePxMmStrategy"}, "image_size": (fast_pixels, slow_pixels),
            "pixel_size": (pixel_size * 1000.0,) * 2, "fast_axis": panel.fast, "slow_axis": panel.slow,
            "origin": tuple(1000.0 * x for x in panel.corner),
        }
        for number, panel in enumerate(panels)
    ]  # fmt: skip
    children = [{"panel": number} for number in range(len(dictionaries))]
    return Detector.from_dict({"panels": dictionaries, "hierarchy": {"children": children, "panels": dictionaries}})


def dark_image(panels: int, fast_pixels: int, slow_pixels: int, pixel_size: float) -> Simulation:
    """Returns an image without light, for photons from other code; pixel_size in metres."""
    panel = Panel(fast=(1.0, 0.0, 0.0), slow=(0.0, -1.0, 0.0), corner=(0.0, 0.0, -1.0), close_distance=1.0)
    nothing = Light(((0.0, 0.0, 1.0),), (1e-10,), (1.0,), 0.0, (1.0, 0.0, 0.0), 0.0)
    return Simulation(detector([panel] * panels, fast_pixels, slow_pixels, pixel_size), nothing.sources(), fluence=0.0)


def roi_slices(roi: Sequence[int]) -> tuple[slice, slice]:
    """Returns the slices, slow and fast, of a region of interest that includes both ends."""
    return slice(roi[2], roi[3] + 1), slice(roi[0], roi[1] + 1)
