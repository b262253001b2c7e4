"""From expected photons to counts: the steps and their order by hand, the same bits everywhere, errors that say what is wrong."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from helpers.counting import counts, dark_simulation, deviates, deviates_readout, flat, lit_simulation, readout
from helpers.small_models import small_beam, small_crystal, small_detector, small_structure_factors
from helpers.spread import blurred, kernel_of
from scipy import signal, stats
from scitbx.array_family import flex

from nanobragg_kokkos import Counts, DetectorResponse, PointSpread, Simulation, Sources, backend, water

SHAPE = (61, 83)  # no whole number of the groups and blocks that are taken together
BRIGHT = 3e8  # photons: factors show to 9 digits, and 7 times as many are no saturation
EVERYTHING = dict(
    flicker=0.1,
    calibration_noise=0.05,
    calibration_seed=5,
    quantum_gain=1.7,
    readout_noise=3.0,
    adc_offset=40.0,
)


def some_photons(shape=SHAPE, seed: int = 1, most: float = 1e4) -> np.ndarray:
    """Expected photons of pixels from dark to bright."""
    return np.random.default_rng(seed).random(shape) ** 8 * most


def calibration_of(calibration_noise: float, calibration_seed: int, shape=SHAPE) -> np.ndarray:
    """The factor of each pixel, from a bright image."""
    bright = np.full(shape, BRIGHT)
    return (
        counts(bright, photon_noise=False, calibration_noise=calibration_noise, calibration_seed=calibration_seed)
        / BRIGHT
    )


class TestSteps:
    def test_photons_come_first(self):
        expected = some_photons()
        photons = counts(expected)
        assert photons.dtype == np.int32 and photons.shape == SHAPE
        assert (
            stats.chi2.sf(
                ((photons - expected)[expected > 50] ** 2 / expected[expected > 50]).sum(), (expected > 50).sum()
            )
            > 1e-3
        )
        assert (photons != np.rint(expected)).mean() > 0.3

    def test_without_photon_noise_fractions_stay(self):
        expected = some_photons()
        got = counts(expected, photon_noise=False, quantum_gain=1000)
        np.testing.assert_array_equal(got, np.rint(expected * 1000))

    def test_gain_and_offset(self):
        expected = some_photons()
        got = counts(expected, quantum_gain=1.625, adc_offset=40.25)  # exact, with halves among them
        np.testing.assert_array_equal(got, np.rint(1.625 * counts(expected) + 40.25))

    def test_flicker_is_a_factor_of_an_image(self):
        read = readout(
            lit_simulation(np.full((7, 90), BRIGHT), np.full((3, 5), BRIGHT / 2)), photon_noise=False, flicker=0.05
        )
        factors = []
        for image in range(300):
            first, second = read.start(7, image).panels()
            assert (first == first[0, 0]).all() and (np.abs(second - first[0, 0] / 2) <= 0.5).all()
            factors.append(first[0, 0] / BRIGHT - 1)
        n, factors = len(factors), np.array(factors)
        assert abs(factors.mean()) < 3 * 0.05 / n**0.5
        assert abs(factors.std() / 0.05 - 1) < 3 / (2 * n) ** 0.5
        assert stats.kstest(factors / 0.05, "norm").pvalue > 0.01
        assert abs(np.corrcoef(factors[1:], factors[:-1])[0, 1]) < 3 / n**0.5

    def test_flicker_never_turns_light_negative(self):
        read = readout(lit_simulation(np.full((1, 1), 1e6)), photon_noise=False, flicker=2.0, adc_offset=100)
        values = np.array([read.start(1, image).panels()[0][0, 0] for image in range(300)])
        assert values.min() == 100
        assert abs((values == 100).mean() - stats.norm.cdf(-0.5)) < 3 * (0.21 / 300) ** 0.5

    def test_flicker_comes_before_the_photons_are_counted(self):
        read = readout(lit_simulation(np.full((400, 500), 20.0)), flicker=0.3)
        bright = readout(lit_simulation(np.full((1, 1), BRIGHT)), flicker=0.3, photon_noise=False)
        for image in range(5):
            photons = flat(read.start(3, image).panels())
            factor = bright.start(3, image).panels()[0][0, 0] / BRIGHT
            assert abs(photons.mean() - 20 * factor) < 4 * (20 * factor / photons.size) ** 0.5
            assert abs(photons.var() / (20 * factor) - 1) < 4 * (2 / photons.size) ** 0.5

    def test_calibration_is_a_factor_of_a_pixel(self):
        shapes = ((200, 333), (100, 200))
        simulation = lit_simulation(*(np.full(shape, BRIGHT) for shape in shapes))

        def factors(seed: int, image: int, **options) -> np.ndarray:
            options = {"calibration_noise": 0.03, "calibration_seed": 11, **options}
            return flat(readout(simulation, photon_noise=False, **options).start(seed, image).panels()) / BRIGHT - 1

        first = factors(1, 0)
        n = first.size
        assert abs(first.mean()) < 3 * 0.03 / n**0.5
        assert abs(first.std() / 0.03 - 1) < 3 / (2 * n) ** 0.5
        assert stats.kstest(first / 0.03, "norm").pvalue > 0.01
        for seed, image in ((1, 1), (2, 0), (11, 2**32 - 1)):
            np.testing.assert_array_equal(factors(seed, image), first)
        for calibration_seed in (0, 12, 11 + 2**32):
            other = factors(1, 0, calibration_seed=calibration_seed)
            assert abs(np.corrcoef(first, other)[0, 1]) < 4 / n**0.5
        np.testing.assert_allclose(factors(1, 0, calibration_noise=0.015), first / 2, rtol=0, atol=3e-9)

    def test_calibration_never_turns_light_negative(self):
        # Where a negative factor would show: beside other light, and under an offset
        factors = calibration_of(1.0, 3)
        got = counts(
            np.full(SHAPE, 1000.0), photon_noise=False, calibration_noise=1.0, calibration_seed=3, adc_offset=500
        )
        np.testing.assert_array_equal(got, np.rint(1000 * factors + 500))
        assert got.min() == 500 and abs((got == 500).mean() - stats.norm.cdf(-1)) < 0.02

    def test_calibration_comes_after_the_photons_are_counted(self):
        expected = some_photons()
        got = counts(expected, calibration_noise=0.05, calibration_seed=5, quantum_gain=1000)
        exact = 1000 * counts(expected) * calibration_of(0.05, 5)
        np.testing.assert_allclose(got, exact, rtol=1e-8, atol=0.51)

    def test_readout_noise_is_the_same_for_dark_and_bright(self):
        expected = some_photons()
        noise = deviates(deviates_readout(SHAPE), 4, 9).reshape(SHAPE)
        got = counts(expected, 4, 9, photon_noise=False, readout_noise=7.5, adc_offset=100, quantum_gain=0.7)
        np.testing.assert_allclose(got, 0.7 * expected + 100 + 7.5 * noise, rtol=0, atol=0.5 + 1e-6)

    @pytest.mark.parametrize(
        "spread", [None, PointSpread("gauss", 0.16, 4), PointSpread("fiber", 0.08, 6, "beyond_radius")]
    )
    def test_all_in_their_order(self, spread):
        expected, seed, image = some_photons(), 17, 23
        got = counts(expected, seed, image, point_spread=spread, **EVERYTHING)

        (flicker,) = counts(np.full((1, 1), BRIGHT), seed, image, photon_noise=False, flicker=0.1)[0] / BRIGHT
        photons = counts(expected * flicker, seed, image) * calibration_of(0.05, 5)
        if spread:
            photons = blurred(photons, spread)
        wanted = 1.7 * photons + 40 + 3 * deviates(deviates_readout(SHAPE), seed, image).reshape(SHAPE)
        np.testing.assert_allclose(got, np.maximum(wanted, 0), rtol=1e-8, atol=0.5001)
        clear = np.abs(wanted % 1 - 0.5) > 1e-3
        assert clear.mean() > 0.99
        np.testing.assert_array_equal(got[clear], np.maximum(np.rint(wanted), 0)[clear])

    def test_what_the_simulation_holds_does_not_change(self):
        expected = some_photons()
        simulation = lit_simulation(expected)
        for spread in (None, PointSpread("gauss", 0.16, 4)):
            readout(simulation, point_spread=spread, **EVERYTHING).start(1, 0).panels()
            np.testing.assert_array_equal(simulation.image[0], expected)


class TestRange:
    def test_counts_are_rounded_to_the_nearest(self):
        values = np.array(
            [[0.0, 0.49, 0.51, 1.49, 1.51, 2.4999999, 2.5000001, 1e6 + 0.49, 1e6 + 0.51, 2e9 + 0.49, 2e9 + 0.51]]
        )
        np.testing.assert_array_equal(counts(values, photon_noise=False), np.rint(values))

    def test_less_than_nothing_reads_0(self):
        got = counts(np.zeros(SHAPE), photon_noise=False, readout_noise=10.0)
        noise = deviates(deviates_readout(SHAPE), 1, 0).reshape(SHAPE)
        np.testing.assert_allclose(got, np.maximum(10 * noise, 0), rtol=0, atol=0.51)
        assert (got == 0).mean() > 0.4

    @pytest.mark.parametrize(
        "dtype, saturation, highest",
        [
            (np.int32, 65534, 65535),
            (np.int32, 2**31 - 2, 2**31 - 1),
            (np.int32, 99.7, 100),
            (np.int32, 0, 1),
            (np.uint16, 65533, 65534),
            (np.uint16, 1000, 1001),
            (np.uint16, 0.2, 1),
        ],
    )
    def test_brighter_than_the_saturation(self, dtype, saturation, highest):
        values = np.array(
            [[highest - 1.0, highest - 0.6, highest - 0.4, highest, highest + 0.6, 10.0 * highest, 1e15, 1e300, np.inf]]
        )
        got = counts(values, photon_noise=False, saturation=saturation, dtype=dtype)
        assert got.dtype == dtype
        assert got.tolist() == [[highest - 1] * 2 + [highest] * 7]
        noisy = counts(
            values, saturation=saturation, dtype=dtype, readout_noise=1.0, flicker=0.01, calibration_noise=0.01
        )
        assert noisy[0, -4:].tolist() == [highest] * 4

    @pytest.mark.parametrize("dtype, masked", [(np.int32, -1), (np.uint16, 65535)])
    @pytest.mark.parametrize("as_flex", [False, True])
    @pytest.mark.parametrize("spread", [None, PointSpread("gauss", 0.16, 4)])
    def test_masked_pixels(self, dtype, masked, as_flex, spread):
        panels = [some_photons(most=1e6), some_photons((7, 5))]
        masks = [np.random.default_rng(i).random(panel.shape) < 0.7 for i, panel in enumerate(panels)]
        options = dict(dtype=dtype, saturation=60000, point_spread=spread, **EVERYTHING)
        whole = counts(panels, **options)
        got = counts(panels, mask=[flex.bool(mask) for mask in masks] if as_flex else masks, **options)
        for with_mask, without, mask in zip(got, whole, masks):
            np.testing.assert_array_equal(with_mask, np.where(mask, without, masked))
        assert (whole[0] == 60001).any() and (whole[0] < 60001).any()

    @pytest.mark.parametrize("photon_noise", [True, False])
    def test_what_is_no_expected_number_counts_as_nothing(self, photon_noise):
        # Sums of a background and of what a Fourier transform leaves may come out below 0 by a rounding error.
        values = np.full(SHAPE, 12.3)
        wrong = np.array([np.nan, -1e-15, -0.0, 0.0, -3.0, -np.inf, 5e-324, -1e300])
        values.ravel()[: 8 * 600 : 600] = wrong
        options = dict(photon_noise=photon_noise, calibration_noise=0.1, flicker=0.1, adc_offset=7)
        got = counts(values, **options)
        assert got.ravel()[: 8 * 600 : 600].tolist() == [7] * 8
        beside = np.isfinite(values) & (values > 1)
        np.testing.assert_array_equal(got[beside], counts(np.full(SHAPE, 12.3), **options)[beside])

    def test_a_dark_image_without_noise(self):
        assert not counts(np.zeros(SHAPE)).any()
        assert (counts(np.zeros(SHAPE), adc_offset=39.6) == 40).all()


class TestEndToEnd:
    """Images of a crystal: mean and variance of each pixel from the expected photons, pixel by pixel."""

    IMAGES = 200

    def moments(self, spread: PointSpread | None) -> tuple[np.ndarray, ...]:
        """Mean and variance of the counts, and what these and the fourth cumulant should be; the kernel."""
        simulation = Simulation(
            small_detector(64, 0.5), Sources.from_beam(small_beam()), fluence=1e12, beam_size_mm=0.01
        )
        simulation.add_spots(small_crystal(volume_mm3=1e-5), small_structure_factors())
        simulation.add_background(water(0.5))
        expected = simulation.image[0].copy()
        assert expected.min() > 3 and expected.max() > 100 * np.median(expected) and expected.max() < 1e6
        options = dict(calibration_noise=0.1, calibration_seed=9, quantum_gain=1.7, readout_noise=0.8, adc_offset=60.0)
        read = readout(simulation, point_spread=spread, **options)
        images = np.array([read.start(42, i).panels()[0] for i in range(self.IMAGES)], float)
        assert images.min() > 0 and images.max() < 2e6

        factor = calibration_of(0.1, 9, expected.shape)
        kernel, everywhere = np.ones((1, 1)), 0.0
        if spread:
            kernel, everywhere = kernel_of(spread, (0.5, 0.5))
            everywhere /= expected.size

        def spread_out(photons: np.ndarray, power: int) -> np.ndarray:
            """Sums of photons times a power of the share that arrives."""
            shares = (kernel + everywhere) ** power - everywhere**power
            return signal.convolve(photons, shares, "same", "direct") + photons.sum() * everywhere**power

        mean = 1.7 * spread_out(expected * factor, 1) + 60
        # Rounding adds the variance of a uniform number.
        variance = 1.7**2 * spread_out(expected * factor**2, 2) + 0.8**2 + 1 / 12
        fourth = 1.7**4 * spread_out(expected * factor**4, 4)
        return images.mean(0), images.var(0, ddof=1), mean, variance, fourth, kernel

    @pytest.mark.parametrize(
        "spread",
        [None, PointSpread("gauss", 0.8, 4), PointSpread("fiber", 0.4, 6, "beyond_radius")],
        ids=["sharp", "gauss", "fiber"],
    )
    def test_mean_and_variance_of_every_pixel(self, spread):
        got_mean, got_variance, mean, variance, fourth, kernel = self.moments(spread)
        n, pixels = self.IMAGES, mean.size
        # Pixels share photons: their correlation coefficients are those of the kernel with itself, at most.
        overlap = signal.correlate(kernel, kernel) / (kernel**2).sum()
        alike = (overlap**2).sum()
        z = (got_mean - mean) / np.sqrt(variance / n)
        assert abs((z**2).sum() - pixels) < 3 * np.sqrt(2 * pixels * alike), (z**2).mean()
        assert abs(z).max() < 5
        assert abs(z.mean()) < 3 * np.sqrt(overlap.sum() / pixels)

        error = variance * np.sqrt(2 / (n - 1) + fourth / variance**2 / n)
        z = (got_variance - variance) / error
        assert abs((z**2).mean() - 1) < 3 * np.sqrt(3 * alike / pixels), (z**2).mean()  # with a kurtosis of 12 / n
        assert abs(z.mean()) < 3 * np.sqrt(alike / pixels)
        assert z.min() > -4.5 and z.max() < 6  # variances are skewed
        # and where it is bright as where it is dark
        for some in (mean < np.quantile(mean, 0.2), mean > np.quantile(mean, 0.95)):
            assert abs(z[some].mean()) < 3.5 * np.sqrt(alike / some.sum())


SAME_BITS = """
import hashlib
import numpy as np
from helpers.counting import counts, deviates_readout
from nanobragg_kokkos import PointSpread, backend
photons = [np.random.default_rng(i).random(shape) ** 9 * 1e5 for i, shape in enumerate(((301, 517), (7, 5), (64, 64)))]
options = dict(flicker=0.1, calibration_noise=0.05, quantum_gain=1.7, readout_noise=3.0, adc_offset=40.0)
spreads = (None, PointSpread("fiber", 0.12, 6))
print(backend()["threads"], *(
    hashlib.sha256(b"".join(panel.tobytes() for panel in counts(photons, seed, 3, point_spread=spread,
    **options))).hexdigest() for seed in (1, 2**40) for spread in spreads
))
"""


class TestSameBits:
    def test_any_number_of_threads(self, run_python):
        found = {}
        for threads in ("1", "2"):
            done = run_python(SAME_BITS, OMP_NUM_THREADS=threads)
            assert done.returncode == 0, done.stderr
            used, *found[threads] = done.stdout.split()
            if backend()["backend"] == "OpenMP":
                assert used == threads
        assert found["1"] == found["2"]
        assert len(set(found["1"])) == 4

    @pytest.mark.parametrize("spread", [None, PointSpread("gauss", 0.16, 4)])
    def test_again_in_another_order_and_by_another_readout(self, spread):
        simulation = lit_simulation(some_photons())
        read = readout(simulation, point_spread=spread, **EVERYTHING)
        first = {(seed, image): flat(read.start(seed, image).panels()) for seed in (1, 2) for image in range(3)}
        assert len({counted.tobytes() for counted in first.values()}) == 6
        other = readout(lit_simulation(some_photons()), point_spread=spread, **EVERYTHING)
        for seed, image in reversed(first):
            for again in (read, other):
                np.testing.assert_array_equal(flat(again.start(seed, image).panels()), first[seed, image])

    def test_numbers_are_keyed_by_the_panel_and_the_pixel_in_it(self):
        photons = some_photons()
        beside, smaller = some_photons(seed=2), some_photons((3, 5))

        def by_panel(*panels: np.ndarray) -> tuple[np.ndarray, ...]:
            return counts(panels, **EVERYTHING)

        alone, first, second, third = (
            by_panel(photons),
            by_panel(photons, beside),
            by_panel(beside, photons),
            by_panel(smaller, photons),
        )
        # The same in the same place of the list, whatever other panels there are
        np.testing.assert_array_equal(first[0], alone[0])
        np.testing.assert_array_equal(third[1], second[1])
        # not in another place
        assert (second[1] != alone[0]).mean() > 0.5
        # Pixels of a panel are numbered in a row: slow × n_fast + fast.
        reshaped = by_panel(photons.reshape(SHAPE[::-1]))
        np.testing.assert_array_equal(reshaped[0].ravel(), alone[0].ravel())
        for pixels in (1, 31, 33, 63, 64, 65, 1023, 1025, 2000):  # parts of what is taken together
            part = by_panel(photons.ravel()[None, :pixels])
            np.testing.assert_array_equal(part[0].ravel(), alone[0].ravel()[:pixels])

    def test_types_of_counts_hold_the_same(self):
        photons = some_photons()
        options = dict(saturation=5000, **EVERYTHING)
        wide, narrow = (counts(photons, dtype=dtype, **options) for dtype in (np.int32, np.uint16))
        np.testing.assert_array_equal(wide, narrow)
        for name in ("int32", np.dtype("int32")):
            np.testing.assert_array_equal(counts(photons, dtype=name, **options), wide)

    def test_python_threads_may_share_a_readout(self):
        simulation = lit_simulation(some_photons((300, 400)))
        read = readout(simulation, point_spread=PointSpread("gauss", 0.16, 2), **EVERYTHING)
        wanted = [flat(read.start(1, image).panels()) for image in range(24)]
        found = {}

        def read_out(begin: int) -> None:
            for image in range(begin, 24, 4):
                found[image] = flat(read.start(1, image).panels())

        threads = [threading.Thread(target=read_out, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for image in range(24):
            np.testing.assert_array_equal(found[image], wanted[image])


class TestArrays:
    def test_are_read_only_views_of_one_buffer(self):
        read = readout(lit_simulation(some_photons(), some_photons((7, 5)))).start(1, 0)
        assert isinstance(read, Counts)
        first, second = read.panels()
        assert first.shape == SHAPE and second.shape == (7, 5)
        assert not first.flags.writeable and not second.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            first.flags.writeable = True
        assert second.ctypes.data == first.ctypes.data + first.nbytes
        assert read.panels()[0].ctypes.data == first.ctypes.data
        np.testing.assert_array_equal(read.panels()[0], first)

    def test_nobody_overwrites_what_somebody_holds(self):
        simulation = dark_simulation(SHAPE)
        read = readout(simulation, readout_noise=2.0, adc_offset=30)
        wanted = [flat(read.start(1, image).panels()) for image in range(20)]
        held = [read.start(1, image) for image in range(5)]  # not asked for yet
        arrays = [read.start(1, image).panels()[0] for image in range(5, 10)]  # arrays alone
        parts = [read.start(1, image).panels()[0][3:5, ::2] for image in range(10, 15)]  # views of them
        both = [(counted := read.start(1, image), counted.panels()) for image in range(15, 20)]
        for _ in range(3):  # others come and go
            simulation.add_photons([np.full(SHAPE, 1e3)])
            for image in range(7):
                read.start(2, image).panels()
            read.start(2, 99)
        gc.collect()
        simulation.clear()
        for image in range(5):
            np.testing.assert_array_equal(flat(held[image].panels()), wanted[image])
            np.testing.assert_array_equal(arrays[image].ravel(), wanted[5 + image])
            np.testing.assert_array_equal(parts[image], wanted[10 + image].reshape(SHAPE)[3:5, ::2])
            np.testing.assert_array_equal(both[image][1][0].ravel(), wanted[15 + image])
            np.testing.assert_array_equal(flat(both[image][0].panels()), wanted[15 + image])
        buffers = {array.ctypes.data for array in arrays} | {panel.ctypes.data for _, (panel,) in both}
        assert len(buffers) == 10

    def test_buffers_are_used_again(self):
        read = readout(dark_simulation(SHAPE))
        places = {read.start(1, image).panels()[0].ctypes.data for image in range(20)}
        assert len(places) <= 2

    def test_outlive_what_they_come_from(self):
        simulation = lit_simulation(some_photons())
        read = readout(simulation, **EVERYTHING)
        counted = read.start(1, 0)
        wanted = flat(read.start(1, 0).panels())
        del simulation, read
        gc.collect()
        (array,) = counted.panels()
        del counted
        gc.collect()
        for _ in range(5):
            counts(some_photons(seed=3))
        np.testing.assert_array_equal(array.ravel(), wanted)

    def test_the_simulation_may_change_once_counting_has_started(self):
        simulation = lit_simulation(some_photons())
        read = readout(simulation)
        wanted = flat(read.start(1, 0).panels())
        counted = read.start(1, 0)
        simulation.clear()
        np.testing.assert_array_equal(flat(counted.panels()), wanted)
        simulation.add_photons([np.full(SHAPE, 5.0)])
        assert abs(flat(read.start(1, 0).panels()).mean() - 5) < 0.2


READ = """
import sys
import numpy as np
from helpers.counting import counts, lit_simulation, readout
from nanobragg_kokkos import PointSpread
simulation = lit_simulation(np.full((300, 400), 5.0))
read = readout(simulation, readout_noise=2.0, calibration_noise=0.1, point_spread=PointSpread("gauss", 0.2, 3))
counted = read.start(1, 0)
"""


class TestInterpreterExit:
    @pytest.mark.parametrize(
        "ending",
        [
            "import builtins; builtins.kept = [simulation, read, counted, counted.panels(), read.start(1, 1)]",
            "class Kept:\n  def __del__(self): assert self.array[3, 5] == self.value\n"
            "kept = Kept(); kept.array = counted.panels()[0]; kept.value = int(kept.array[3, 5]); kept.me = kept",
            "import atexit; atexit.register(lambda: read.start(1, 2).panels())",
            "kept = counted.panels(); del simulation, read, counted",
            "import threading\ndef work():\n  try:\n    while True: read.start(1, 1)\n  except RuntimeError: pass\n"
            "threading.Thread(target=work, daemon=True).start()",
        ],
        ids=["builtins", "destructor", "atexit", "arrays_alone", "daemon"],
    )
    def test_is_clean_whatever_is_kept(self, run_python, ending):
        done = run_python(READ + ending)
        assert (done.returncode, done.stderr) == (0, "")

    def test_arrays_stay_after_the_end_and_more_is_refused(self, run_python):
        done = run_python(
            READ + "panel = read.start(1, 5).panels()[0]; sum = panel.sum(); under_way = read.start(1, 5)\n"
            "import nanobragg_kokkos_ext as ext\next.stop()\n"
            "print(panel.sum() == sum)\n"
            "for use in (under_way.panels, lambda: read.start(1, 0), lambda: readout(simulation), lambda: counts(np.ones((3, 3)))):\n"
            "    try: use()\n"
            "    except RuntimeError as error: print('ended' in str(error))\n"
        )
        assert (done.returncode, done.stdout.split()) == (0, ["True"] * 5), done.stderr

    def test_a_forked_process_is_told_and_ends(self, run_python):
        done = run_python(
            READ + "import os\n"
            "if os.fork() == 0:\n"
            "    for use in (lambda: read.start(1, 0), lambda: readout(simulation)):\n"
            "        try: use()\n"
            "        except RuntimeError as error: print('forked' in str(error), flush=True)\n"
            "    sys.exit(0)\n"
            "assert os.wait()[1] == 0\n"
            "counted.panels(); read.start(1, 0).panels()\n"
        )
        assert (done.returncode, done.stdout.split()) == (0, ["True"] * 2), done.stderr


class TestErrors:
    @pytest.mark.parametrize("name", ["flicker", "calibration_noise", "readout_noise", "adc_offset", "quantum_gain"])
    @pytest.mark.parametrize("value", [-1e-300, -1, float("nan"), float("inf"), "much", None, 1j])
    def test_numbers_of_a_response(self, name, value):
        with pytest.raises(ValueError, match=name):
            DetectorResponse(**{name: value})

    def test_a_gain_of_nothing(self):
        with pytest.raises(ValueError, match="quantum_gain"):
            DetectorResponse(quantum_gain=0)

    @pytest.mark.parametrize("value", [-1, 2**64, 1.5, "1", None, float("nan")])
    def test_seeds(self, value):
        with pytest.raises(ValueError, match="calibration_seed"):
            DetectorResponse(calibration_seed=value)
        read = readout(dark_simulation((3, 4)))
        with pytest.raises(ValueError, match="^seed"):
            read.start(value, 0)
        with pytest.raises(ValueError, match="^image"):
            read.start(0, min(value, 2**32) if isinstance(value, int) else value)

    def test_seeds_that_can_be(self):
        read = readout(dark_simulation((3, 4)), readout_noise=3.0, adc_offset=50, calibration_seed=2**64 - 1)
        found = [
            flat(read.start(seed, image).panels())
            for seed, image in ((2**64 - 1, 2**32 - 1), (np.uint64(2**64 - 1), np.uint32(2**32 - 1)))
        ]
        np.testing.assert_array_equal(*found)
        assert not np.array_equal(found[0], flat(read.start(0, 0).panels()))

    @pytest.mark.parametrize("dtype", [np.int64, np.int16, np.uint32, float, bool, ">i4", None, "counts"])
    def test_types(self, dtype):
        with pytest.raises(ValueError, match="dtype"):
            readout(dark_simulation((3, 4)), dtype=dtype, saturation=1)

    @pytest.mark.parametrize(
        "dtype, saturation",
        [
            (np.int32, 2**31 - 1),
            (np.uint16, 65534),
            (np.int32, -1),
            (np.int32, float("nan")),
            (np.int32, float("inf")),
            (np.uint16, None),
        ],
    )
    def test_saturations(self, dtype, saturation):
        with pytest.raises(ValueError, match="saturation"):
            readout(dark_simulation((3, 4)), dtype=dtype, saturation=saturation)

    @pytest.mark.parametrize(
        "mask",
        [
            [np.ones((3, 4), bool)],
            [np.ones((3, 4), bool)] * 2,
            [np.ones((4, 3), bool), np.ones((2, 2), bool)],
            [np.ones((3, 4)), np.ones((2, 2))],
            [np.ones((3, 4), bool), np.ones((2, 2), int)],
            [np.ones(12, bool), np.ones(4, bool)],
            [],
            np.ones((3, 4), bool),
        ],
    )
    def test_masks(self, mask):
        with pytest.raises(ValueError, match="mask"):
            readout(dark_simulation((3, 4), (2, 2)), mask=mask)

    @pytest.mark.parametrize(
        "panels", [[np.ones((3, 4))], [np.ones((4, 3)), np.ones((2, 2))], [np.ones(12), np.ones(4)], []]
    )
    def test_photons_of_other_panels(self, panels):
        simulation = dark_simulation((3, 4), (2, 2))
        with pytest.raises(ValueError, match="panels"):
            simulation.add_photons(panels)
        assert not any(panel.any() for panel in simulation.image)

    def test_numpy_scalars_are_welcome(self):
        response = dict(
            flicker=np.float32(0.5), calibration_noise=np.float64(0), readout_noise=np.int32(2),
            quantum_gain=np.float32(1.5), calibration_seed=np.int64(3), photon_noise=np.bool_(False),
            adc_offset=np.int64(5),
        )  # fmt: skip
        assert counts(np.ones((2, 3)), np.int64(1), np.int8(2), saturation=np.float32(100), **response).max() > 0
