"""Structure factor amplitudes at several photon energies, at the price of a sum.

The structure factors of a crystal depend on the photon energy through the f' and f'' of its elements only:
F(E) = F0 + sum over elements of (f'(E) + i f''(E)) P, where P is the partial structure factor of the element's atoms,
each scattering like one electron in one point. F0 and P do not depend on the energy: they are calculated once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from cctbx import miller
from dxtbx import flumpy

from nanobragg_kokkos.models.amplitudes.box import AmplitudeBox, BoxLayout
from nanobragg_kokkos.models.amplitudes.structure_factors import expansion

# Numbers that are worked on at a time.
BLOCK = 2**20


@dataclass(frozen=True, eq=False)
class AmplitudeChannels:
    """Structure factor amplitudes of a crystal, in one channel for each of some photon energies.

    Args:
        energies_eV: energies of the channels, (n,), ascending.
        constant: the part F0 that all channels share: structure factors, or amplitudes if there is no other part.
        partial: the part P of each element that changes with the energy, for the same reflections.
        factors: f' + i f'' of these elements in each channel, (n, elements).

    Raises:
        ValueError: arrays that do not fit with each other.
    """

    energies_eV: np.ndarray
    constant: miller.array
    partial: tuple[np.ndarray, ...] = ()
    factors: np.ndarray | None = None

    def __post_init__(self) -> None:
        factors = np.zeros((len(self.energies_eV), 0), complex) if self.factors is None else self.factors
        if factors.shape != (len(self.energies_eV), len(self.partial)):
            raise ValueError(f"factors must have the shape (energies, elements), not {factors.shape}")
        object.__setattr__(self, "factors", factors)
        if any(values.shape != (self.constant.size(),) for values in self.partial):
            raise ValueError("partial structure factors must be those of the same reflections as the constant ones")

    def at(self, factors: np.ndarray) -> miller.array:
        """Returns the amplitudes with given f' + i f'' (elements,)."""
        values = np.abs(self._combined(slice(None), np.reshape(factors, (1, -1)))[:, 0])
        found = self.constant.customized_copy(data=flumpy.from_numpy(values), sigmas=None)
        return found.set_observation_type_xray_amplitude()

    def channel(self, number: int) -> miller.array:
        """Returns the amplitudes in a channel."""
        return self.at(np.asarray(self.factors)[number])

    @property
    def layout(self) -> BoxLayout:
        """Layout of all channels in memory, on the P1 lattice."""
        return BoxLayout.of(self.constant.unit_cell(), self.constant.d_min(), len(self.energies_eV))

    def fill(self, memory: np.ndarray) -> None:
        """Puts the amplitudes of all channels on the P1 lattice into memory, an array (layout.memory_size,) of zeros.

        Raises:
            ValueError: several values for one reflection.
        """
        box = AmplitudeBox(self.layout, memory)
        p1_set, origins = expansion(self.constant)
        places = self.layout.places(np.array(p1_set.indices(), np.int64).reshape(-1, 3))
        origins = flumpy.to_numpy(origins).astype(np.int64)
        order = np.argsort(origins, kind="stable")
        places, origins = places[order], origins[order]
        step = max(1, BLOCK // len(self.energies_eV))
        for start in range(0, self.constant.size(), step):
            amplitudes = np.abs(self._combined(slice(start, start + step), np.asarray(self.factors)))
            first, last = np.searchsorted(origins, (start, start + step))
            box.put(places[first:last], amplitudes[origins[first:last] - start])
        direct_beam = self.layout.places(np.zeros((1, 3), int))
        box.put(direct_beam, np.zeros((1, len(self.energies_eV))))

    def box(self) -> AmplitudeBox:
        """Returns all channels on the P1 lattice, in memory of this process."""
        memory = np.zeros(self.layout.memory_size)
        self.fill(memory)
        return AmplitudeBox(self.layout, memory)

    def _combined(self, reflections: slice, factors: np.ndarray) -> np.ndarray:
        """Returns structure factors (reflections, n) with factors (n, elements)."""
        constant = flumpy.to_numpy(self.constant.data())[reflections, None]
        if not self.partial:
            return np.repeat(constant, len(factors), axis=1)
        return constant + np.stack([values[reflections] for values in self.partial], axis=1) @ factors.T
