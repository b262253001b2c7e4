// Images, and lists of shoeboxes, that are computed in different workspaces at the same time.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include <nanobragg_kokkos/core/runtime/device_buffers.h>
#include <nanobragg_kokkos/core/spots/spots.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

// Tools that watch every access may let one kernel run at a time.
bool timed() { return !std::getenv("NANOBRAGG_KOKKOS_TESTS_UNTIMED"); }

double seconds(const std::function<void()>& run) {
  double best = 1e30;
  for (int attempt = 0; attempt < (timed() ? 5 : 1); ++attempt) {
    const auto begin = std::chrono::steady_clock::now();
    run();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

// So few pixels with so many terms that an image of one of these detectors leaves most of a large GPU idle.
class SmallImages {
 public:
  explicit SmallImages(const std::vector<std::vector<Panel>>& detectors)
      : sources_(spectrum(), {true, 0.5, {1, 0, 0}}, 1e30),
        structure_factors_({{}}, 10, 10),
        workspaces_(detectors.size()) {
    const double a = 60e-10;
    Mat3 cell;
    cell.row[0] = {a, 0, 0}, cell.row[1] = {0, a, 0}, cell.row[2] = {0, 0, a};
    for (std::size_t i = 0; i < detectors.size(); ++i) {
      detectors_.emplace_back(detectors[i], Sampling{});
      crystals_.emplace_back(orientations(cell, {Mat3{}}, {0, 1, 0}, 0.01 * double(i + 1), 1e-3, 20),
                             std::array<double, 3>{20, 20, 20}, Shape::square);
      for (auto* images : {&alone_, &together_}) images->emplace_back(workspaces_[i], detectors_[i].n_pixels());
    }
  }

  // Times of all images one after the other in one workspace, and side by side in one for each.  On a CPU, where every
  // image takes all threads, only the bits are compared.
  void compare(const char* what, double most_of_the_time) {
    const std::size_t n = detectors_.size();
    const double in_turn = seconds([&] {
      for (std::size_t i = 0; i < n; ++i) simulate(workspaces_[0], alone_[i], i);
    });
    const double side_by_side = seconds([&] {
      std::vector<std::thread> threads;
      for (std::size_t i = 0; i < n; ++i)
        threads.emplace_back([this, i] { simulate(workspaces_[i], together_[i], i); });
      for (std::thread& thread : threads) thread.join();
    });
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t n_pixels = detectors_[i].n_pixels();
      const auto want = alone_[i].on_host(workspaces_[i]), got = together_[i].on_host(workspaces_[i]);
      CHECK(*std::max_element(want.get(), want.get() + n_pixels) > 0);
      CHECK(std::equal(want.get(), want.get() + n_pixels, got.get()));
    }
    std::printf("%s one after the other: %.3g ms; side by side: %.3g ms, %.2f of the time\n", what, 1e3 * in_turn,
                1e3 * side_by_side, side_by_side / in_turn);
    if (!host_is_device && timed()) CHECK(side_by_side < most_of_the_time * in_turn);
  }

 private:
  static std::vector<Source> spectrum() {
    std::vector<Source> sources;
    for (int i = 0; i < (host_is_device ? 50 : 1500); ++i) sources.push_back({{0, 0, -1}, 1e-10 + 1e-15 * i, 1, 0});
    return sources;
  }

  void simulate(Workspace& workspace, Image& image, std::size_t i) {
    image.clear(workspace);
    add_spots_pixel_driven(workspace, image, {detectors_[i], sources_, crystals_[i], structure_factors_},
                           Interpolation::nearest);
  }

  const Sources sources_;
  const StructureFactors structure_factors_;
  std::deque<Workspace> workspaces_;
  std::vector<Detector> detectors_;
  std::vector<Crystal> crystals_;
  std::vector<Image> alone_, together_;
};

// A panel for each, from one corner of an area to the other.
std::vector<Panel> shoeboxes(int n, double shift) {
  std::vector<Panel> panels;
  for (int i = 0; i < n; ++i) {
    Panel panel = flat_panel(12, 12, 1e-3);
    panel.origin = panel.origin + Vec3{1e-3 * (i % 8 * 14 - 50 + shift), 1e-3 * (i / 8 * 14 - 50), 0};
    panels.push_back(panel);
  }
  return panels;
}

}  // namespace

TEST(two_images_are_computed_side_by_side) {
  SmallImages({{flat_panel(50, 40, 1e-3)}, {flat_panel(50, 40, 1e-3)}}).compare("two images", 0.9);
}

TEST(lists_of_shoeboxes_are_computed_side_by_side) {
  std::vector<std::vector<Panel>> lists;
  for (int i = 0; i < 8; ++i) lists.push_back(shoeboxes(host_is_device ? 4 : 40, i));
  SmallImages(lists).compare("eight lists of shoeboxes", 0.7);
}
