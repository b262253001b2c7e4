"""A detector's response: the steps from expected photons to counts."""

from __future__ import annotations

from dataclasses import dataclass

from nanobragg_kokkos.models.detector.point_spread import PointSpread
from nanobragg_kokkos.util.argument_checks import finite, whole


@dataclass(frozen=True)
class DetectorResponse:
    """The steps from expected photons to counts, in their order; 0 or None omits a step.

    The factors of flicker and calibration never fall below 0, however large their standard deviations are.

    Args:
        flicker: relative standard deviation of a factor that all pixels of an image share, the source's intensity.
        photon_noise: whether photons are counted with Poisson noise; if not, fractions of photons remain.
        calibration_noise: relative standard deviation of a separate factor for each pixel, the same in every image.
        calibration_seed: seed of these factors, 0 to 2⁶⁴ − 1.
        point_spread: spread of the photons over neighbouring pixels.
        quantum_gain: analog-digital units (ADU) per photon.
        readout_noise: standard deviation, ADU.
        adc_offset: ADU without photons.

    Raises:
        ValueError: a number is negative or not finite, or the gain is 0.
    """

    flicker: float = 0.0
    photon_noise: bool = True
    calibration_noise: float = 0.0
    calibration_seed: int = 0
    point_spread: PointSpread | None = None
    quantum_gain: float = 1.0
    readout_noise: float = 0.0
    adc_offset: float = 0.0

    def __post_init__(self) -> None:
        for name in ("flicker", "calibration_noise", "readout_noise", "adc_offset"):
            finite(name, getattr(self, name), least=0)
        finite("quantum_gain", self.quantum_gain, above=0)
        random_seed("calibration_seed", self.calibration_seed)


def random_seed(name: str, value: int) -> int:
    """Returns a seed of random numbers as an int.

    Raises:
        ValueError: the value is not a whole number, 0 to 2⁶⁴ − 1; names the argument.
    """
    if whole(name, value, least=0) >= 2**64:
        raise ValueError(f"{name} must be less than 2**64, not {value!r}")
    return int(value)
