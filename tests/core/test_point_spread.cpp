// The point-spread function against its definition, written out pixel by pixel in extended precision.
#include <algorithm>
#include <limits>
#include <random>
#include <stdexcept>
#include <thread>
#include <vector>

#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/response/point_spread.h>
#include <nanobragg_kokkos/core/response/spread_kernel.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

using Real = long double;
using Pixels = std::vector<double>;

const Real pi = 3.14159265358979323846264338327950288L;

// Of the PSF over the rectangle from the middle to a corner.
Real corner(const PointSpread& psf, Real u, Real v) {
  if (psf.shape == SpreadShape::gauss) {
    const Real c = 2 * std::sqrt(std::log(Real(2))) / psf.fwhm;
    return std::erf(c * u) * std::erf(c * v) / 4;
  }
  const Real g = 0.652383013252053L * psf.fwhm;
  return std::atan(u * v / (g * std::sqrt(g * g + u * u + v * v))) / (2 * pi);
}

Real beyond(const PointSpread& psf, Real r) {
  if (psf.shape == SpreadShape::gauss) return std::exp(-std::log(Real(16)) * r * r / (Real(psf.fwhm) * psf.fwhm));
  const Real g = 0.652383013252053L * psf.fwhm;
  return g / std::hypot(g, r);
}

// What the pixel (x, y) receives of a photon in the pixel (0, 0).
Real share(const PointSpread& psf, const Panel& p, int x, int y) {
  const Real u = x * Real(p.pixel_fast), v = y * Real(p.pixel_slow), r = psf.radius * Real(p.pixel_fast);
  if (u * u + v * v > r * r * (1 + 1e-12L)) return 0;
  const Real a = u - p.pixel_fast / 2, b = u + p.pixel_fast / 2, c = v - p.pixel_slow / 2, d = v + p.pixel_slow / 2;
  return corner(psf, b, d) - corner(psf, a, d) - corner(psf, b, c) + corner(psf, a, c);
}

int reach_slow(const PointSpread& psf, const Panel& p) { return int(psf.radius * p.pixel_fast / p.pixel_slow) + 1; }

Real added_back(const PointSpread& psf, const Panel& p) {
  if (psf.added_back == AddedBack::beyond_radius) return beyond(psf, psf.radius * Real(p.pixel_fast));
  Real sum = 0;
  for (int y = -reach_slow(psf, p); y <= reach_slow(psf, p); ++y)
    for (int x = -psf.radius; x <= psf.radius; ++x) sum += share(psf, p, x, y);
  return 1 - sum;
}

// Of the photons of one panel.
std::vector<Real> expected(const PointSpread& psf, const Panel& p, const double* photons) {
  const int wide = std::min(psf.radius, p.n_fast - 1), high = std::min(reach_slow(psf, p), p.n_slow - 1);
  std::vector<Real> shares;
  for (int y = 0; y <= high; ++y)
    for (int x = 0; x <= wide; ++x) shares.push_back(share(psf, p, x, y));
  std::vector<Real> result(std::size_t(p.n_fast) * p.n_slow);
  Real sum = 0;
  for (int slow = 0; slow < p.n_slow; ++slow)
    for (int fast = 0; fast < p.n_fast; ++fast) {
      const Real here = photons[slow * p.n_fast + fast];
      if (here == 0) continue;
      sum += here;
      for (int y = std::max(0, slow - high); y <= std::min(p.n_slow - 1, slow + high); ++y)
        for (int x = std::max(0, fast - wide); x <= std::min(p.n_fast - 1, fast + wide); ++x)
          result[y * p.n_fast + x] += here * shares[std::abs(y - slow) * (wide + 1) + std::abs(x - fast)];
    }
  const Real everywhere = added_back(psf, p) * sum / result.size();
  for (Real& pixel : result) pixel += everywhere;
  return result;
}

Image image_of(const Pixels& pixels) {
  Image image(workspace(), pixels.size());
  Kokkos::deep_copy(image.on_device().pixels, Kokkos::View<const double*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(
                                                  pixels.data(), pixels.size()));
  return image;
}

Pixels pixels_of(const Image& image) {
  return {image.on_host(workspace()).get(), image.on_host(workspace()).get() + image.size()};
}

Pixels blurred(const Blur& blur, const Pixels& photons) {
  Image after = image_of(Pixels(photons.size(), -1e30));  // what was there before plays no part
  blur.apply(workspace(), image_of(photons), after);
  return pixels_of(after);
}

