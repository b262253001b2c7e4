"""What the tests of the detector's response share: dark simulations, their counts, random numbers by NumPy, distributions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from dxtbx.model import Detector
from helpers.small_models import small_beam
from scipy import special, stats

from nanobragg_kokkos import DetectorResponse, Readout, Simulation, Sources

FLICKER, PHOTONS, CALIBRATION, READOUT = 1, 2, 3, 4  # what numbers are drawn for


def dark_simulation(*shapes: tuple[int, int], pixel_mm: tuple[float, float] = (0.1, 0.1)) -> Simulation:
    """Of a detector with panels of these shapes (slow, fast) and pixels of these sides (fast, slow), one behind the other."""
    detector = Detector()
    for i, (slow, fast) in enumerate(shapes):
        panel = detector.add_panel()
        panel.set_pixel_size(pixel_mm)
        panel.set_image_size((fast, slow))
        panel.set_frame((1, 0, 0), (0, -1, 0), (-fast * pixel_mm[0] / 2, slow * pixel_mm[1] / 2, -100.0 - i))
    return Simulation(detector, Sources.from_beam(small_beam()), fluence=1)


def lit_simulation(*panels: np.ndarray, **options) -> Simulation:
    """With these expected photons (slow, fast) of each panel."""
    simulation = dark_simulation(*(np.shape(panel) for panel in panels), **options)
    simulation.add_photons(panels)
    return simulation


def readout(simulation: Simulation, *, saturation: float = 2**31 - 2, dtype=np.int32, mask=None, **response) -> Readout:
    return Readout(simulation, DetectorResponse(**response), saturation=saturation, dtype=dtype, mask=mask)


def counts(
    panels: Sequence[np.ndarray] | np.ndarray, seed: int = 1, image: int = 0, **options
) -> tuple[np.ndarray, ...] | np.ndarray:
    """Of the expected photons of one panel, an array, or of each of several."""
    several = not isinstance(panels, np.ndarray)
    read = readout(lit_simulation(*(panels if several else [panels])), **options).start(seed, image).panels()
    return read if several else read[0]


def deviates(read: Readout, seed: int, image: int) -> np.ndarray:
    """The normal deviates of a readout that deviates_readout has made, in a row."""
    return (np.concatenate([panel.ravel() for panel in read.start(seed, image).panels()]) - 1e9) * 1e-8


def deviates_readout(*shapes: tuple[int, int]) -> Readout:
    """Of dark panels, with nothing but readout noise of 10^8 ADU: it takes 10.7 standard deviations to leave the range."""
    return readout(dark_simulation(*shapes), photon_noise=False, readout_noise=1e8, adc_offset=1e9)


def philox(pixel, panel, image, purpose: int, attempt, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Philox 4x32-10 (Salmon et al., SC11 (2011)) as the response uses it: the low and the high 64 of its 128 bits."""
    word = [np.asarray(w, np.uint64) for w in (pixel, panel, image, purpose << 24 | np.asarray(attempt, np.int64))]
    low32, shift = np.uint64(0xFFFFFFFF), np.uint64(32)
    for i in range(10):
        key = [np.uint64((seed + i * 0x9E3779B9) & 0xFFFFFFFF), np.uint64(((seed >> 32) + i * 0xBB67AE85) & 0xFFFFFFFF)]
        a, b = np.uint64(0xD2511F53) * word[0], np.uint64(0xCD9E8D57) * word[2]
        word = [b >> shift ^ word[1] ^ key[0], b & low32, a >> shift ^ word[3] ^ key[1], a & low32]
    return word[0] | word[1] << shift, word[2] | word[3] << shift


def uniform(bits: np.ndarray) -> np.ndarray:
    """In the middle of 2^64 equal parts of 0 to 1, rounded."""
    return np.ldexp(bits.astype(float), -64) + 2.0**-65


def normal_deviates(n_pixels: int, panel: int, image: int, purpose: int, seed: int) -> np.ndarray:
    """Of the pixels of a panel, by Box and Muller: in groups of 64, of which two that are 32 apart share the bits of the first."""
    pixel = np.arange(n_pixels)
    first = pixel % 64 < 32
    u, v = (uniform(bits) for bits in philox(np.where(first, pixel, pixel - 32), panel, image, purpose, 0, seed))
    return -np.sqrt(-2 * np.log(u)) * np.where(first, np.cos(2 * np.pi * v), np.sin(2 * np.pi * v))


def poisson_bins(mean: float, draws: int) -> tuple[np.ndarray, np.ndarray]:
    """Numbers at which bins of the Poisson distribution begin, after the first, and the bins' probabilities, 10 / draws at least."""
    begin = np.unique(stats.poisson.ppf(special.expit(np.linspace(-14, 14, 225)), mean))
    below, above = np.append(stats.poisson.cdf(begin - 1, mean), 1), np.append(0, stats.poisson.sf(begin - 1, mean))
    kept = [0.0]  # probabilities of less than the numbers at which the bins begin
    begins = []
    for number, less, more in zip(begin, below, above[1:]):
        if (less - kept[-1]) * draws >= 10 and more * draws >= 10:
            kept.append(less)
            begins.append(number)
    return np.array(begins), np.diff(np.append(kept, 1))


def numbers_in_bins(draws: np.ndarray, begin: np.ndarray) -> np.ndarray:
    """How many of these whole numbers are in each of the bins that begin at these, after the first."""
    least = int(draws.min())
    below = np.concatenate([[0], np.cumsum(np.bincount(draws.ravel() - least))])
    at = below[np.clip(begin - least, 0, len(below) - 1).astype(int)]
    return np.diff(np.concatenate([[0], at, [draws.size]]))


def chi_square(observed: np.ndarray, probability: np.ndarray) -> float:
    """The probability of a larger chi-square."""
    expected = observed.sum() * probability
    assert expected.min() >= 9.99 and np.isclose(probability.sum(), 1)
    return float(stats.chi2.sf(((observed - expected) ** 2 / expected).sum(), observed.size - 1))


def poisson_tails(mean: float, low: float, high: float) -> tuple[float, float]:
    """The probabilities of less than low and of more than high: summed up, as SciPy's functions err far out for large means."""
    far = int(6 + 6 * mean**0.5)
    below = np.arange(max(0, int(np.ceil(low)) - far), int(np.ceil(low)))
    above = int(np.floor(high)) + 1 + np.arange(far)
    return float(stats.poisson.pmf(below, mean).sum()), float(stats.poisson.pmf(above, mean).sum())


def rare(observed: int, expected: float) -> float:
    """The probability of as many events or more, or, if that is less, twice the smaller of this and of as many or fewer."""
    return float(min(1.0, 2 * min(stats.poisson.sf(observed - 1, expected), stats.poisson.cdf(observed, expected))))


def correlations(one: np.ndarray, other: np.ndarray | None = None) -> np.ndarray:
    """Correlation coefficients of the numbers in a row with those of another row, or of the same, so many places on.

    All there are, in standard errors.
    """
    n = one.size
    a = np.fft.rfft((one - one.mean()) / one.std())
    b = a if other is None else np.fft.rfft((other - other.mean()) / other.std())
    every = np.fft.irfft(a.conj() * b, n) / np.sqrt(n)
    return every[1 : (n + 1) // 2] if other is None else every


def flat(panels: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([panel.ravel() for panel in panels])


def drawn(read: Readout, seeds: Sequence[int], image: int) -> Iterator[np.ndarray]:
    """The counts of one image, by seed."""
    for seed in seeds:
        yield flat(read.start(seed, image).panels())
