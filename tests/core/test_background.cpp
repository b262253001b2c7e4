// Backgrounds against the sum over all terms, written out in extended precision.
#include <algorithm>
#include <limits>
#include <random>
#include <thread>
#include <vector>

#include <nanobragg_kokkos/core/background/amorphous.h>
#include <nanobragg_kokkos/core/math/constants.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

using Table = std::vector<std::pair<double, double>>;
using Real = long double;

const double fluence = 1e30;
const Polarization unpolarized{true, 0, {1, 0, 0}};

const Table water{{0, 2.57},        {0.0365e10, 2.58}, {0.07e10, 2.8},  {0.12e10, 5},   {0.162e10, 8},
                  {0.18e10, 7.32},  {0.2e10, 6.75},    {0.236e10, 6.5}, {0.28e10, 4.5}, {0.3e10, 4.3},
                  {0.345e10, 4.36}, {0.436e10, 3.77},  {0.5e10, 3.17}};
const Table oscillating{{0, -3},      {0.1e10, 4}, {0.2e10, -2}, {0.25e10, -0.1},
                        {0.3e10, -2}, {0.4e10, 5}, {0.5e10, 0},  {0.6e10, -1}};

// Lagrange's formula for the two points on either side.
Real amplitude(const Table& table, Real s) {
  const int n = int(table.size());
  int above = 0;
  while (above < n && table[above].first < s) ++above;
  Real f = 0;
  for (int i = std::max(above - 2, 0); i < std::min(above + 2, n); ++i) {
    Real term = table[i].second;
    for (int j = std::max(above - 2, 0); j < std::min(above + 2, n); ++j)
      if (j != i) term *= (s - table[j].first) / (Real(table[i].first) - table[j].first);
    f += term;
  }
  return f;
}

struct RealVec {
  Real x, y, z;
  void add(Real s, Vec3 v) { x += s * v.x, y += s * v.y, z += s * v.z; }
  Real times(RealVec o) const { return x * o.x + y * o.y + z * o.z; }
};

RealVec unit(RealVec v) {
  const Real r = std::sqrt(v.times(v));
  return {v.x / r, v.y / r, v.z / r};
}

Real expected(const Panel& p, const Sampling& how, const std::vector<Source>& sources, const Table& table, int fast,
              int slow) {
  Real total = 0, sum = 0;
  for (const Source& s : sources) total += s.weight;
  Vec3 normal = cross(p.fast, p.slow);
  if (dot(normal, p.origin) < 0) normal = -normal;
  const Real close = RealVec{p.origin.x, p.origin.y, p.origin.z}.times({normal.x, normal.y, normal.z});
  const int layers = p.sensor_thickness > 0 ? how.sensor_layers : 1, n = how.oversample;
  for (int i = 0; i < layers * n * n; ++i) {
    const Real step = Real(p.sensor_thickness) / layers, front = i / (n * n) * step,
               depth = front + how.layer_placement * step;
    RealVec position{p.origin.x, p.origin.y, p.origin.z};
    position.add((fast + (i % n + Real(0.5)) / n) * p.pixel_fast, p.fast);
    position.add((slow + (i / n % n + Real(0.5)) / n) * p.pixel_slow, p.slow);
    position.add(depth, normal);
    const Real r2 = position.times(position), r = std::sqrt(r2);
    Real weight = how.point_pixel ? 1 / r2 : Real(p.pixel_fast) * p.pixel_slow * close / (r2 * r);
    if (p.sensor_thickness > 0) {
      const Real per_depth = r / (close + depth) / p.attenuation_length;
      weight *= std::exp(-front * per_depth) - std::exp(-(front + step) * per_depth);
    }
    for (const Source& s : sources) {
      const RealVec d = unit(position), s0 = unit({s.direction.x, s.direction.y, s.direction.z});
      const RealVec change{d.x - s0.x, d.y - s0.y, d.z - s0.z};
      const Real f = amplitude(table, std::sqrt(change.times(change)) / 2 / s.wavelength), c = d.times(s0);
      sum += s.weight / total * weight * f * std::abs(f) * (1 + c * c) / 2;
    }
  }
  return sum / (n * n) * thomson_cross_section * fluence;
}