Pixels blurred(const std::vector<Panel>& panels, const PointSpread& psf, const Pixels& photons, BlurMethod method) {
  return blurred(Blur(workspace(), Detector(panels, {}), psf, method), photons);
}

double difference(const Pixels& a, const Pixels& b) {
  double worst = 0, brightest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::isfinite(a[i]) ? std::abs(a[i] - b[i]) : std::numeric_limits<double>::infinity());
    brightest = std::max(brightest, b[i]);
  }
  return worst / brightest;
}

double sum_of(const Pixels& pixels) {
  Real sum = 0;
  for (double pixel : pixels) sum += pixel;
  return double(sum);
}

// A background, spots up to 1e9 photons and dark pixels.
Pixels some_image(std::size_t n, unsigned seed = 1) {
  std::mt19937 random(seed);
  Pixels pixels(n);
  for (double& pixel : pixels) {
    const double draw = double(random()) / 4294967296.0;
    pixel = draw < 0.1 ? 0 : draw < 0.99 ? 10 * draw : std::pow(10, 9 * (draw - 0.99) / 0.01);
  }
  return pixels;
}

Pixels one_photon(int n_fast, int n_slow, int fast, int slow) {
  Pixels pixels(std::size_t(n_fast) * n_slow);
  pixels[slow * n_fast + fast] = 1;
  return pixels;
}

Panel oblong_pixels(int n_fast, int n_slow, double fast, double slow) {
  Panel p = flat_panel(n_fast, n_slow, fast);
  p.pixel_slow = slow;
  return p;
}

const std::vector<BlurMethod> methods{BlurMethod::direct, BlurMethod::fourier};
const std::vector<SpreadShape> shapes{SpreadShape::gauss, SpreadShape::fiber};
const double pixel = 1e-4;

PointSpread psf_of(SpreadShape shape, double fwhm_pixels, int radius, AddedBack added_back = AddedBack::missing) {
  return {shape, fwhm_pixels * pixel, radius, added_back};
}

constexpr double rounding = 1e-14;  // of the brightest pixel

// By both methods; every pixel of every panel, relative to the brightest one.
void check_every_pixel(const std::vector<Panel>& panels, const PointSpread& psf, const Pixels& photons) {
  std::vector<Real> want;
  for (const Panel& panel : panels)
    for (Real value : expected(psf, panel, photons.data() + want.size())) want.push_back(value);
  const Real brightest = *std::max_element(want.begin(), want.end());
  for (BlurMethod method : methods) {
    const Pixels got = blurred(panels, psf, photons, method);
    Real worst = 0;
    for (std::size_t i = 0; i < want.size(); ++i)
      worst =
          std::isfinite(got[i]) ? std::max(worst, std::abs(got[i] - want[i])) : std::numeric_limits<double>::infinity();
    CHECK_CLOSE(double(worst / brightest), 0, rounding);
  }
}

}  // namespace

TEST(point_spread_of_a_few_bright_pixels) {
  Pixels photons(64 * 64);
  photons[10 * 64 + 12] = 1000, photons[25 * 64 + 20] = 700, photons[38 * 64 + 37] = 50000,
                    photons[39 * 64 + 50] = 2500;
  photons[50 * 64 + 15] = 300;
  for (AddedBack added : {AddedBack::beyond_radius, AddedBack::missing}) {
    check_every_pixel({flat_panel(64, 64)}, psf_of(SpreadShape::gauss, 2.7, 12, added), photons);
    check_every_pixel({flat_panel(64, 64)}, psf_of(SpreadShape::fiber, 0.9, 10, added), photons);
  }
}

TEST(point_spread_of_any_width_and_radius) {
  for (SpreadShape shape : shapes)
    for (double fwhm : {1e-4, 0.3, 2.5, 40.0})
      for (int radius : {1, 2, 7, 30})
        check_every_pixel({flat_panel(51, 43)}, psf_of(shape, fwhm, radius), some_image(51 * 43));
}

TEST(point_spread_on_pixels_that_are_not_square) {
  for (SpreadShape shape : shapes)
    for (double slow_side : {0.37, 2.0, 5.1})
      check_every_pixel({oblong_pixels(50, 45, pixel, slow_side * pixel)}, psf_of(shape, 1.7, 10), some_image(50 * 45));
}

