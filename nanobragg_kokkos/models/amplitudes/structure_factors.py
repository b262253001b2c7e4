"""Structure factor amplitudes, from cctbx Miller arrays to the P1 lattice that the kernels read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import numpy as np
from cctbx import miller
from cctbx.array_family import flex

from nanobragg_kokkos.extension import ext


class StructureFactors:
    """Amplitudes of all reflections, in one or several channels.

    Args:
        amplitudes: cctbx Miller array of amplitudes (or of complex structure factors, whose absolute values are used),
            in any space group, with Bijvoet mates or without; or a list of arrays, one for each channel. They are
            expanded to P1.
        default_amplitude: amplitude of every reflection that is not given, including those that a centred lattice
            forbids.
        F000: amplitude of the direct beam, 0, 0, 0; replaces any value in the arrays.

    Raises:
        ValueError: an array has intensities, several values for one reflection, or no unit cell or space group.
    """

    def __init__(
        self,
        amplitudes: miller.array | Sequence[miller.array],
        default_amplitude: float = 0.0,
        F000: float = 0.0,
    ) -> None:
        channels = [amplitudes] if isinstance(amplitudes, miller.array) else list(amplitudes)
        self.channels = tuple(_p1_channels(channels))
        self.default_amplitude = float(default_amplitude)
        self.F000 = float(F000)

    def __getstate__(self) -> dict:
        return {name: value for name, value in self.__dict__.items() if name != "on_device"}

    @cached_property
    def on_device(self) -> ext.StructureFactors:
        """The core's structure factors, sent to the device on first use."""
        return ext.StructureFactors(
            channels=[(channel.indices(), channel.data()) for channel in self.channels],
            default_amplitude=self.default_amplitude,
            F000=self.F000,
        )


def _p1_channels(channels: list[miller.array]) -> Iterator[miller.array]:
    """Returns the amplitudes of each channel on the P1 lattice."""
    last = None
    for array in map(_amplitudes, channels):
        # Channels that have the same reflections, as they usually do, are expanded in the same way.
        if last is None or not _same_reflections(array, last):
            p1_set, origin = expansion(array)
        last = array
        yield p1_set.array(array.data().select(origin))


def _amplitudes(array: miller.array) -> miller.array:
    if array.unit_cell() is None or array.space_group() is None:
        raise ValueError("structure factors must come with a unit cell and a space group")
    if array.is_xray_intensity_array():
        raise ValueError("structure factors must be amplitudes, not intensities")
    if array.is_complex_array():
        array = array.amplitudes()
    if not array.is_real_array():
        raise ValueError("structure factors must be real amplitudes or complex values")
    return array.customized_copy(sigmas=None).as_double()


def _same_reflections(one: miller.set, other: miller.set) -> bool:
    return (
        one.is_identical_symmetry(other)
        and one.anomalous_flag() == other.anomalous_flag()
        and one.indices().size() == other.indices().size()
        and one.indices().all_eq(other.indices())
    )


def expansion(reflections: miller.set) -> tuple[miller.set, flex.size_t]:
    """Returns the reflections on the P1 lattice, and for each of them the number of that from which it comes."""
    on_lattice = reflections.space_group().order_z() == 1 and reflections.anomalous_flag()
    if not (_all_differ(reflections.indices()) if on_lattice else reflections.is_unique_set_under_symmetry()):
        raise ValueError("structure factors hold several values for one reflection: merge them first")
    if on_lattice:
        return reflections.set(), flex.size_t_range(reflections.size())
    numbered = reflections.set().array(flex.double_range(reflections.size()))
    if not numbered.anomalous_flag():
        numbered = numbered.generate_bijvoet_mates()
    numbered = numbered.expand_to_p1()
    return numbered.set(), numbered.data().iround().as_size_t()


def integers(indices: flex.miller_index) -> np.ndarray:
    """Returns Miller indices as an array (n, 3)."""
    return np.rint(indices.as_vec3_double().as_double().as_numpy_array()).astype(int).reshape(-1, 3)


def _all_differ(indices: flex.miller_index) -> bool:
    hkl = integers(indices)
    if not len(hkl):
        return True
    low, high = hkl.min(axis=0), hkl.max(axis=0)
    return len(np.unique(np.ravel_multi_index(tuple((hkl - low).T), tuple(high - low + 1)))) == len(hkl)