// The largest deviation, relative to the brightest pixel.
double deviation(const std::vector<Panel>& panels, const Sampling& how, const std::vector<Source>& sources,
                 const Table& table, const Sources& beam, const Amorphous& sample) {
  const Detector detector(panels, how);
  Image image(workspace(), detector.n_pixels());
  add_background(workspace(), image, detector, beam, sample);
  const auto pixels = image.on_host(workspace());
  Real worst = 0, brightest = 0;
  std::size_t pixel = 0;
  for (const Panel& panel : panels)
    for (int slow = 0; slow < panel.n_slow; ++slow)
      for (int fast = 0; fast < panel.n_fast; ++fast, ++pixel) {
        const Real want = expected(panel, how, sources, table, fast, slow);
        if (!std::isfinite(pixels.get()[pixel])) return std::numeric_limits<double>::infinity();
        worst = std::max(worst, std::abs(pixels.get()[pixel] - want));
        brightest = std::max(brightest, std::abs(want));
      }
  return double(worst / brightest);
}

double deviation(const std::vector<Panel>& panels, const Sampling& how, const std::vector<Source>& sources,
                 const Table& table) {
  return deviation(panels, how, sources, table, Sources(sources, unpolarized, fluence), Amorphous(table, 1));
}

// Unevenly spaced, from 1 to `widest` angstrom.
std::vector<Source> spectrum(int n, double widest, Vec3 direction = {0, 0, -1}, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::vector<Source> sources;
  for (int i = 0; i < n; ++i)
    sources.push_back(
        {direction, 1e-10 * (1 + (widest - 1) * double(random()) / 4294967296.0), 0.01 + random() % 100, 0});
  return sources;
}

Panel tilted_panel(int n_fast, int n_slow) {
  Panel p = flat_panel(n_fast, n_slow, 4e-3);
  const Vec3 axis = unit(Vec3{0.3, 1, 0.2});
  p.fast = rotated(p.fast, axis, 0.4);
  p.slow = rotated(p.slow, axis, 0.4);
  p.sensor_thickness = 3e-4;
  p.attenuation_length = 2e-4;
  return p;
}

constexpr double rounding = 1e-14;

}  // namespace

TEST(a_background_is_the_sum_over_an_uneven_spectrum) {
  for (double widest : {1.002, 1.1, 3.0})
    CHECK_CLOSE(deviation({flat_panel(70, 41, 2e-3)}, {}, spectrum(40, widest), water), 0, rounding);
}

TEST(a_background_of_directions_with_their_own_spectra) {
  std::vector<Source> sources = spectrum(25, 1.05);
  for (const Source& s : spectrum(14, 1.3, {0.02, -0.05, -1}, 2)) sources.push_back(s);
  sources.push_back({{0.3, 0.1, -1}, 0.7e-10, 60, 0});
  CHECK_CLOSE(deviation({flat_panel(70, 41, 2e-3)}, {}, sources, water), 0, rounding);
}

TEST(a_background_in_a_thick_sensor_with_sub_pixels) {
  for (bool point_pixel : {false, true})
    CHECK_CLOSE(deviation({tilted_panel(21, 13)}, {3, 4, 0.5, point_pixel}, spectrum(20, 1.1), water), 0, rounding);
}

TEST(negative_amplitudes_count_as_negative_intensities) {
  // A piece in which F is zero three times, at either side of a maximum and a minimum; zeros at points of the table.
  const auto wave = [](double t) { return t * (4 * t * t - 3) + 0.1; };
  Table wavy, touching{{0, 1}, {0.1e10, 0}, {0.2e10, 1}, {0.3e10, 0}, {0.4e10, 1}, {0.5e10, -1e-12}, {0.6e10, 1e-12}};
  for (double t : {-1.0, -0.98, 0.98, 1.0}) wavy.emplace_back((1 + t) * 0.3e10, wave(t));
  for (const Table& table : {oscillating, wavy, touching})
    for (double widest : {1.01, 2.0})
      CHECK_CLOSE(deviation({flat_panel(101, 61, 4e-3)}, {}, spectrum(30, widest), table), 0, rounding);
}

TEST(tables_with_few_points_or_a_short_range) {
  const std::vector<Table> tables{{{0.2e10, 3}},
                                  {{0, 3}, {0.3e10, -2}},
                                  {{0.1e10, 1}, {0.2e10, 5}, {0.35e10, 2}},
                                  {{-0.2e10, 1}, {-0.1e10, 2}, {0.1e10, 5}, {0.2e10, 2}},
                                  {{-0.3e10, 1}, {-0.1e10, 2}},
                                  {{7e10, 1}, {9e10, 2}}};
  for (const Table& table : tables)
    CHECK_CLOSE(deviation({flat_panel(61, 41, 4e-3)}, {}, spectrum(20, 1.2), table), 0, rounding);
}