TEST(point_spread_on_panels_of_any_size) {
  // Each for itself, whatever the others hold.
  std::vector<Panel> panels;
  for (int n_fast : {1, 3, 32, 33, 129})
    for (int n_slow : {1, 4, 67}) panels.push_back(flat_panel(n_fast, n_slow));
  panels.push_back(panels[3]);
  panels.push_back(oblong_pixels(33, 4, pixel, 2 * pixel));
  const Detector detector(panels, {});
  for (int radius : {3, 18})
    check_every_pixel(panels, psf_of(SpreadShape::fiber, 1.2, radius), some_image(detector.n_pixels()));
}

TEST(photons_do_not_spread_from_panel_to_panel) {
  const int n = 40;
  Pixels photons(3 * n * n);
  for (int i = n * n; i < 2 * n * n; ++i) photons[i] = 1e12;
  for (BlurMethod method : methods) {
    const std::vector<Panel> panels(3, flat_panel(n, n));
    const Pixels got = blurred(panels, psf_of(SpreadShape::fiber, 2, 5), photons, method);
    double most = 0;
    for (int i = 0; i < n * n; ++i) most = std::max({most, std::abs(got[i]), std::abs(got[2 * n * n + i])});
    CHECK_CLOSE(most, 0, method == BlurMethod::direct ? 0 : 1e12 * rounding);
  }
}

TEST(point_spread_keeps_the_photons_that_stay_on_the_panel) {
  const int n = 150, radius = 20;
  Pixels photons = some_image(n * n);
  for (int slow = 0; slow < n; ++slow)
    for (int fast = 0; fast < n; ++fast)
      if (std::min(fast, slow) < radius || std::max(fast, slow) >= n - radius) photons[slow * n + fast] = 0;
  for (BlurMethod method : methods)
    for (SpreadShape shape : shapes)
      for (double fwhm : {0.5, 3.0, 30.0}) {
        const PointSpread psf = psf_of(shape, fwhm, radius);
        CHECK_CLOSE(sum_of(blurred({flat_panel(n, n)}, psf, photons, method)) / sum_of(photons), 1, 1e-13);
        const Panel oblong = oblong_pixels(n, n, pixel, 1.3 * pixel);
        CHECK_CLOSE(sum_of(blurred({oblong}, psf, photons, method)) / sum_of(photons), 1, 1e-13);
      }
}

TEST(what_leaves_a_panel_is_lost) {
  // Of a photon in a corner three quarters leave, but for the row and the column that it is in; nothing comes in
  // elsewhere.
  const int n_fast = 61, n_slow = 47, radius = 9;
  const Panel panel = flat_panel(n_fast, n_slow);
  const PointSpread psf = psf_of(SpreadShape::fiber, 1.5, radius);
  const double everywhere = double(added_back(psf, panel)) / (n_fast * n_slow);
  for (BlurMethod method : methods)
    for (int fast : {0, n_fast - 1})
      for (int slow : {0, n_slow - 1}) {
        const Pixels photons = one_photon(n_fast, n_slow, fast, slow), got = blurred({panel}, psf, photons, method);
        if (method == methods[0]) check_every_pixel({panel}, psf, photons);
        for (int y = 0; y < n_slow; ++y)
          for (int x = 0; x < n_fast; ++x)
            if (std::abs(x - fast) > radius || std::abs(y - slow) > radius)
              CHECK_CLOSE(got[y * n_fast + x], everywhere, method == BlurMethod::direct ? 1e-18 : 1e-16);
        CHECK(sum_of(got) < 0.7);
      }
}

TEST(point_spread_with_a_radius_beyond_the_panel) {
  for (int radius : {16, 29, 30, 31, 58, 61, 150})
    for (AddedBack added : {AddedBack::missing, AddedBack::beyond_radius})
      check_every_pixel({flat_panel(30, 17)}, psf_of(SpreadShape::fiber, 1.5, radius, added), some_image(30 * 17));
  // However far: nothing is left to be added back.
  const auto reaching = [](int radius, BlurMethod method) {
    return blurred({flat_panel(30, 17)}, psf_of(SpreadShape::fiber, 1.5, radius), some_image(30 * 17), method);
  };
  for (BlurMethod method : methods)
    CHECK_CLOSE(difference(reaching(std::numeric_limits<int>::max(), method), reaching(3000, method)), 0, 1e-5);
}

