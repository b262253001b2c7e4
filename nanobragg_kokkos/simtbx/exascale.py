"""simtbx's class exascale_api: spots and background of a nanoBragg object, added to a gpu_detector."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
from cctbx.array_family import flex

from nanobragg_kokkos import Crystal
from nanobragg_kokkos.simtbx import engine, noise
from nanobragg_kokkos.simtbx.channels import gpu_energy_channels
from nanobragg_kokkos.simtbx.diffuse import diffuse_api
from nanobragg_kokkos.simtbx.enums import shapetype
from nanobragg_kokkos.simtbx.gathering import Background, Spots
from nanobragg_kokkos.simtbx.gpu_panels import detector_of, gpu_detector
from nanobragg_kokkos.simtbx.light import light_for_background, light_of
from nanobragg_kokkos.simtbx.nanobragg import nanoBragg as simulation_class
from nanobragg_kokkos.simtbx.nanobragg import state_of
from nanobragg_kokkos.simtbx.properties import integer
from nanobragg_kokkos.simtbx.state import State
from nanobragg_kokkos.util.argument_checks import finite

# Fields that are taken at allocate(); all others are taken when something is added.
ALLOCATED = ("real_vectors", "cell_volume", "spindle_vector", "mosaic_blocks", "polar_vector", "source_XYZ")
# Fields that determine the crystal.
OF_CRYSTAL = (
    "real_vectors", "cell_volume", "spindle_vector", "mosaic_blocks", "mosaic_spread", "mosaic_domains", "phi",
    "phi_step", "phi_steps", "shape", "cells",
)  # fmt: skip


class exascale_api:
    """Adds up the image of a nanoBragg object energy by energy.

    Structure factors come from gpu_energy_channels and the positions of the panels from gpu_detector; everything else
    comes from the nanoBragg object. Structure factors are never interpolated, and those that are not given are 0.

    Args:
        nanoBragg: the object.

    Raises:
        ValueError: nanoBragg is not such an object.
    """

    def __init__(self, nanoBragg: simulation_class) -> None:
        self._state = state_of(nanoBragg)
        self._simulation = nanoBragg  # keeps it alive
        self._allocated: dict[str, Any] | None = None
        self._crystal: tuple[tuple, Crystal] | None = None
        self._diffuse = diffuse_api()

    def allocate(self) -> None:
        """Takes the orientation and mosaic blocks of the crystal, the spindle, the electric field, and the sources.

        It takes only the directions of the sources. Later changes of these values have no effect until the next call.
        """
        self._allocated = {name: getattr(self._state, name) for name in ALLOCATED}

    def add_energy_channel_from_gpu_amplitudes(
        self,
        channel_number: int,
        gpu_amplitudes: gpu_energy_channels,
        gpu_detector: gpu_detector,
        weight: float = 1.0,
    ) -> None:
        """Adds the spots of all sources with one channel, in the region of interest.

        Args:
            weight: factor for the sources' intensities.

        Raises:
            ValueError: there is no such channel, allocate() was not called, or a property of the object is invalid.
        """
        detector_of("gpu_detector", gpu_detector).must_hold_all("add_energy_channel_from_gpu_amplitudes")
        s = self._current()
        factor = finite("weight", weight)
        weights = [factor * intensity for intensity in s.source_intensities]
        self._add_spots(
            s, gpu_amplitudes, gpu_detector, self._all_see(channel_number, gpu_amplitudes, s), weights, roi=True
        )

    def add_energy_channel_mask_allpanel(
        self,
        channel_number: int,
        gpu_amplitudes: gpu_energy_channels,
        gpu_detector: gpu_detector,
        pixel_active_list_ints: Sequence[int] | None = None,
        *,
        pixel_active_mask_bools: Sequence[bool] | None = None,
    ) -> None:
        """Adds the spots of all sources with one channel, in some pixels; the blocks are always Gauss-shaped.

        Args:
            pixel_active_list_ints: numbers of these pixels, counted through all panels; or
            pixel_active_mask_bools: for each pixel of all panels, whether it is one of them.

        Raises:
            ValueError: as above; or pixels do not exist, the number of bools is wrong, or neither or both are given.
        """
        given = [pixels for pixels in (pixel_active_list_ints, pixel_active_mask_bools) if pixels is not None]
        if len(given) != 1:
            raise ValueError("either pixel_active_list_ints or pixel_active_mask_bools must be given")
        s = self._current()
        channels = self._all_see(channel_number, gpu_amplitudes, s)
        self._add_spots(s, gpu_amplitudes, gpu_detector, channels, s.source_intensities, pixels=given[0])

    def add_energy_multichannel_mask_allpanel(
        self,
        ichannels: Sequence[int],
        gpu_amplitudes: gpu_energy_channels,
        gpu_detector: gpu_detector,
        pixel_active_list_ints: Sequence[int],
        weights: Sequence[float],
    ) -> None:
        """Adds the spots of each source with its own channel, in some pixels; the blocks are always Gauss-shaped.

        Args:
            ichannels: channel of each of the object's n sources, (n,); a negative number omits the source.
            pixel_active_list_ints: numbers of the pixels, counted through all panels.
            weights: factors for the sources' intensities, (n,).

        Raises:
            ValueError: as above; or the number of channels or weights is not that of the sources.
        """
        s = self._current()
        s.source_XYZ = self._state.source_XYZ
        n = len(s.source_XYZ)
        for name, values in (("ichannels", ichannels), ("weights", weights)):
            if len(values) != n:
                raise ValueError(f"{name} must have one element for each of {n} sources, not {len(values)}")
        shining = [k for k, channel in enumerate(ichannels) if channel >= 0]
        factors = [finite("weights", weight) * intensity for weight, intensity in zip(weights, s.source_intensities)]
        s.source_XYZ = [s.source_XYZ[k] for k in shining]
        s.source_wavelengths = [s.source_wavelengths[k] for k in shining]
        table = _channels_of(gpu_amplitudes)
        channels = tuple(table.number("ichannels", ichannels[k]) for k in shining)
        factors = [factors[k] for k in shining]
        self._add_spots(s, table, gpu_detector, channels, factors, pixels=pixel_active_list_ints)

    def add_background(self, detector: gpu_detector, override_source: int = -1) -> None:
        """Adds the scattering of the object's amorphous sample in all pixels.

        Args:
            override_source: number of the source that replaces all others; less than 0: use all.

        Raises:
            ValueError: there is no such source, allocate() was not called, or a property of the object is invalid.
        """
        detector_of("detector", detector).must_hold_all("add_background")
        s = self._current()
        setup = detector.setup(s, max(s.oversample, 1))
        light = light_for_background(s, integer("override_source", override_source))
        detector.add(Background(setup, engine.amorphous(s), setup.light(light)))

    def add_noise(self, detector: gpu_detector) -> flex.double:
        """Returns the image in ADU after the object's add_noise, with different random numbers for each panel.

        The image on the detector and the object's seed stay as they are.

        Returns:
            flex.double (panels, slow, fast).

        Raises:
            ValueError: the object's panel has a different size.
        """
        photons = detector_of("detector", detector).get_raw_pixels().as_numpy_array()
        s = copy.copy(self._state)
        if photons.shape[1:] != (s.slow_pixels, s.fast_pixels):
            raise ValueError(
                f"nanoBragg has a panel of {s.slow_pixels} x {s.fast_pixels} pixels (slow, fast), but the detector's "
                f"have {photons.shape[1]} x {photons.shape[2]}"
            )
        return flex.double(np.stack([noise.add_noise(s, self._simulation._engine, panel) for panel in photons]))

    def show(self) -> None:
        """Prints the experiment."""
        self._simulation.show_params()

    def _set_diffuse(self, value: diffuse_api) -> None:
        if not isinstance(value, diffuse_api):
            raise ValueError(f"diffuse must be a diffuse_api, not {type(value).__name__}")
        self._diffuse = value

    diffuse = property(
        lambda self: self._diffuse, _set_diffuse, doc="stored: there is no diffuse scattering of the crystal"
    )

    def _current(self) -> State:
        """Returns a copy of the object's state with the values taken at allocate().

        Raises:
            ValueError: allocate() was not called.
        """
        if self._allocated is None:
            raise ValueError("allocate() must be called before anything is added")
        s = copy.copy(self._state)
        directions = s.source_XYZ
        for name, value in self._allocated.items():
            setattr(s, name, value)
        if len(s.source_XYZ) != len(directions):  # simtbx would read beyond the end of its list
            s.source_XYZ = directions
        s.interpolate = 0
        return s

    @staticmethod
    def _all_see(channel: int, amplitudes: gpu_energy_channels, s: State) -> tuple[int, ...]:
        return (_channels_of(amplitudes).number("channel_number", channel),) * len(s.source_XYZ)

    def _add_spots(
        self,
        s: State,
        amplitudes: gpu_energy_channels,
        detector: gpu_detector,
        channels: tuple[int, ...],
        weights: Sequence[float],
        *,
        pixels: Sequence | None = None,
        roi: bool = False,
    ) -> None:
        detector_of("gpu_detector", detector)
        whitelist = None
        if pixels is not None:
            whitelist = detector.whitelist(pixels)
            s.shape = shapetype.Gauss
        setup = detector.setup(s, engine.sub_pixels(s), roi=roi, whitelist=whitelist)
        light = setup.light(light_of(s, weights)).scaled(s.spot_scale)
        detector.add(Spots(setup, self._crystal_of(s), amplitudes.table, channels, light))

    def _crystal_of(self, s: State) -> Crystal:
        """Returns the engine's crystal, the same object until something changes, so that many calls share a pass."""
        made_of = tuple(getattr(s, name) for name in OF_CRYSTAL)
        if self._crystal is None or self._crystal[0] != made_of:
            self._crystal = (made_of, engine.crystal(s))
        return self._crystal[1]


class exascale_api_small_whitelist(exascale_api):
    """An exascale_api for gpu_detector_small_whitelist."""


def _channels_of(value: Any) -> gpu_energy_channels:
    if not isinstance(value, gpu_energy_channels):
        raise ValueError(f"gpu_amplitudes must be gpu_energy_channels, not {type(value).__name__}")
    return value
