// Derivatives of spots and backgrounds: against differences of images, and between the engines.
#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>
#include <vector>

#include <nanobragg_kokkos/core/gradients/jacobian.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

const std::array<double, 3> cells{9, 8, 10};

struct Models {
  Panel panel = flat_panel(40, 35, 1e-3);
  std::vector<Source> sources{
      {{0, 0, -1}, 1.00e-10, 1, 0}, {{0, 0, -1}, 1.02e-10, 2, 0}, {{0.01, 0, -1}, 0.99e-10, 1, 0}};
  std::vector<Mat3> blocks;
  std::array<double, 3> n_cells = cells;

  Models() {
    panel.sensor_thickness = 4e-4, panel.attenuation_length = 3e-4;
    Mat3 cell;
    cell.row[0] = {20e-10, 3e-10, 1e-10}, cell.row[1] = {-2e-10, 25e-10, 2e-10}, cell.row[2] = {1e-10, -3e-10, 30e-10};
    blocks = orientations(cell, {Mat3{}}, {0, 1, 0}, 0.3, 0.004, 3);
  }

  Detector detector() const { return Detector({panel}, {2, 2, 0.5, false}); }
  Sources beam() const { return Sources(sources, {true, 0.7, {0, 1, 0}}, 1e25); }
  Crystal crystal() const { return Crystal(blocks, n_cells, Shape::gauss); }
};

StructureFactors random_amplitudes() {
  std::mt19937 random(1);
  std::vector<Amplitude> all;
  for (int h = -8; h <= 8; ++h)
    for (int k = -8; k <= 8; ++k)
      for (int l = -8; l <= 8; ++l) all.push_back({{h, k, l}, 1 + random() % 100 / 10.0});
  return StructureFactors({all}, 0, 0);
}

// The first block's a vector along x, the cells along b, all wavelengths, a shift and a turn of the panel.
std::vector<Tangent> tangents_of(const Models& models) {
  std::vector<Tangent> all(5);
  all[0].blocks.assign(models.blocks.size(), Mat3{{{}, {}, {}}});
  all[0].blocks[0].row[0].x = 1e-10;
  all[1].cells = {0, 1, 0};
  all[2].wavelength = 1e-10;
  all[3].panels = {{{0, 1e-3, 1e-3}, {}}};
  all[4].panels = {{{}, {0, 0, 1}}};
  return all;
}

Models displaced(Models models, int parameter, double step) {
  Panel& panel = models.panel;
  switch (parameter) {
    case 0: models.blocks[0].row[0].x += 1e-10 * step; break;
    case 1: models.n_cells[1] += step; break;
    case 2:
      for (Source& source : models.sources) source.wavelength += 1e-10 * step;
      break;
    case 3: panel.origin = panel.origin + step * Vec3{0, 1e-3, 1e-3}; break;
    default:
      for (Vec3* v : {&panel.origin, &panel.fast, &panel.slow}) *v = rotated(*v, {0, 0, 1}, step);
  }
  return models;
}

std::vector<double> values(const Image& image) {
  const auto host = image.on_host(workspace());
  return {host.get(), host.get() + image.size()};
}

std::vector<double> image_of(const Models& models, const StructureFactors& structure_factors) {
  const Detector detector = models.detector();
  Image image(workspace(), detector.n_pixels());
  add_spots_pixel_driven(workspace(), image, {detector, models.beam(), models.crystal(), structure_factors},
                         Interpolation::nearest);
  return values(image);
}

double largest(const std::vector<double>& all, std::size_t begin, std::size_t n) {
  double most = 0;
  for (std::size_t i = 0; i < n; ++i) most = std::max(most, std::abs(all[begin + i]));
  return most;
}

Amorphous sample() { return Amorphous({{0, 2.5}, {1e9, 3}, {2e9, 6}, {4e9, 4}, {8e9, 2}}, 1e15); }

}  // namespace