TEST(a_spread_kernel_and_what_it_lacks_make_one) {
  for (SpreadShape shape : shapes)
    for (double fwhm : {1e-3, 0.2, 1.0, 7.0, 300.0})
      for (int radius : {1, 10, 77})
        for (double side : {0.3, 1.0, 2.5}) {
          const SpreadKernel kernel = spread_kernel(psf_of(shape, fwhm, radius), pixel, side * pixel, 1000, 1000);
          Real sum = kernel.added_back;
          for (int x = -radius; x <= radius; ++x)
            for (int y = -kernel.tallest; y <= kernel.tallest; ++y) sum += kernel.at(std::abs(x), std::abs(y));
          CHECK_CLOSE(double(sum - 1), 0, 1e-15);
          CHECK(kernel.added_back >= 0);
        }
}

TEST(the_pixels_of_a_spread_kernel) {
  for (SpreadShape shape : shapes)
    for (double fwhm : {1e-3, 0.2, 1.0, 7.0, 300.0})
      for (double side : {0.3, 1.0, 2.5}) {
        const PointSpread psf = psf_of(shape, fwhm, 60);
        const Panel panel = oblong_pixels(100, 100, pixel, side * pixel);
        const SpreadKernel kernel = spread_kernel(psf, panel.pixel_fast, panel.pixel_slow, panel.n_fast, panel.n_slow);
        double worst = 0;
        for (int x = 0; x <= 61; ++x)
          for (int y = 0; y < 100; ++y)
            worst = std::max(worst, std::abs(double(kernel.at(x, y) - share(psf, panel, x, y))));
        CHECK_CLOSE(worst, 0, 2e-15 * kernel.at(0, 0));
      }
}

TEST(a_spread_kernel_far_out) {
  // There a pixel's share is its area times the PSF and a term of its second derivatives.
  const double g = 0.652383013252053 * 0.7;
  const SpreadKernel kernel = spread_kernel(psf_of(SpreadShape::fiber, 0.7, 2500), pixel, 1.5 * pixel, 3000, 3000);
  for (int x = 0; x < 2400; x += 100)
    for (int y = x < 500 ? 500 : 0; x * x + 2.25 * y * y < 2500 * 2500; y += 100) {
      const double u2 = double(x) * x, v2 = 2.25 * y * y, q = g * g + u2 + v2;
      const double curvature = (-3 + 15 * u2 / q) + 2.25 * (-3 + 15 * v2 / q);
      const double want = 1.5 * g / (2 * M_PI) / (q * std::sqrt(q)) * (1 + curvature / q / 24);
      CHECK_CLOSE(kernel.at(x, y) / want, 1, 1e-10);
    }
}

TEST(point_spread_by_both_methods) {
  struct Case {
    int n_fast, n_slow, radius;
    double fwhm;
  };
  const std::vector<Case> cases{
      {513, 477, 5, 1}, {700, 301, 17, 0.8}, {299, 800, 40, 6}, {255, 257, 128, 30}, {90, 300, 290, 2}};
  for (const Case& c : cases)
    for (SpreadShape shape : shapes) {
      const PointSpread psf = psf_of(shape, c.fwhm, c.radius);
      const std::vector<Panel> panels{flat_panel(c.n_fast, c.n_slow)};
      const Pixels photons = some_image(std::size_t(c.n_fast) * c.n_slow);
      const Pixels direct = blurred(panels, psf, photons, BlurMethod::direct);
      const Pixels fourier = blurred(panels, psf, photons, BlurMethod::fourier);
      CHECK_CLOSE(difference(fourier, direct), 0, rounding);
      CHECK(*std::min_element(fourier.begin(), fourier.end()) >= 0);
      CHECK_CLOSE(sum_of(fourier) / sum_of(direct), 1, 1e-13);
    }
}

TEST(rounding_errors_of_fourier_transforms_stay_far_below_their_bound) {
  // See fourier_blur.h; no tile here has less than 2^12 points.
  const int n_fast = 190, n_slow = 120;
  const PointSpread psf = psf_of(SpreadShape::fiber, 1, 12);
  for (const Pixels& photons : {some_image(n_fast * n_slow), one_photon(n_fast, n_slow, 77, 33)}) {
    const std::vector<Real> want = expected(psf, flat_panel(n_fast, n_slow), photons.data());
    const Pixels got = blurred({flat_panel(n_fast, n_slow)}, psf, photons, BlurMethod::fourier);
    Real errors = 0, pixels = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
      errors += (got[i] - want[i]) * (got[i] - want[i]);
      pixels += Real(photons[i]) * photons[i];
    }
    CHECK_CLOSE(double(std::sqrt(errors / pixels)), 0, 0.03 * 20.1 * 12 * 0x1p-53);
  }
}

