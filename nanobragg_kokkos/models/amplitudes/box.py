"""Structure factor amplitudes on the P1 lattice as the kernels read them, in memory that processes may share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from cctbx import uctbx

from nanobragg_kokkos.extension import ext

# Numbers after the amplitudes, which vector code may read and not use.
PADDING = 8

# Of all channels together; the kernels count them in 31 bits.
MOST_AMPLITUDES = 2**31 - 1


@dataclass(frozen=True)
class BoxLayout:
    """The layout of amplitudes in memory: a box of Miller indices, in which l runs fast and the channel fastest.

    Args:
        low: smallest h, k and l.
        size: number of values of h, k and l.
        n_channels: number of amplitudes of each reflection.
    """

    low: tuple[int, int, int]
    size: tuple[int, int, int]
    n_channels: int

    @classmethod
    def of(cls, unit_cell: uctbx.unit_cell, d_min: float, n_channels: int) -> BoxLayout:
        """Returns the layout for all reflections of a crystal to a resolution (angstrom)."""
        highest = unit_cell.max_miller_indices(d_min * (1 - 1e-9))
        return cls(tuple(-i for i in highest), tuple(2 * i + 1 for i in highest), n_channels)

    @property
    def n_reflections(self) -> int:
        return int(np.prod(self.size, dtype=np.int64))

    @property
    def n_amplitudes(self) -> int:
        return self.n_reflections * self.n_channels

    @property
    def memory_size(self) -> int:
        """Size in double precision numbers: the amplitudes, and half a number for each reflection's strongest."""
        return self.n_amplitudes + PADDING + (self.n_reflections + 1) // 2

    def places(self, indices: np.ndarray) -> np.ndarray:
        """Returns the places (n,) of reflections, Miller indices (n, 3), among all."""
        h, k, l = (indices - self.low).T
        return (h * self.size[1] + k) * self.size[2] + l


@dataclass(frozen=True, eq=False)
class AmplitudeBox:
    """Amplitudes in memory; those that were not put there are 0, and so is that of the direct beam.

    It takes the place of StructureFactors in Simulation.add_spots. On a CPU the kernels read this very memory; a GPU
    has a copy.

    Args:
        layout: layout of the memory.
        memory: float64 array (layout.memory_size,), zero at first.
    """

    layout: BoxLayout
    memory: np.ndarray

    @property
    def amplitudes(self) -> np.ndarray:
        """Amplitudes (reflections, channels), in the order of the layout."""
        return self.memory[: self.layout.n_amplitudes].reshape(self.layout.n_reflections, self.layout.n_channels)

    @property
    def strongest(self) -> np.ndarray:
        """Bounds (reflections,), float32: no less than the amplitude of each reflection in any channel."""
        return self.memory[self.layout.n_amplitudes + PADDING :].view(np.float32)[: self.layout.n_reflections]

    def put(self, places: np.ndarray, amplitudes: np.ndarray) -> None:
        """Puts amplitudes (n, channels) of reflections at their places (n,)."""
        self.amplitudes[places] = amplitudes
        strongest = amplitudes.max(axis=1)
        rounded_up = np.nextafter(strongest.astype(np.float32), np.float32(np.inf))
        self.strongest[places] = np.where(strongest > 0, rounded_up, np.float32(0))

    @cached_property
    def on_device(self) -> ext.StructureFactors:
        """The core's structure factors, on the device from first use."""
        return ext.StructureFactors(
            amplitudes=self.memory[: self.layout.n_amplitudes + PADDING],
            strongest=self.strongest,
            low=self.layout.low,
            size=self.layout.size,
            n_channels=self.layout.n_channels,
        )
