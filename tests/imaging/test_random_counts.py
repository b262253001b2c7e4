"""The random numbers of the detector's response: as its documentation says, and distributed as they should be.

The draws are the same in every run.  The bounds allow for the number of checks: right numbers pass with nearly any
seeds.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from helpers.counting import (
    CALIBRATION,
    FLICKER,
    PHOTONS,
    READOUT,
    chi_square,
    correlations,
    counts,
    dark_simulation,
    deviates,
    deviates_readout,
    drawn,
    flat,
    lit_simulation,
    normal_deviates,
    numbers_in_bins,
    philox,
    poisson_bins,
    poisson_tails,
    rare,
    readout,
    uniform,
)
from scipy import special, stats

# On either side of where the method changes, whole numbers, which have no rest, and the smallest and the largest of
# rests.
MEANS = (
    1e-4,
    1e-3,
    0.1,
    0.5,
    0.999999,
    1,
    1.5,
    2,
    9.99,
    37.5,
    100,
    127,
    127.5,
    127.999,
    128,
    128.001,
    150.3,
    1000.5,
    1e5,
    1e7,
    1e9,
)
SEEDS = (0, 1, 2, 2**32, 2**63 + 12345)
DRAWS = 10**6  # of each mean and seed
UNLIKELY = 1e-4  # what the probability of a result, or of a worse one, must not fall below
SQUARE = (1000, 1000)


def uniform_p_value(p_values) -> float:
    """Of Kolmogorov and Smirnov's test that p-values are what they should be."""
    return stats.kstest(p_values, "uniform").pvalue


def drawn_by_mean(means=MEANS, seeds=SEEDS, shape=SQUARE):
    """The counts of each mean, each in an image of its own, and for every seed."""
    simulation = dark_simulation(shape)
    for image, mean in enumerate(means):
        simulation.clear()
        simulation.add_photons([np.full(shape, mean)])
        yield mean, drawn(readout(simulation), seeds, image)


@cache
def poisson_summaries() -> dict[float, dict]:
    """Of each mean: p-values and moments seed by seed, and the tails and p-value of all seeds together."""
    summaries = {}
    for mean, draws in drawn_by_mean():
        begin, probability = poisson_bins(mean, DRAWS)
        tails = [(mean - k * mean**0.5, mean + k * mean**0.5) for k in (3, 4, 5)]
        binned, moments, outside = [], [], np.zeros((3, 2), int)
        for counted in draws:
            binned.append(numbers_in_bins(counted, begin))
            difference = counted - mean
            moments.append((difference.mean(), (difference**2).mean()))
            outside += [[np.count_nonzero(counted < low), np.count_nonzero(counted > high)] for low, high in tails]
        summaries[mean] = {
            "p": [chi_square(numbers, probability) for numbers in binned],
            "p together": chi_square(np.sum(binned, axis=0), probability),
            "mean": [m / (mean / DRAWS) ** 0.5 for m, _ in moments],
            "variance": [(v - mean) / ((2 * mean**2 + mean) / DRAWS) ** 0.5 for _, v in moments],
            "tails": outside,
            "expected tails": len(SEEDS) * DRAWS * np.array([poisson_tails(mean, low, high) for low, high in tails]),
        }
    return summaries


