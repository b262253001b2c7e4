// Images that are computed in different workspaces at the same time.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>
#include <vector>

#include <nanobragg_kokkos/core/runtime/device_buffers.h>
#include <nanobragg_kokkos/core/spots/spots.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

double seconds(const std::function<void()>& run) {
  double best = 1e30;
  for (int attempt = 0; attempt < 5; ++attempt) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

}  // namespace

// So few pixels with so many terms that one image leaves most of a large GPU idle: two take about as long as one.  On a
// CPU, where every image takes all threads, only the bits are compared.
TEST(images_in_two_workspaces_are_computed_side_by_side) {
  std::vector<Source> spectrum;
  for (int i = 0; i < (host_is_device ? 50 : 1500); ++i) spectrum.push_back({{0, 0, -1}, 1e-10 + 1e-15 * i, 1, 0});
  const Sources sources(spectrum, {true, 0.5, {1, 0, 0}}, 1e30);
  const double a = 60e-10;
  Mat3 cell;
  cell.row[0] = {a, 0, 0}, cell.row[1] = {0, a, 0}, cell.row[2] = {0, 0, a};
  const StructureFactors structure_factors({{}}, 10, 10);
  const Detector detector({flat_panel(50, 40, 1e-3)}, {});
  std::vector<Crystal> crystals;
  for (const double start : {0.01, 0.02})
    crystals.emplace_back(orientations(cell, {Mat3{}}, {0, 1, 0}, start, 1e-3, 20), std::array<double, 3>{20, 20, 20},
                          Shape::square);
  Workspace workspaces[2];
  std::vector<Image> alone, together;
  for (Workspace& own : workspaces)
    alone.emplace_back(own, detector.n_pixels()), together.emplace_back(own, detector.n_pixels());
  const auto simulate = [&](std::vector<Image>& images, int i) {
    images[i].clear(workspaces[i]);
    add_spots_pixel_driven(workspaces[i], images[i], {detector, sources, crystals[i], structure_factors},
                           Interpolation::nearest);
  };
  const double one = seconds([&] { simulate(alone, 0); });
  simulate(alone, 1);
  const double two = seconds([&] {
    std::thread other([&] { simulate(together, 1); });
    simulate(together, 0);
    other.join();
  });
  for (int i = 0; i < 2; ++i) {
    const auto want = alone[i].on_host(workspaces[i]), got = together[i].on_host(workspaces[i]);
    CHECK(*std::max_element(want.get(), want.get() + detector.n_pixels()) > 0);
    CHECK(std::equal(want.get(), want.get() + detector.n_pixels(), got.get()));
  }
  std::printf("one image alone: %.3g ms; two side by side: %.3g ms, %.2f times as long\n", 1e3 * one, 1e3 * two,
              two / one);
  // Tools that watch every access may let one kernel run at a time.
  if (!host_is_device && !std::getenv("NANOBRAGG_KOKKOS_TESTS_UNTIMED")) CHECK(two < 1.9 * one);
}
