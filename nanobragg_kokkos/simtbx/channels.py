"""simtbx's class gpu_energy_channels: structure factors of many energies on the device."""

from __future__ import annotations

from typing import Any

import numpy as np
from cctbx import miller
from cctbx.array_family import flex

from nanobragg_kokkos import StructureFactors
from nanobragg_kokkos.models.amplitudes.structure_factors import integers
from nanobragg_kokkos.simtbx.amplitudes import as_given
from nanobragg_kokkos.simtbx.properties import flex_array, integer


class ChannelTable:
    """The amplitudes of several channels; channels can be added, but never change."""

    def __init__(self, channels: list[miller.array]) -> None:
        self.channels = channels
        self._on_device: StructureFactors | None = None

    def structure_factors(self) -> StructureFactors:
        """Returns the engine's structure factors with all channels, which stay on the device."""
        if self._on_device is None or len(self._on_device.channels) < len(self.channels):
            self._on_device = None  # releases its memory first
            self._on_device = StructureFactors(self.channels)
        return self._on_device


class gpu_energy_channels:
    """Structure factors of many channels, which stay on the device from image to image.

    Reflections that are not given, and 0, 0, 0, have the amplitude 0.

    Args:
        deviceId: stored; gpu_instance chooses the device.
    """

    def __init__(self, deviceId: int = -1) -> None:
        self._device = integer("deviceId", deviceId)
        self.table = ChannelTable([])

    def get_deviceID(self) -> int:
        """Returns the deviceId given to the constructor."""
        return self._device

    def get_nchannels(self) -> int:
        """Returns the number of channels."""
        return len(self.table.channels)

    def structure_factors_to_GPU_direct(
        self, dummy_int: int, indices: flex.miller_index, amplitudes: flex.double
    ) -> None:
        """Adds a channel after the last one.

        Args:
            dummy_int: ignored; channels are numbered from 0 in the order in which they are added.
            indices: Miller indices (n,) in P 1; include Friedel mates.
            amplitudes: amplitudes (n,).

        Raises:
            ValueError: there are no reflections, or the numbers of indices and amplitudes differ.
        """
        self.table.channels.append(self._channel(indices, amplitudes))

    def structure_factors_replace_GPU_direct(
        self, ichannel: int, indices: flex.miller_index, amplitudes: flex.double
    ) -> None:
        """Replaces a channel; images added before keep the old one.

        Raises:
            ValueError: there is no such channel, or as structure_factors_to_GPU_direct.
        """
        channels = list(self.table.channels)
        channels[self.number("ichannel", ichannel)] = self._channel(indices, amplitudes)
        self.table = ChannelTable(channels)

    def print_Fhkl(self, channel: int, first_element: int, last_element: int) -> None:
        """Prints amplitudes of the box that the channel's indices span.

        Args:
            first_element, last_element: first element, and the one after the last; numbered through the box, l fastest.

        Raises:
            ValueError: there is no such channel, or no such elements.
        """
        array = self.table.channels[self.number("channel", channel)]
        hkl = integers(array.indices())
        low, high = hkl.min(axis=0), hkl.max(axis=0)
        values = np.zeros(high - low + 1)
        values[tuple((hkl - low).T)] = array.data().as_numpy_array()
        if (low <= 0).all() and (high >= 0).all():
            values[tuple(-low)] = 0.0
        first, last = integer("first_element", first_element), integer("last_element", last_element)
        if not 0 <= first <= last <= values.size:
            raise ValueError(
                f"first_element and last_element must lie within the {values.size} elements, not {first} and {last}"
            )
        for element in range(first, last):
            position = np.unravel_index(element, values.shape)
            print("element %d, %d %d %d: %g" % (element, *(low + position), values[position]))

    def number(self, name: str, value: Any) -> int:
        """Returns the number of a channel.

        Raises:
            ValueError: there is no channel with this number.
        """
        number = integer(name, value)
        if not 0 <= number < self.get_nchannels():
            raise ValueError(f"{name} must be one of the {self.get_nchannels()} channels, not {number}")
        return number

    def _channel(self, indices: flex.miller_index, amplitudes: flex.double) -> miller.array:
        flex_array("indices", indices, flex.miller_index)
        flex_array("amplitudes", amplitudes, flex.double)
        if not indices.size():
            raise ValueError("indices must hold at least one reflection")
        if indices.size() != amplitudes.size():
            raise ValueError(f"there are {indices.size()} indices, but {amplitudes.size()} amplitudes")
        if self.table.channels:
            # Channels usually have the same reflections.
            last = self.table.channels[-1]
            if last.size() == indices.size() and last.indices().all_eq(indices):
                return last.set().array(amplitudes.deep_copy())
        return as_given(indices, amplitudes)
