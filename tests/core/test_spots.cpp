// Bragg spots against the sum written out term by term, for every shape, on whatever device the kernels run.
#include <algorithm>
#include <memory>
#include <random>
#include <stdexcept>

#include <nanobragg_kokkos/core/math/constants.h>
#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>
#include <nanobragg_kokkos/core/spots/engine_work.h>
#include <nanobragg_kokkos/core/spots/spots.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

const double fluence = 1e25, kahn = 0.6;
const int oversample = 2, layers = 2, range = 6;
const std::array<double, 3> cells{5, 4, 6};
const Vec3 field{1, 0.2, 0};

struct Experiment {
  std::vector<Panel> panels;
  std::vector<Source> sources;
  std::vector<Mat3> blocks;
  std::vector<std::vector<Amplitude>> amplitudes;

  Experiment() {
    for (double shift : {-4e-3, 5e-3}) {
      Panel p = flat_panel(13, 9, 2e-3);
      p.pixel_slow = 1.5e-3;
      p.origin = p.origin + Vec3{shift, 2e-3, shift};
      p.fast = unit({1, 0.1, shift * 50});
      p.slow = unit(cross(cross(p.fast, {0, -1, 0}), p.fast));
      p.sensor_thickness = 4e-4;
      p.attenuation_length = 3e-4;
      panels.push_back(p);
    }
    sources = {{{0, 0, -1}, 1.00e-10, 1, 0}, {{0.003, 0, -2}, 1.05e-10, 2, 1}, {{0, 0, -1}, 0.97e-10, 0.5, 1}};
    Mat3 cell;
    cell.row[0] = {20e-10, 3e-10, 1e-10};
    cell.row[1] = {-2e-10, 25e-10, 2e-10};
    cell.row[2] = {1e-10, -3e-10, 30e-10};
    Mat3 tilt;
    for (int i = 0; i < 3; ++i) {
      Vec3 axis{double(i == 0), double(i == 1), double(i == 2)};
      axis = rotated(axis, unit({1, 1, 0}), 0.004);
      (&tilt.row[0].x)[i] = axis.x, (&tilt.row[1].x)[i] = axis.y, (&tilt.row[2].x)[i] = axis.z;
    }
    blocks = orientations(cell, {Mat3{}, tilt}, {0, 1, 0}, 0.3, 0.002, 2);
    std::mt19937 random(1);
    amplitudes.resize(2);
    for (auto& channel : amplitudes)
      for (int h = -range; h <= range; ++h)
        for (int k = -range; k <= range; ++k)
          for (int l = -range; l <= range; ++l) channel.push_back({{h, k, l}, 1 + random() % 100 / 10.0});
  }

  double amplitude(int channel, double h, double k, double l) const {
    const double default_amplitude = 2;
    if (h == 0 && k == 0 && l == 0) return 0;
    if (std::max({std::abs(h), std::abs(k), std::abs(l)}) > range) return default_amplitude;
    const int side = 2 * range + 1;
    return amplitudes[channel][((int(h) + range) * side + int(k) + range) * side + int(l) + range].value;
  }

  double interpolated(int channel, Vec3 hkl) const {
    const double at[3] = {hkl.x, hkl.y, hkl.z};
    double weight[3][4], sum = 0;
    for (int axis = 0; axis < 3; ++axis)
      for (int i = 0; i < 4; ++i) {
        weight[axis][i] = 1;
        const double base = std::floor(at[axis]) - 1;
        for (int j = 0; j < 4; ++j)
          if (j != i) weight[axis][i] *= (at[axis] - (base + j)) / (i - j);
      }
    for (int a = 0; a < 64; ++a)
      sum += weight[0][a / 16] * weight[1][a / 4 % 4] * weight[2][a % 4] *
             amplitude(channel, std::floor(at[0]) - 1 + a / 16, std::floor(at[1]) - 1 + a / 4 % 4,
                       std::floor(at[2]) - 1 + a % 4);
    return sum;
  }
};

void reflection_driven(Workspace& in, Image& image, const Scene& scene, Interpolation interpolation) {
  add_spots_reflection_driven(in, image, scene, interpolation);
}

constexpr auto engines = {add_spots_pixel_driven, reflection_driven};

