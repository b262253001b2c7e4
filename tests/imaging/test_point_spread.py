"""The point-spread function against sums and integrals by NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import spread
from helpers.counting import counts, dark_simulation, lit_simulation
from helpers.small_models import small_beam, small_crystal, small_detector, small_structure_factors
from scipy import integrate

from nanobragg_kokkos import PointSpread, Simulation, Sources, backend, water

BOUND = 1e-12  # of the brightest pixel: rounding errors alone
METHODS = ("direct", "fourier", "auto")
SPREADS = (
    PointSpread("gauss", 0.25, 9),
    PointSpread("gauss", 0.03, 1),
    PointSpread("gauss", 1.5, 12, "beyond_radius"),
    PointSpread("fiber", 0.09, 10),
    PointSpread("fiber", 0.7, 25),
    PointSpread("fiber", 0.05, 3, "beyond_radius"),
)


def some_photons(shape: tuple[int, int], seed: int = 1) -> np.ndarray:
    """A background, dark pixels and some bright ones."""
    random = np.random.default_rng(seed)
    return random.random(shape) * (random.random(shape) < 0.9) + 1e6 * random.random(shape) ** 200


def blurred(*panels: np.ndarray, point_spread: PointSpread, method: str = "auto", **options) -> tuple[np.ndarray, ...]:
    simulation = lit_simulation(*panels, **options)
    simulation.blur(point_spread, method)
    return simulation.image


def check(panels, point_spread: PointSpread, method: str, pixel_mm=(0.1, 0.1)) -> None:
    brightest = max(panel.max() for panel in panels)
    got = blurred(*panels, point_spread=point_spread, method=method, pixel_mm=pixel_mm)
    for panel, image in zip(panels, got):
        expected = spread.blurred(panel, point_spread, pixel_mm)
        assert image.shape == panel.shape
        np.testing.assert_allclose(image, expected, rtol=0, atol=BOUND * brightest)


@pytest.mark.parametrize("method", METHODS)
class TestSum:
    @pytest.mark.parametrize("point_spread", SPREADS, ids=str)
    def test_of_every_pixel(self, point_spread, method):
        check([some_photons((83, 120))], point_spread, method)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 40), (37, 1), (2, 3), (31, 33), (64, 64), (65, 129), (127, 31)])
    def test_on_panels_of_any_size(self, shape, method):
        for point_spread in (PointSpread("gauss", 0.3, 5), PointSpread("fiber", 0.12, 7, "beyond_radius")):
            check([some_photons(shape)], point_spread, method)

    @pytest.mark.parametrize("radius", [19, 20, 21, 39, 40, 41, 300])
    def test_with_a_radius_beyond_the_panel(self, radius, method):
        for shape in ("gauss", "fiber"):
            for added_back in ("missing", "beyond_radius"):
                check([some_photons((40, 21))], PointSpread(shape, 0.8, radius, added_back), method)

    @pytest.mark.parametrize("pixel_mm", [(0.1, 0.15), (0.1, 0.037), (0.172, 0.172), (0.05, 0.2)])
    def test_on_pixels_of_other_sides(self, pixel_mm, method):
        for point_spread in (PointSpread("gauss", 0.3, 6), PointSpread("fiber", 0.12, 8)):
            check([some_photons((45, 52))], point_spread, method, pixel_mm)

    def test_on_every_panel_by_itself(self, method):
        shapes = ((33, 40), (40, 33), (33, 40), (7, 129), (33, 40), (1, 1))
        panels = [some_photons(shape, seed) for seed, shape in enumerate(shapes)]
        for point_spread in SPREADS[::3]:
            check(panels, point_spread, method)
            together = blurred(*panels, point_spread=point_spread, method=method)
            for panel, image in zip(panels, together):
                (alone,) = blurred(panel, point_spread=point_spread, method=method)
                # Two tiles that a Fourier transform takes together share its rounding errors.
                np.testing.assert_allclose(image, alone, rtol=0, atol=1e-13 * max(panel.max() for panel in panels))

    @pytest.mark.parametrize("shape", ["gauss", "fiber"])
    @pytest.mark.parametrize("fwhm_mm, radius", [(0.05, 5), (0.3, 20), (3.0, 20)])
    def test_keeps_the_photons_of_light_away_from_the_edges(self, shape, fwhm_mm, radius, method):
        panel = np.zeros((101, 120))
        panel[radius:-radius, radius:-radius] = some_photons((101 - 2 * radius, 120 - 2 * radius))
        (image,) = blurred(panel, point_spread=PointSpread(shape, fwhm_mm, radius), method=method)
        assert image.sum() == pytest.approx(panel.sum(), rel=1e-12)
        assert image.max() < panel.max()

    def test_loses_what_leaves_over_the_edge(self, method):
        panel = np.zeros((60, 80))
        panel[0, 79] = 1000.0
        point_spread = PointSpread("gauss", 0.4, 15)
        kernel, added_back = spread.kernel_of(point_spread, (0.1, 0.1))
        (image,) = blurred(panel, point_spread=point_spread, method=method)
        assert image.sum() == pytest.approx(1000 * (kernel[15:, 15:].sum() + added_back), rel=1e-12)
        assert 200 < image.sum() < 400

    @pytest.mark.parametrize("shape", ["gauss", "fiber"])
    def test_what_is_added_back_is_the_same_everywhere(self, shape, method):
        panel = some_photons((50, 61))
        images, shares = zip(
            *(
                (blurred(panel, point_spread=one, method=method)[0], spread.kernel_of(one, (0.1, 0.1))[1])
                for one in (PointSpread(shape, 0.7, 8, added_back) for added_back in ("missing", "beyond_radius"))
            )
        )
        difference = images[0] - images[1]
        constant = (shares[0] - shares[1]) * panel.sum() / panel.size
        np.testing.assert_allclose(difference, constant, rtol=0, atol=1e-13 * panel.max())
        assert abs(constant) > 1e-6 * panel.max() / panel.size

    def test_again_gives_the_same_bits(self, method):
        panels = some_photons((70, 90)), some_photons((30, 20))
        simulation = lit_simulation(*panels)
        simulation.blur(SPREADS[0], method)
        first = [panel.copy() for panel in simulation.image]
        for another in (SPREADS[3], SPREADS[0]):
            simulation.clear()
            simulation.add_photons(panels)
            simulation.blur(another, method)
        for got, once in zip(simulation.image, first):
            np.testing.assert_array_equal(got, once)

    def test_nothing_becomes_negative(self, method):
        panel = np.zeros((150, 160))
        panel[40, 50], panel[100:110, 20] = 1e9, 1e-3
        for point_spread in SPREADS:
            (image,) = blurred(panel, point_spread=point_spread, method=method)
            assert image.min() >= 0 and np.isfinite(image).all()
        (dark,) = blurred(np.zeros((30, 40)), point_spread=SPREADS[0], method=method)
        assert not dark.any()

    def test_light_adds_up_and_moves_along(self, method):
        one, other = np.zeros((90, 100)), np.zeros((90, 100))
        one[30, 40], other[52, 61] = 1000, 300
        both = blurred(one + other, point_spread=SPREADS[4], method=method)[0]
        first, second = (blurred(panel, point_spread=SPREADS[4], method=method)[0] for panel in (one, other))
        np.testing.assert_allclose(both, first + second, rtol=0, atol=1e-11)
        np.testing.assert_allclose(second[22 + 5 :, 21 + 5 :], 0.3 * first[5:-22, 5:-21], rtol=0, atol=1e-11)
        np.testing.assert_allclose(first[5:56, 15:66], first[5:56, 15:66][::-1, ::-1], rtol=0, atol=1e-11)

    def test_twice(self, method):
        panel = some_photons((40, 50))
        simulation = lit_simulation(panel)
        simulation.blur(SPREADS[0], method)
        simulation.blur(SPREADS[3], method)
        expected = spread.blurred(spread.blurred(panel, SPREADS[0]), SPREADS[3])
        np.testing.assert_allclose(simulation.image[0], expected, rtol=0, atol=BOUND * panel.max())


class TestShape:
    @pytest.mark.parametrize("fwhm_mm", [0.06, 0.4])
    def test_gauss_is_a_gaussian_of_this_width(self, fwhm_mm):
        sigma = fwhm_mm / np.sqrt(8 * np.log(2))
        self.check_pixels(
            "gauss", fwhm_mm, lambda y, x: np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
        )

    @pytest.mark.parametrize("fwhm_mm", [0.06, 0.4])
    def test_fiber_falls_off_with_the_third_power(self, fwhm_mm):
        # half as much at fwhm / 2: (1 + r²/g²)^(3/2) = 2
        g = fwhm_mm / 2 / np.sqrt(2 ** (2 / 3) - 1)
        self.check_pixels("fiber", fwhm_mm, lambda y, x: g / (2 * np.pi) * (g**2 + x**2 + y**2) ** -1.5)

    def check_pixels(self, shape: str, fwhm_mm: float, function) -> None:
        """The pixels around one, against the integral of the function over each."""
        panel = np.zeros((41, 41))
        panel[20, 20] = 1
        (image,) = blurred(panel, point_spread=PointSpread(shape, fwhm_mm, 12), method="direct")
        everywhere = image[0, 0]  # what is added back
        for slow, fast in ((0, 0), (0, 1), (1, 0), (2, 3), (-5, 4), (0, 12), (-12, 0), (8, 8)):
            x, y = 0.1 * fast, 0.1 * slow
            expected, _ = integrate.dblquad(
                function, x - 0.05, x + 0.05, y - 0.05, y + 0.05, epsabs=1e-13, epsrel=1e-11
            )
            assert image[20 + slow, 20 + fast] - everywhere == pytest.approx(expected, rel=1e-9, abs=1e-12)
        for slow, fast in ((9, 8), (0, 13), (-13, 0), (12, 1)):  # beyond the radius
            assert image[20 + slow, 20 + fast] == pytest.approx(everywhere, abs=1e-18)


class TestSimulation:
    def simulated(self) -> Simulation:
        simulation = Simulation(small_detector(), Sources.from_beam(small_beam()), fluence=1e12, beam_size_mm=0.01)
        simulation.add_spots(small_crystal(volume_mm3=1e-6), small_structure_factors())
        simulation.add_background(water(0.1))
        return simulation

    @pytest.mark.parametrize("method", METHODS)
    def test_spots_and_background(self, method):
        simulation = self.simulated()
        sharp = simulation.image[0].copy()
        point_spread = PointSpread("fiber", 0.8, 10)
        simulation.blur(point_spread, method)
        expected = spread.blurred(sharp, point_spread, (0.5, 0.5))
        np.testing.assert_allclose(simulation.image[0], expected, rtol=0, atol=BOUND * sharp.max())
        assert simulation.image[0].max() < 0.8 * sharp.max()

    def test_what_is_added_afterwards_stays_sharp(self):
        simulation = lit_simulation(some_photons((40, 50)))
        simulation.blur(SPREADS[0])
        soft = simulation.image[0].copy()
        more = some_photons((40, 50), seed=2)
        simulation.add_photons([more])
        np.testing.assert_array_equal(simulation.image[0], soft + more)

    def test_a_readout_blurs_as_a_simulation_does(self):
        panels = [np.rint(some_photons(shape)) for shape in ((40, 50), (50, 40))]
        for point_spread in SPREADS:
            got = counts(panels, photon_noise=False, point_spread=point_spread, quantum_gain=1000)
            for panel, image in zip(got, blurred(*panels, point_spread=point_spread)):
                np.testing.assert_allclose(panel, 1000 * image, rtol=1e-12, atol=0.5001)

    def test_any_number_of_threads_gives_the_same_bits(self, run_python):
        program = (
            "import hashlib\nimport numpy as np\nfrom helpers.counting import lit_simulation\n"
            "from nanobragg_kokkos import PointSpread, backend\n"
            "print(backend()['threads'])\n"
            "panels = [np.random.default_rng(i).random(shape) for i, shape in enumerate(((301, 260), (301, 260), (64, 97)))]\n"
            "for method in ('direct', 'fourier', 'auto'):\n"
            "    simulation = lit_simulation(*panels)\n"
            "    simulation.blur(PointSpread('fiber', 0.15, 11), method)\n"
            "    print(hashlib.sha256(b''.join(panel.tobytes() for panel in simulation.image)).hexdigest())\n"
        )
        found = {}
        for threads in ("1", "2"):
            done = run_python(program, OMP_NUM_THREADS=threads)
            assert done.returncode == 0, done.stderr
            used, *found[threads] = done.stdout.split()
            if backend()["backend"] == "OpenMP":
                assert used == threads
        assert found["1"] == found["2"]


class TestErrors:
    @pytest.mark.parametrize(
        "arguments, message",
        [
            (("cube", 1.0, 3), "shape.*cube"),
            (("Gauss", 1.0, 3), "shape.*Gauss"),
            (("gauss", 0.0, 3), "fwhm_mm"),
            (("gauss", -1.0, 3), "fwhm_mm"),
            (("gauss", float("nan"), 3), "fwhm_mm"),
            (("gauss", float("inf"), 3), "fwhm_mm"),
            (("gauss", None, 3), "fwhm_mm"),
            (("fiber", 1.0, 0), "radius"),
            (("fiber", 1.0, -2), "radius"),
            (("fiber", 1.0, 2.5), "radius"),
            (("fiber", 1.0, 2**31), "radius"),
            (("fiber", 1.0, None), "radius"),
            (("fiber", 1.0, 3, "nothing"), "added_back.*nothing"),
        ],
    )
    def test_say_what_is_wrong(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            PointSpread(*arguments)

    def test_an_unknown_method(self):
        simulation = dark_simulation((3, 4))
        with pytest.raises(ValueError, match="method.*best"):
            simulation.blur(SPREADS[0], "best")
        simulation.blur(SPREADS[0])

    def test_numpy_scalars_are_welcome(self):
        assert PointSpread("gauss", np.float32(0.25), np.int64(3)).on_device()