TEST(derivatives_are_slopes_of_images_in_both_engines) {
  const Models models;
  const StructureFactors structure_factors = random_amplitudes();
  const Detector detector = models.detector();
  const Sources sources = models.beam();
  const Crystal crystal = models.crystal();
  const Scene scene{detector, sources, crystal, structure_factors};
  const Tangents tangents(tangents_of(models), detector, sources);
  const std::size_t n = detector.n_pixels();
  Jacobian pixel(workspace(), 5, n), reflection(workspace(), 5, n);
  add_spots_jacobian_pixel_driven(workspace(), pixel, scene, Interpolation::nearest, tangents);
  add_spots_jacobian_reflection_driven(workspace(), reflection, scene, Interpolation::nearest, tangents);
  const std::vector<double> image = image_of(models, structure_factors), by_pixel = values(pixel.derivatives()),
                            by_reflection = values(reflection.derivatives()), of_pixel = values(pixel.image());
  CHECK(largest(image, 0, n) > 0);
  for (std::size_t i = 0; i < n; ++i) CHECK_CLOSE(of_pixel[i], image[i], 1e-12 * largest(image, 0, n));
  const double steps[] = {1e-4, 1e-3, 1e-6, 1e-4, 1e-6};
  for (int k = 0; k < 5; ++k) {
    const double most = largest(by_pixel, k * n, n), h = steps[k];
    CHECK(most > 0);
    std::vector<double> at[4];
    const double places[] = {h, -h, 2 * h, -2 * h};
    for (int j = 0; j < 4; ++j) at[j] = image_of(displaced(models, k, places[j]), structure_factors);
    for (std::size_t i = 0; i < n; ++i) {
      CHECK_CLOSE(by_reflection[k * n + i], by_pixel[k * n + i], 1e-10 * most);
      CHECK_CLOSE((8 * (at[0][i] - at[1][i]) - (at[2][i] - at[3][i])) / (12 * h), by_pixel[k * n + i], 1e-6 * most);
    }
  }
}

TEST(derivatives_of_a_background_are_slopes_of_images) {
  const Models models;
  const Detector detector = models.detector();
  const Sources sources = models.beam();
  const Amorphous water = sample();
  Jacobian jacobian(workspace(), 5, detector.n_pixels());
  add_background_jacobian(workspace(), jacobian, detector, sources, water,
                          Tangents(tangents_of(models), detector, sources));
  const std::vector<double> derivatives = values(jacobian.derivatives());
  const std::size_t n = detector.n_pixels();
  const double h = 1e-4;
  for (int k = 2; k < 5; ++k) {
    std::vector<double> at[2];
    for (int j = 0; j < 2; ++j) {
      const Models moved = displaced(models, k, j == 0 ? h : -h);
      const Detector there = moved.detector();
      Image image(workspace(), n);
      add_background(workspace(), image, there, moved.beam(), water);
      at[j] = values(image);
    }
    const double most = largest(derivatives, k * n, n);
    CHECK(most > 0);
    // The slope jumps at the points of the sample's table, which some pixels pass within the step.
    std::size_t off = 0;
    for (std::size_t i = 0; i < n; ++i)
      off += !(std::abs((at[0][i] - at[1][i]) / (2 * h) - derivatives[k * n + i]) <= 1e-5 * most);
    CHECK(off <= n / 100);
  }
}

TEST(tangents_of_other_models_are_refused) {
  const Models models;
  const Detector detector = models.detector();
  const Sources sources = models.beam();
  CHECK_THROWS(Tangents({}, detector, sources), std::invalid_argument);
  std::vector<Tangent> all = tangents_of(models);
  all[3].panels.push_back({});
  CHECK_THROWS(Tangents(all, detector, sources), std::invalid_argument);
  all = tangents_of(models);
  all[1].weights = {1, 2};
  CHECK_THROWS(Tangents(all, detector, sources), std::invalid_argument);
  all = tangents_of(models);
  all[2].wavelength = NAN;
  CHECK_THROWS(Tangents(all, detector, sources), std::invalid_argument);
  const StructureFactors structure_factors = random_amplitudes();
  const Crystal one({models.blocks[0]}, cells, Shape::gauss);
  Jacobian jacobian(workspace(), 5, detector.n_pixels()), other(workspace(), 4, detector.n_pixels());
  const Tangents tangents(tangents_of(models), detector, sources);
  const Scene scene{detector, sources, one, structure_factors};
  CHECK_THROWS(add_spots_jacobian_pixel_driven(workspace(), jacobian, scene, Interpolation::nearest, tangents),
               std::invalid_argument);
  CHECK_THROWS(add_background_jacobian(workspace(), other, detector, sources, sample(), tangents),
               std::invalid_argument);
}