class TestPoisson:
    @pytest.mark.parametrize("mean", MEANS)
    def test_numbers_of_a_mean(self, mean):
        found = poisson_summaries()[mean]
        assert min(found["p"]) > UNLIKELY
        assert found["p together"] > UNLIKELY
        assert max(map(abs, found["mean"])) < 4.3  # of some 200 standard errors
        assert max(map(abs, found["variance"])) < 4.3

    def test_p_values_are_uniform(self):
        found = poisson_summaries().values()
        assert uniform_p_value([p for one in found for p in one["p"]]) > UNLIKELY
        for moment in ("mean", "variance"):
            assert stats.kstest([z for one in found for z in one[moment]], "norm").pvalue > UNLIKELY

    @pytest.mark.parametrize("k, sigma", enumerate((3, 4, 5)))
    def test_tails(self, k, sigma):
        found = [one for mean, one in poisson_summaries().items() if mean >= 1]
        for side in (0, 1):
            got, want = ([one[name][k][side] for one in found] for name in ("tails", "expected tails"))
            assert rare(sum(got), sum(want)) > UNLIKELY, f"{got} beyond {sigma} standard deviations, expected {want}"
            assert min(map(rare, got, want)) > UNLIKELY

    def test_rare_photons(self):
        n, images = 2000 * 2000, 5
        simulation = dark_simulation((2000, 2000))
        p_values = []
        for mean in (1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4):
            simulation.clear()
            simulation.add_photons([np.full((2000, 2000), mean)])
            read = readout(simulation, dtype=np.uint16, saturation=1000)
            found = np.zeros(4, int)
            for image in range(images):
                counted = read.start(5, image).panels()[0].ravel()
                some = counted[np.flatnonzero(counted)]
                found += np.bincount(some, minlength=4)
            for events in (1, 2, 3):
                p_values.append(rare(found[events:].sum(), n * images * stats.poisson.sf(events - 1, mean)))
        assert min(p_values) > UNLIKELY, p_values

    def test_pixels_of_different_means_side_by_side(self):
        # Vector code takes many pixels at once; what one of them needs must not disturb the others.
        expected = np.tile([1e-3, 0.7, 3.2, 127.99, 128.0, 5e4, 0.0, 1e9, 20.5, 0.999], 100_000)
        counted = counts(expected.reshape(SQUARE), seed=9).ravel()
        for mean in np.unique(expected[:10]):
            numbers = counted[expected == mean]
            if mean == 0:
                assert not numbers.any()
                continue
            begin, probability = poisson_bins(mean, numbers.size)
            assert chi_square(numbers_in_bins(numbers, begin), probability) > UNLIKELY, mean


@cache
def normal_numbers() -> tuple[np.ndarray, ...]:
    """10^6 deviates of each of some seeds."""
    read = deviates_readout(SQUARE)
    return tuple(deviates(read, seed, image=3) for seed in SEEDS)


def anderson_darling(u: np.ndarray) -> float:
    """A^2 of what should be uniform; above 6.0 in one of 1000 cases (Marsaglia & Marsaglia, J. Stat. Softw. 9(2) (2004))."""
    u = np.sort(u)
    i = np.arange(1, u.size + 1)
    return -u.size - np.mean((2 * i - 1) * (np.log(u) + np.log1p(-u[::-1])))