double profile(Shape shape, Vec3 hkl) {
  const double h[3] = {hkl.x, hkl.y, hkl.z};
  double product = 1, r2 = 0, volume = 1;
  for (int i = 0; i < 3; ++i) {
    const double d = h[i] - std::ceil(h[i] - 0.5), x = M_PI * d, n = cells[i];
    product *= d == 0 ? n : std::sin(n * x) / std::sin(x);
    r2 += d * d * n * n;
    volume *= n;
  }
  const double x = M_PI * std::sqrt(r2);
  switch (shape) {
    case Shape::square: return product;
    case Shape::round: return volume * 0.723601254558268 * 3 * (std::sin(x) / x - std::cos(x)) / (x * x);
    case Shape::gauss: return volume * std::exp(-r2 / 0.63);
    case Shape::gauss_argchk: return r2 / 0.63 < 35 ? volume * std::exp(-r2 / 0.63) : 0;
    case Shape::tophat: return r2 < 0.3969 ? volume : 0;
  }
  return NAN;
}

std::vector<double> expected(const Experiment& e, Shape shape, Interpolation interpolation) {
  std::vector<double> image;
  double total_weight = 0;
  for (const Source& s : e.sources) total_weight += s.weight;
  for (const Panel& p : e.panels) {
    Vec3 normal = unit(cross(p.fast, p.slow));
    if (dot(normal, p.origin) < 0) normal = -normal;
    const double layer = p.sensor_thickness / layers;
    for (int slow = 0; slow < p.n_slow; ++slow)
      for (int fast = 0; fast < p.n_fast; ++fast) {
        double sum = 0;
        for (int step = 0; step < oversample * oversample * layers; ++step) {
          const int depth = step / (oversample * oversample);
          const double f = (fast + (step % oversample + 0.5) / oversample) * p.pixel_fast;
          const double s = (slow + (step / oversample % oversample + 0.5) / oversample) * p.pixel_slow;
          const Vec3 position = p.origin + f * p.fast + s * p.slow + depth * layer * normal;
          const Vec3 d = unit(position);
          const double r = norm(position), per_depth = 1 / p.attenuation_length / dot(d, normal);
          const double solid_angle = p.pixel_fast * p.pixel_slow / (r * r) * dot(normal, p.origin) / r;
          const double absorbed = std::exp(-depth * layer * per_depth) - std::exp(-(depth + 1) * layer * per_depth);
          for (const Source& source : e.sources) {
            const Vec3 incident = unit(source.direction), b = unit(cross(field, incident)),
                       electric = cross(incident, b);
            const double cosine = dot(d, incident), psi = std::atan2(dot(d, b), dot(d, electric));
            const double polarization = 0.5 * (1 + cosine * cosine - kahn * std::cos(2 * psi) * (1 - cosine * cosine));
            for (const Mat3& block : e.blocks) {
              const Vec3 hkl = (1 / source.wavelength) * (block * (d - incident));
              const double F = interpolation == Interpolation::tricubic
                                   ? e.interpolated(source.channel, hkl)
                                   : e.amplitude(source.channel, std::ceil(hkl.x - 0.5), std::ceil(hkl.y - 0.5),
                                                 std::ceil(hkl.z - 0.5));
              const double amplitude = F * profile(shape, hkl);
              sum += source.weight / total_weight * solid_angle * absorbed * polarization * amplitude * amplitude;
            }
          }
        }
        image.push_back(thomson_cross_section * fluence * 7.0 * sum / (oversample * oversample) /
                        double(e.blocks.size()));
      }
  }
  return image;
}

}  // namespace

TEST(spots_are_the_sum_over_all_terms) {
  const Experiment e;
  const Detector detector(e.panels, {oversample, layers, 0, false});
  const Sources sources(e.sources, {true, kahn, field}, fluence);
  const StructureFactors structure_factors(e.amplitudes, 2, 0);
  for (Shape shape : {Shape::square, Shape::round, Shape::gauss, Shape::gauss_argchk, Shape::tophat})
    for (Interpolation interpolation : {Interpolation::nearest, Interpolation::tricubic}) {
      const Crystal crystal(e.blocks, cells, shape, 7);
      const auto want = expected(e, shape, interpolation);
      const double brightest = *std::max_element(want.begin(), want.end());
      CHECK(brightest > 0);
      const bool ends = shape != Shape::square && shape != Shape::round;
      for (auto add_spots : engines) {
        Image image(workspace(), detector.n_pixels());
        if (add_spots == reflection_driven && !ends) {
          CHECK_THROWS(add_spots(workspace(), image, {detector, sources, crystal, structure_factors}, interpolation),
                       std::invalid_argument);
          continue;
        }
        add_spots(workspace(), image, {detector, sources, crystal, structure_factors}, interpolation);
        const auto got = image.on_host(workspace());
        for (std::size_t i = 0; i < want.size(); ++i) CHECK_CLOSE(got.get()[i], want[i], 1e-12 * brightest);
      }
    }
}

