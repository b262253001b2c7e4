"""Makes counts of the images of a simulation on the device; only the counts are copied to the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scitbx.array_family import flex

from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.imaging.simulation import Simulation, flat_mask
from nanobragg_kokkos.models.detector.counts import HIGHEST_SATURATION, MASKED
from nanobragg_kokkos.models.detector.response import DetectorResponse, random_seed
from nanobragg_kokkos.util.argument_checks import finite, whole


class Counts:
    """The counts of an image, which may still be on their way to the host."""

    def __init__(self, counts: ext.Counts, shapes: Sequence[tuple[int, int]]) -> None:
        self._counts = counts
        self._shapes = shapes

    def panels(self) -> tuple[np.ndarray, ...]:
        """Returns a read-only array (slow, fast) for each panel, all of them views of one buffer, one after the other.

        Waits until they are there.  The buffer is used for another image once nobody refers to the arrays or to this.
        """
        pixels = np.asarray(self._counts.on_host())
        pixels.flags.writeable = False
        panels, start = [], 0
        for slow, fast in self._shapes:
            panels.append(pixels[start : start + slow * fast].reshape(slow, fast))
            start += slow * fast
        return tuple(panels)


class Readout:
    """Reads out the images of a simulation, any number of times, with the response of one detector.

    Counts are rounded to whole numbers. A count below 0 reads 0, and one above the saturation reads one more than that.

    The random numbers are Philox 4x32-10 (Salmon et al., SC11 (2011)), keyed by seed, image, panel and pixel: every
    device, number of threads or ranks, and order gives the same images.

    Args:
        simulation: holds the image to read when start is called.
        response: response of its detector.
        saturation: highest valid count, ADU.
        dtype: type of the counts, np.int32 or np.uint16.
        mask: a bool array (slow, fast), NumPy or flex, for each panel; pixels where it is False read -1 (np.int32) or
            65535 (np.uint16).

    Raises:
        ValueError: another dtype, a saturation that it cannot hold, or masks of the wrong shape.
    """

    def __init__(
        self,
        simulation: Simulation,
        response: DetectorResponse,
        *,
        saturation: float,
        dtype: np.dtype | type = np.int32,
        mask: Sequence[np.ndarray] | None = None,
    ) -> None:
        try:
            kind: np.dtype | None = np.dtype(dtype)
        except TypeError:
            kind = None
        if kind is None or kind not in MASKED:
            raise ValueError(f"dtype of a readout must be int32 or uint16, not {kind or dtype}")
        self.dtype = kind
        self.response = response
        self.saturation = finite("saturation", saturation, least=0)
        if self.saturation > HIGHEST_SATURATION[self.dtype]:
            raise ValueError(
                f"saturation of {self.dtype} counts must be {HIGHEST_SATURATION[self.dtype]} or less, "
                f"not {saturation!r}"
            )
        self._simulation = simulation
        spread = response.point_spread
        self._readout = ext.Readout(
            workspace=simulation._workspace,
            detector=simulation._detector,
            photon_noise=bool(response.photon_noise),
            flicker=float(response.flicker),
            calibration_noise=float(response.calibration_noise),
            calibration_seed=int(response.calibration_seed),
            point_spread=None if spread is None else spread.on_device(),
            quantum_gain=float(response.quantum_gain),
            readout_noise=float(response.readout_noise),
            adc_offset=float(response.adc_offset),
            type=str(self.dtype),
            saturation=self.saturation,
            mask=flex.bool() if mask is None else flat_mask(mask, simulation.shapes),
        )

    def start(self, seed: int, image: int) -> Counts:
        """Starts to make counts of the photons that the simulation holds now, and returns them.

        When this returns, the simulation may change, while the counts may still be on their way. Two images may be on
        their way at a time: a third one waits for the first.

        Args:
            seed: seed of the random numbers, 0 to 2⁶⁴ − 1.
            image: number of the image, 0 to 2³² − 1; each has its own random numbers.

        Raises:
            ValueError: a number is out of range.
        """
        if whole("image", image, least=0) >= 2**32:
            raise ValueError(f"image must be less than 2**32, not {image!r}")
        simulation = self._simulation
        counts = self._readout.start(simulation._workspace, simulation._image, random_seed("seed", seed), int(image))
        return Counts(counts, simulation.shapes)
