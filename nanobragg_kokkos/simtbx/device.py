"""simtbx's class gpu_instance: the device that the kernels run on."""

from __future__ import annotations

import os

from nanobragg_kokkos.simtbx import accumulated, gathering
from nanobragg_kokkos.simtbx.properties import integer


class gpu_instance:
    """Chooses a device; Kokkos starts with the first image and ends with the interpreter.

    Args:
        deviceId: number of the GPU; ignored if something was computed before or the variable KOKKOS_DEVICE_ID is set.
            Negative: Kokkos chooses.
    """

    def __init__(self, deviceId: int = -1) -> None:
        self._device = integer("deviceId", deviceId)
        if self._device >= 0:
            os.environ.setdefault("KOKKOS_DEVICE_ID", str(self._device))

    def get_deviceID(self) -> int:
        """Returns the deviceId given to the constructor."""
        return self._device

    def finalize_kokkos(self) -> None:
        """Releases the detectors and images that are kept on the device; Kokkos itself continues."""
        gathering.release()
        accumulated.release()