TEST(a_tolerance_bounds_what_is_left_out_of_the_sum) {
  const Experiment e;
  const Detector detector(e.panels, {oversample, layers, 0, false});
  const Sources sources(e.sources, {true, kahn, field}, fluence);
  const StructureFactors structure_factors(e.amplitudes, 2, 0);
  for (Shape shape : {Shape::square, Shape::round, Shape::gauss})
    for (Interpolation interpolation : {Interpolation::nearest, Interpolation::tricubic}) {
      const Crystal crystal(e.blocks, cells, shape, 7);
      const auto want = expected(e, shape, interpolation);
      const double brightest = *std::max_element(want.begin(), want.end());
      for (double tolerance : {1e-12, 1e-3, 0.01, 0.1}) {
        Image image(workspace(), detector.n_pixels());
        add_spots_reflection_driven(workspace(), image, {detector, sources, crystal, structure_factors}, interpolation,
                                    tolerance);
        const auto got = image.on_host(workspace());
        for (std::size_t i = 0; i < want.size(); ++i) {
          CHECK(want[i] - got.get()[i] <= (tolerance + 1e-12) * brightest);
          CHECK(got.get()[i] - want[i] <= 1e-12 * brightest);
        }
      }
    }
}

TEST(a_tolerance_that_cannot_be_is_refused) {
  const Experiment e;
  const Detector detector(e.panels, {});
  const Sources sources(e.sources, {true, kahn, field}, fluence);
  const StructureFactors structure_factors(e.amplitudes, 2, 0);
  for (Shape shape : {Shape::round, Shape::gauss})
    for (double tolerance : {0.0, 1.0, -1.0, double(NAN)}) {
      const Crystal crystal(e.blocks, cells, shape);
      Image image(workspace(), detector.n_pixels());
      CHECK_THROWS(add_spots_reflection_driven(workspace(), image, {detector, sources, crystal, structure_factors},
                                               Interpolation::nearest, tolerance),
                   std::invalid_argument);
      CHECK_THROWS(reflection_driven_work(workspace(), {detector, sources, crystal, structure_factors},
                                          Interpolation::nearest, tolerance),
                   std::invalid_argument);
    }
}

TEST(an_engine_gives_the_same_bits_every_time) {
  const Experiment e;
  const Detector detector(e.panels, {oversample, layers, 0, false});
  const Sources sources(e.sources, {true, kahn, field}, fluence);
  const StructureFactors structure_factors(e.amplitudes, 2, 0);
  const Crystal crystal(e.blocks, cells, Shape::gauss);
  for (auto add_spots : engines) {
    Image once(workspace(), detector.n_pixels());
    add_spots(workspace(), once, {detector, sources, crystal, structure_factors}, Interpolation::nearest);
    for (int repeat = 0; repeat < 3; ++repeat) {
      Image again(workspace(), detector.n_pixels());
      add_spots(workspace(), again, {detector, sources, crystal, structure_factors}, Interpolation::nearest);
      CHECK(std::equal(once.on_host(workspace()).get(), once.on_host(workspace()).get() + once.size(),
                       again.on_host(workspace()).get()));
    }
  }
}

TEST(masked_pixels_are_left_alone) {
  const Experiment e;
  std::vector<std::uint8_t> mask(2 * 13 * 9, 1);
  mask[5] = mask[120] = 0;
  const Detector detector(e.panels, {1, 1, 0, false}, mask);
  Image image(workspace(), detector.n_pixels());
  add_spots_pixel_driven(workspace(), image,
                         {detector, Sources(e.sources, {true, kahn, field}, fluence),
                          Crystal(e.blocks, cells, Shape::square), StructureFactors(e.amplitudes, 2, 5)},
                         Interpolation::nearest);
  for (std::size_t i = 0; i < mask.size(); ++i) CHECK((image.on_host(workspace()).get()[i] != 0) == bool(mask[i]));
}