TEST(dark_pixels_do_not_turn_negative) {
  // Nothing is added back here: what the transforms leave far from a bright pixel are rounding errors of either sign.
  const PointSpread psf = psf_of(SpreadShape::gauss, 1, 20);
  const Pixels got = blurred({flat_panel(190, 120)}, psf, one_photon(190, 120, 77, 33), BlurMethod::fourier);
  CHECK(*std::min_element(got.begin(), got.end()) >= 0);
}

TEST(point_spread_of_light_that_counts_as_negative) {
  // As that of a background can.
  Pixels photons = some_image(71 * 43);
  for (std::size_t i = 0; i < photons.size(); i += 3) photons[i] *= -0.7;
  check_every_pixel({flat_panel(71, 43)}, psf_of(SpreadShape::fiber, 1, 9), photons);
}

TEST(a_blur_serves_one_image_after_another) {
  const std::vector<Panel> panels{flat_panel(90, 70), flat_panel(90, 70), flat_panel(31, 22)};
  const Detector detector(panels, {});
  const Pixels one = some_image(detector.n_pixels(), 1), other = some_image(detector.n_pixels(), 2);
  for (BlurMethod method : methods) {
    const Blur blur(workspace(), detector, psf_of(SpreadShape::fiber, 1, 9), method);
    CHECK(blur.method() == method);
    const Pixels first = blurred(blur, one);
    CHECK(blurred(blur, other) ==
          blurred(Blur(workspace(), detector, psf_of(SpreadShape::fiber, 1, 9), method), other));
    CHECK(blurred(blur, one) == first);
  }
}

TEST(threads_may_share_a_blur) {
  const Detector detector({flat_panel(200, 150)}, {});
  for (BlurMethod method : methods) {
    const Blur blur(workspace(), detector, psf_of(SpreadShape::fiber, 1, 9), method);
    std::vector<Pixels> images{some_image(detector.n_pixels(), 1), some_image(detector.n_pixels(), 2)}, alone,
        together(2);
    for (const Pixels& image : images) alone.push_back(blurred(blur, image));
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t)
      threads.emplace_back([&, t] {
        for (int i = 0; i < 3; ++i) together[t] = blurred(blur, images[t]);
      });
    for (std::thread& thread : threads) thread.join();
    CHECK(together == alone);
  }
}

TEST(a_small_circle_is_summed_and_a_large_one_is_not) {
  const Detector detector({flat_panel(1000, 1000)}, {});
  CHECK(Blur(workspace(), detector, psf_of(SpreadShape::fiber, 1, 1)).method() == BlurMethod::direct);
  CHECK(Blur(workspace(), detector, psf_of(SpreadShape::fiber, 1, 100)).method() == BlurMethod::fourier);
  CHECK(Blur(workspace(), detector, psf_of(SpreadShape::gauss, 0.1, 100)).method() == BlurMethod::direct);
}

TEST(a_point_spread_without_width_or_radius_is_refused) {
  const Detector detector({flat_panel(40, 30)}, {});
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  for (double fwhm : {0.0, -1e-4, nan, infinity})
    CHECK_THROWS(Blur(workspace(), detector, {SpreadShape::gauss, fwhm, 5, AddedBack::missing}), std::invalid_argument);
  for (int radius : {0, -3})
    CHECK_THROWS(Blur(workspace(), detector, psf_of(SpreadShape::fiber, 1, radius)), std::invalid_argument);
}

TEST(images_that_cannot_be_blurred_are_refused) {
  const Blur blur(workspace(), Detector({flat_panel(40, 30)}, {}), psf_of(SpreadShape::fiber, 1, 5));
  Image image(workspace(), 40 * 30), other(workspace(), 40 * 29), same = image;
  CHECK_THROWS(blur.apply(workspace(), image, other), std::invalid_argument);
  CHECK_THROWS(blur.apply(workspace(), other, image), std::invalid_argument);
  CHECK_THROWS(blur.apply(workspace(), image, image), std::invalid_argument);
  CHECK_THROWS(blur.apply(workspace(), image, same), std::invalid_argument);
}