class TestNormal:
    def test_distribution(self):
        p_values = []
        for numbers in normal_numbers():
            p_values.append(stats.kstest(numbers, "norm").pvalue)
            assert anderson_darling(special.ndtr(numbers)) < 6
        assert min(p_values) > UNLIKELY and uniform_p_value(p_values) > UNLIKELY, p_values

    def test_moments(self):
        for numbers in normal_numbers():
            n = numbers.size
            squares = numbers**2
            assert abs(numbers.mean()) < 4 / n**0.5
            assert abs(squares.mean() - 1) < 4 * (2 / n) ** 0.5
            assert abs((numbers * squares).mean()) < 4 * (15 / n) ** 0.5
            assert abs((squares**2).mean() - 3) < 4 * (96 / n) ** 0.5

    @pytest.mark.parametrize("sigma", [3, 4, 5])
    def test_tails(self, sigma):
        expected = len(SEEDS) * DRAWS * stats.norm.sf(sigma)
        for sign in (-1, 1):
            assert (
                rare(sum(np.count_nonzero(sign * numbers > sigma) for numbers in normal_numbers()), expected) > UNLIKELY
            )

    def test_rounded_to_few_counts(self):
        sigma, offset = 1.3, 20.3
        (counted,) = drawn(
            readout(dark_simulation(SQUARE), photon_noise=False, readout_noise=sigma, adc_offset=offset), [4], 0
        )
        begin = np.arange(16, 26)
        probability = np.diff(special.ndtr(np.concatenate([[-np.inf], (begin - 0.5 - offset) / sigma, [np.inf]])))
        assert chi_square(numbers_in_bins(counted, begin), probability) > UNLIKELY

    def test_two_of_one_block_are_independent(self):
        # Of each group of 64 pixels, number k and k + 32 have the bits of one block.
        for numbers in normal_numbers()[:2]:
            groups = numbers[: numbers.size // 64 * 64].reshape(-1, 2, 32)
            x, y = groups[:, 0].ravel(), groups[:, 1].ravel()
            n = x.size
            for f in (lambda v: v, np.abs, np.square, lambda v: v**3):
                assert abs(np.corrcoef(f(x), f(y))[0, 1]) < 4 / n**0.5
            turns = np.arctan2(y, x) / (2 * np.pi) + 0.5
            length = np.exp(-0.5 * (x**2 + y**2))
            assert stats.kstest(turns, "uniform").pvalue > UNLIKELY
            assert stats.kstest(length, "uniform").pvalue > UNLIKELY
            for one, other in ((turns, length), (special.ndtr(x), special.ndtr(y))):
                cells, _, _ = np.histogram2d(one, other, bins=25, range=[[0, 1], [0, 1]])
                assert chi_square(cells.ravel(), np.full(625, 1 / 625)) > UNLIKELY


def check_uncorrelated(one: np.ndarray, other: np.ndarray | None = None) -> None:
    """With all that follow in the same row of numbers, or in the other one at any distance."""
    every = correlations(one.astype(float), None if other is None else other.astype(float))
    assert np.abs(every).max() < 5.9, f"{np.abs(every).argmax()} apart"  # 1 of 280 million
    assert stats.kstest(every, "norm").pvalue > UNLIKELY
    # Neighbours along either axis, pixels that share a block, blocks of pixels that are taken together
    width = SQUARE[1]
    near = np.array([1, 2, 3, 4, 8, 16, 31, 32, 33, 63, 64, 65, 96, 128, 1023, 1024, 1025, width - 1, width, width + 1])
    near = every[near - 1] if other is None else np.append(every[near], every[0])
    assert np.abs(near).max() < 4, near


class TestIndependence:
    @pytest.mark.parametrize("mean", [0.3, 0.8, 45.6, 300.0])
    def test_photons_of_pixels(self, mean):
        (counted,) = drawn(readout(lit_simulation(np.full(SQUARE, mean))), [21], 0)
        check_uncorrelated(counted)

    def test_noise_of_pixels(self):
        check_uncorrelated(normal_numbers()[0])
        check_uncorrelated(normal_numbers()[1] ** 2)

    @pytest.mark.parametrize("mean", [0.3, 1.2, 4.5])
    def test_pairs_of_small_numbers(self, mean):
        begin, probability = poisson_bins(mean, 3000)  # 10 of a million pairs in each two bins
        together = np.outer(probability, probability).ravel()
        counted = {
            (seed, image): flat(read.start(seed, image).panels())
            for read in [readout(lit_simulation(*[np.full(SQUARE, mean)] * 2))]
            for seed, image in ((1, 0), (1, 1), (2, 0))
        }
        first, here = counted[1, 0], slice(0, 10**6)
        pairs = [(first[here][:-lag], first[here][lag:]) for lag in (1, 32, 64, 1000)]
        pairs += [(first, counted[1, 1]), (first, counted[2, 0]), (first[here], first[10**6 :])]
        p_values = []
        for one, other in pairs:
            cells = np.searchsorted(begin, one, "right") * probability.size + np.searchsorted(begin, other, "right")
            p_values.append(chi_square(np.bincount(cells, minlength=together.size), together))
        assert min(p_values) > UNLIKELY, p_values

    @pytest.mark.parametrize("mean", [0.8, 45.6, None], ids=["0.8", "45.6", "noise"])
    def test_images_seeds_and_panels(self, mean):
        """Those whose numbers differ by one, or by one bit of either half."""
        if mean is None:
            read = deviates_readout(SQUARE, SQUARE)
        else:
            read = readout(lit_simulation(*[np.full(SQUARE, mean)] * 2))
        first, second_panel = (panel.ravel() for panel in read.start(3, 1).panels())
        check_uncorrelated(first, second_panel)
        for seed, image in ((3, 0), (3, 2), (2, 1), (1, 3), (3 + 2**32, 1), (3, 1 + 2**31)):
            check_uncorrelated(first, read.start(seed, image).panels()[0].ravel())

    def test_what_they_are_drawn_for(self):
        # With all that they are keyed by the same
        seed, image = 8, 0
        simulation = lit_simulation(np.full(SQUARE, 1e6))
        photons = flat(readout(simulation).start(seed, image).panels())
        calibration = flat(
            readout(simulation, photon_noise=False, calibration_noise=0.1, calibration_seed=seed).start(1, 1).panels()
        )
        noise = deviates(deviates_readout(SQUARE), seed, image)
        for one, other in (
            (photons, calibration),
            (photons, noise),
            (calibration, noise),
            (calibration**2.0, noise**2),
        ):
            check_uncorrelated(one, other)


def transformed_rejection(mean: np.ndarray, panel: int, image: int, seed: int) -> np.ndarray:
    """Poisson numbers of a panel's pixels by Hörmann's PTRS, without his shortcuts and with an envelope higher by 0.002."""
    numbers = np.full(mean.size, -1)
    left, attempt = np.arange(mean.size), 0
    while left.size:
        u, v = (uniform(bits) for bits in philox(left, panel, image, PHOTONS, attempt, seed))
        b = 0.931 + 2.53 * mean[left] ** 0.5
        a = -0.059 + 0.02483 * b
        from_edge = 0.5 - np.abs(u - 0.5)
        k = np.floor((2 * a / from_edge + b) * (u - 0.5) + mean[left] + 0.43)
        threshold = stats.poisson.logpmf(np.maximum(k, 0), mean[left])
        accepted = np.log(1.002 * v * (1.1239 + 1.1328 / (b - 3.4)) / (a / from_edge**2 + b)) <= threshold
        numbers[left[accepted]] = k[accepted]
        left, attempt = left[~accepted], attempt + 1
    return numbers


class TestKnownAnswers:
    """Counts from the documented generator, keys and methods, by NumPy."""

    SHAPES = ((37, 131), (5, 7), (70, 64))  # of which most are no whole number of groups of 64
    SEED, IMAGE = 0x123456789ABCDEF0, 0xFEDCBA98

    def by_panel(self, seed: int = SEED, image: int = IMAGE, means=None, **options):
        """Counts of the panels, each in a row, with the panel's number."""
        panels = [
            np.full(shape, 0.0) if means is None else means[: shape[0] * shape[1]].reshape(shape)
            for shape in self.SHAPES
        ]
        return enumerate(panel.ravel() for panel in counts(panels, seed, image, **options))

    def test_philox(self):
        # The answers that come with Random123, the library of its authors
        def words(counter, key):
            pixel, panel, image, last = counter
            low, high = philox(pixel, panel, image, last >> 24, last & 0xFFFFFF, key)
            return [int(bits) >> shift & 0xFFFFFFFF for bits in (low, high) for shift in (0, 32)]

        ones = 0xFFFFFFFF
        assert words((0, 0, 0, 0), 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
        assert words((ones, ones, ones, ones), ones << 32 | ones) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
        assert words((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), 0x299F31D0A4093822) == [
            0xD16CFE09,
            0x94FDCCEB,
            0x5001E420,
            0x24126EA1,
        ]

    @pytest.mark.parametrize("seed, image", [(SEED, IMAGE), (0, 0), (2**64 - 1, 2**32 - 1)])
    def test_less_than_one_photon_by_inversion(self, seed, image):
        means = np.geomspace(1e-4, 0.9999, 37 * 131)
        some = 0
        for panel, counted in self.by_panel(seed, image, means):
            _, high = philox(np.arange(counted.size), panel, image, PHOTONS, 0, seed)
            mean = means[: counted.size]
            wanted = sum(uniform(high) < stats.poisson.sf(k, mean) for k in range(12))
            np.testing.assert_array_equal(counted, wanted)
            some += np.count_nonzero(counted)
        assert some > 500

    def test_rare_photons_by_inversion(self):
        n = 2_000_000
        for image, mean in enumerate((1e-9, 1e-7, 1e-6, 3e-5)):
            counted = counts(np.full((1000, 2000), mean), seed=6, image=image).ravel()
            _, high = philox(np.arange(n), 0, image, PHOTONS, 0, 6)
            np.testing.assert_array_equal(counted, uniform(high) < -np.expm1(-mean))

    @pytest.mark.parametrize("mean", [3.0, 12.7, 127.999])
    def test_fewer_than_128_photons_are_a_sum(self, mean):
        """Of the Poisson numbers of the whole part and of the rest."""
        whole = dict(self.by_panel(means=np.full(37 * 131, np.floor(mean))))
        rest = mean - np.floor(mean)
        for panel, counted in self.by_panel(means=np.full(37 * 131, mean)):
            _, high = philox(np.arange(counted.size), panel, self.IMAGE, PHOTONS, 0, self.SEED)
            more = sum(uniform(high) < stats.poisson.sf(k, rest) for k in range(12)) if rest else 0
            np.testing.assert_array_equal(counted, whole[panel] + more)

    def test_many_photons_by_transformed_rejection(self):
        means = np.geomspace(128, 1e8, 37 * 131)
        for panel, counted in self.by_panel(means=means):
            wanted = transformed_rejection(means[: counted.size], panel, self.IMAGE, self.SEED)
            np.testing.assert_array_equal(counted, wanted)

    def test_just_enough_photons_for_transformed_rejection(self):
        # Here the terms of Stirling's series count most, and so many numbers show errors of some 1e-6 in probability.
        means = np.linspace(128, 200, 10**6)
        np.testing.assert_array_equal(
            counts(means.reshape(SQUARE), 5, 1).ravel(), transformed_rejection(means, 0, 1, 5)
        )

    @pytest.mark.parametrize("seed, image", [(SEED, IMAGE), (0, 0), (2**64 - 1, 2**32 - 1)])
    def test_readout_noise(self, seed, image):
        for panel, counted in self.by_panel(seed, image, photon_noise=False, readout_noise=1e8, adc_offset=1e9):
            expected = normal_deviates(counted.size, panel, image, READOUT, seed)
            np.testing.assert_allclose((counted - 1e9) / 1e8, expected, rtol=0, atol=1e-8)

    @pytest.mark.parametrize("calibration_seed", [0, SEED])
    def test_calibration(self, calibration_seed):
        options = dict(photon_noise=False, calibration_noise=0.01, calibration_seed=calibration_seed)
        for panel, counted in self.by_panel(means=np.full(37 * 131, 1e9), **options):
            expected = 1 + 0.01 * normal_deviates(counted.size, panel, 0, CALIBRATION, calibration_seed)
            np.testing.assert_allclose(counted / 1e9, expected, rtol=0, atol=1e-9)

    def test_flicker(self):
        simulation = lit_simulation(np.full((2, 3), 1e9), np.full((1, 1), 1e9))
        read = readout(simulation, photon_noise=False, flicker=0.01)
        for seed, image in ((self.SEED, self.IMAGE), (0, 0), (0, 1), (2**64 - 1, 2**32 - 1)):
            expected = 1 + 0.01 * normal_deviates(1, 0, image, FLICKER, seed)[0]
            for panel in read.start(seed, image).panels():
                np.testing.assert_allclose(panel / 1e9, expected, rtol=0, atol=1e-9)