// The kernels read the same of amplitudes in memory of the host, laid out for them, as of a list.
TEST(amplitudes_in_memory_give_the_same_image) {
  const Experiment e;
  const int side = 2 * range + 1, n = side * side * side, channels = int(e.amplitudes.size());
  auto values = std::make_shared<std::vector<double>>(n * channels + structure_factors_padding);
  auto strongest = std::make_shared<std::vector<float>>(n);
  for (int i = 0; i < n; ++i)
    for (int c = 0; c < channels; ++c) {
      const Amplitude& a = e.amplitudes[c][i];
      const double value = a.hkl == std::array<int, 3>{0, 0, 0} ? 0 : a.value;
      (*values)[i * channels + c] = value;
      (*strongest)[i] = std::max((*strongest)[i], float(value) * 1.0001f);
    }
  using Both = std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>;
  AmplitudesInMemory given{{-range, -range, -range}, {side, side, side}, channels,
                           values->data(),           strongest->data(),  std::make_shared<Both>(values, strongest)};
  const StructureFactors in_memory(given);
  // They keep the memory alive.
  const std::weak_ptr<void> watched = values;
  given.owner.reset();
  values.reset();
  strongest.reset();
  if (host_is_device) CHECK(!watched.expired());
  const Detector detector(e.panels, {oversample, layers, 0, false});
  const Sources sources(e.sources, {true, kahn, field}, fluence);
  const Crystal crystal(e.blocks, cells, Shape::gauss);
  const StructureFactors listed(e.amplitudes, 0, 0);
  Image one(workspace(), detector.n_pixels()), other(workspace(), detector.n_pixels());
  add_spots_pixel_driven(workspace(), one, {detector, sources, crystal, listed}, Interpolation::nearest);
  add_spots_pixel_driven(workspace(), other, {detector, sources, crystal, in_memory}, Interpolation::nearest);
  double brightest = 0;
  for (std::size_t i = 0; i < one.size(); ++i) {
    CHECK(one.on_host(workspace()).get()[i] == other.on_host(workspace()).get()[i]);
    brightest = std::max(brightest, one.on_host(workspace()).get()[i]);
  }
  CHECK(brightest > 0);
}

TEST(a_channel_that_is_not_there_is_refused) {
  const Experiment e;
  const Detector detector(e.panels, {});
  Image image(workspace(), detector.n_pixels());
  CHECK_THROWS(
      add_spots_pixel_driven(workspace(), image,
                             {detector, Sources(e.sources, {true, kahn, field}, fluence),
                              Crystal(e.blocks, cells, Shape::square), StructureFactors({e.amplitudes[0]}, 2, 0)},
                             Interpolation::nearest),
      std::invalid_argument);
}

// Patches of more than a hundred pixels a side come in pieces; hundreds of them in each tile.
TEST(engines_agree_where_patches_are_large_and_many) {
  const Experiment e;
  const Detector detector({flat_panel(200, 170, 4e-4)}, {});
  const Sources sources(e.sources, {true, kahn, field}, fluence);
  const StructureFactors structure_factors(e.amplitudes, 0, 0);
  std::vector<Mat3> turns(24);
  for (std::size_t i = 0; i < turns.size(); ++i)
    for (int axis = 0; axis < 3; ++axis) {
      const Vec3 turned =
          rotated({double(axis == 0), double(axis == 1), double(axis == 2)}, unit({1, 2, 3}), 1e-3 * double(i));
      (&turns[i].row[0].x)[axis] = turned.x, (&turns[i].row[1].x)[axis] = turned.y,
      (&turns[i].row[2].x)[axis] = turned.z;
    }
  const Crystal crystal(orientations(e.blocks[0], turns, {0, 1, 0}, 0, 0, 1), {2, 3, 2}, Shape::gauss_argchk);
  Image by_pixel(workspace(), detector.n_pixels()), by_reflection(workspace(), detector.n_pixels()),
      again(workspace(), detector.n_pixels());
  add_spots_pixel_driven(workspace(), by_pixel, {detector, sources, crystal, structure_factors},
                         Interpolation::nearest);
  add_spots_reflection_driven(workspace(), by_reflection, {detector, sources, crystal, structure_factors},
                              Interpolation::nearest);
  add_spots_reflection_driven(workspace(), again, {detector, sources, crystal, structure_factors},
                              Interpolation::nearest);
  const auto want = by_pixel.on_host(workspace()), got = by_reflection.on_host(workspace());
  const double brightest = *std::max_element(want.get(), want.get() + by_pixel.size());
  for (std::size_t i = 0; i < by_pixel.size(); ++i) CHECK_CLOSE(got.get()[i], want.get()[i], 1e-12 * brightest);
  CHECK(std::equal(got.get(), got.get() + by_pixel.size(), again.on_host(workspace()).get()));
}