TEST(the_direct_beam_in_the_middle_of_a_pixel) {
  for (const Table& table : {water, oscillating})
    CHECK_CLOSE(deviation({flat_panel(31, 31, 1e-4)}, {}, spectrum(20, 1.2), table), 0, rounding);
}

TEST(a_background_in_few_pixels) {
  // So few that the sources are not summed first.
  std::vector<Source> sources = spectrum(100, 1.4);
  sources.push_back({{0.3, 0.1, -1}, 0.7e-10, 60, 0});
  for (const Table& table : {water, oscillating})
    CHECK_CLOSE(deviation({flat_panel(11, 7, 2e-2)}, {}, sources, table), 0, rounding);
}

TEST(a_background_on_panels_of_any_size) {
  std::vector<Panel> panels;
  for (int n_fast : {1, 3, 64, 65, 129, 254}) {
    Panel p = flat_panel(n_fast, 7, 1e-3);
    p.origin.x += 1e-4 * n_fast;
    panels.push_back(p);
  }
  CHECK_CLOSE(deviation(panels, {}, spectrum(30, 1.1), water), 0, rounding);
}

TEST(a_mask_takes_pixels_from_a_background_and_changes_no_other) {
  const std::vector<Panel> panels{flat_panel(70, 41, 2e-3), flat_panel(200, 20, 1e-3)};
  std::vector<std::uint8_t> mask(70 * 41 + 200 * 20);
  std::mt19937 random(3);
  for (std::size_t i = 0; i < mask.size(); ++i) mask[i] = i > 1000 && random() % 3 > 0;
  const Detector whole(panels, {}), masked(panels, {}, mask);
  Image all(workspace(), mask.size()), some(workspace(), mask.size());
  const Sources sources(spectrum(30, 1.1), unpolarized, fluence);
  const Amorphous sample(water, 1);
  add_background(workspace(), all, whole, sources, sample);
  add_background(workspace(), some, masked, sources, sample);
  int wrong = 0;
  for (std::size_t i = 0; i < mask.size(); ++i)
    wrong += some.on_host(workspace()).get()[i] != (mask[i] ? all.on_host(workspace()).get()[i] : 0);
  CHECK(wrong == 0);
}

TEST(a_sample_serves_one_beam_and_detector_after_another) {
  const Amorphous sample(water, 1);
  const std::vector<Source> one = spectrum(20, 1.1), other = spectrum(20, 1.5, {0.1, 0, -1}, 7);
  const Sources one_beam(one, unpolarized, fluence), other_beam(other, unpolarized, fluence);
  const Panel many = flat_panel(40, 31, 4e-3), few = flat_panel(5, 4, 4e-2);
  for (const Panel& panel : {many, few, many}) {
    CHECK_CLOSE(deviation({panel}, {}, one, water, one_beam, sample), 0, rounding);
    CHECK_CLOSE(deviation({panel}, {}, other, water, other_beam, sample), 0, rounding);
  }
  CHECK_CLOSE(deviation({few}, {}, other, water, other_beam, sample), 0, rounding);
}

TEST(threads_may_share_a_sample) {
  const Detector detector({flat_panel(90, 70, 2e-3)}, {});
  const Amorphous sample(water, 1);
  const std::vector<Sources> beams{Sources(spectrum(30, 1.1), unpolarized, fluence),
                                   Sources(spectrum(20, 1.4), unpolarized, fluence)};
  std::vector<Image> alone, together;
  for (const Sources& beam : beams) {
    alone.emplace_back(workspace(), detector.n_pixels()), together.emplace_back(workspace(), detector.n_pixels());
    for (int i = 0; i < 5; ++i) add_background(workspace(), alone.back(), detector, beam, Amorphous(water, 1));
  }
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < beams.size(); ++t)
    threads.emplace_back([&, t] {
      Workspace own;
      for (int i = 0; i < 5; ++i) add_background(own, together[t], detector, beams[t], sample);
    });
  for (std::thread& thread : threads) thread.join();
  int wrong = 0;
  for (std::size_t t = 0; t < beams.size(); ++t)
    for (std::size_t i = 0; i < detector.n_pixels(); ++i)
      wrong += alone[t].on_host(workspace()).get()[i] != together[t].on_host(workspace()).get()[i];
  CHECK(wrong == 0);
}
