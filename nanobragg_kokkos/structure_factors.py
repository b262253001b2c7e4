"""Structure factor amplitudes, from cctbx Miller arrays to the P1 lattice that the kernels read."""

from __future__ import annotations

from functools import cached_property
from typing import Sequence

from cctbx import miller

from nanobragg_kokkos.extension import ext


class StructureFactors:
    """Amplitudes of all reflections, in one or several channels.

    Args:
        amplitudes: cctbx Miller array of amplitudes (or of complex structure factors, whose absolute value counts), in any
            space group, with Bijvoet mates or without; or a list of them, one a channel.  Expanded to P1 here.
        default_amplitude: of every reflection that is not given, those that a centred lattice forbids included.
        F000: of the direct beam, 0, 0, 0; a value that the array may have for it does not count.

    Raises:
        ValueError: intensities, several values for one reflection, or no unit cell or space group.
    """

    def __init__(
        self,
        amplitudes: miller.array | Sequence[miller.array],
        default_amplitude: float = 0.0,
        F000: float = 0.0,
    ) -> None:
        channels = [amplitudes] if isinstance(amplitudes, miller.array) else list(amplitudes)
        self.channels = tuple(_p1_amplitudes(channel) for channel in channels)
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


def _p1_amplitudes(array: miller.array) -> miller.array:
    if array.unit_cell() is None or array.space_group() is None:
        raise ValueError("structure factors must come with a unit cell and a space group")
    if array.is_xray_intensity_array():
        raise ValueError("structure factors must be amplitudes, not intensities")
    if array.is_complex_array():
        array = array.amplitudes()
    if not array.is_real_array():
        raise ValueError("structure factors must be real amplitudes or complex values")
    if not array.is_unique_set_under_symmetry():
        raise ValueError("structure factors hold several values for one reflection: merge them first")
    array = array.customized_copy(sigmas=None)
    if not array.anomalous_flag():
        array = array.generate_bijvoet_mates()
    return array.expand_to_p1().as_double()
