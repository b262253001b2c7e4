// Single precision decides which wavelengths the reflection-driven engine looks at: its margin must cover its errors.
#include <random>

#include <nanobragg_kokkos/core/spots/wavelength_window.h>

#include "check.h"

using namespace nanobragg;

namespace {

struct Draw {
  std::mt19937_64 random{5};
  double between(double low, double high) { return std::uniform_real_distribution<double>(low, high)(random); }
  double normal() { return std::normal_distribution<double>()(random); }
  Vec3 direction() { return unit({normal(), normal(), normal()}); }
};

DevicePanel panel_at(Vec3 origin, Vec3 fast, double pixel) {
  DevicePanel panel{};
  panel.origin = origin;
  panel.step_fast = pixel * fast;
  panel.step_slow = pixel * unit(cross(fast, fast.z > 0.9 ? Vec3{1, 0, 0} : Vec3{0, 0, 1}));
  panel.normal = unit(cross(panel.step_fast, panel.step_slow));
  panel.close_distance = std::abs(dot(panel.normal, origin));
  panel.layers = 1;
  return panel;
}

}  // namespace

// A ray at a wavelength, and a reach that just takes in the reflection nearest to it, or another one.
TEST(a_wavelength_window_holds_every_wavelength_within_the_reach) {
  Draw draw;
  int tight = 0;
  for (int i = 0; i < 20000; ++i) {
    const double n[] = {2, 57, 1000}, length = draw.between(2e-9, 20e-9);
    const Cells cells{n[i % 3], n[i / 3 % 3], n[i / 9 % 3]};
    Mat3 block;
    double extent2 = 0;
    SingleMat3 single;
    for (int axis = 0; axis < 3; ++axis) {
      block.row[axis] = length * draw.between(0.5, 1) * draw.direction();
      const double along_axis = axis == 0 ? cells.a : axis == 1 ? cells.b : cells.c;
      extent2 += along_axis * along_axis * dot(block.row[axis], block.row[axis]);
      single.row[axis] = to_single(block.row[axis]);
    }
    const DevicePanel panel = panel_at(std::pow(10.0, draw.between(-3, -0.5)) * draw.direction(), draw.direction(),
                                       std::pow(10.0, draw.between(-5, -3)));
    const int fast = i % 16, slow = i / 16 % 16;
    const PixelTable rays;
    const Vec3 diffracted = unit(rays.position(panel, 100 + fast, 50 + slow, 0)), incident = draw.direction();
    const double x = draw.between(4e9, 2e10);
    const Vec3 index = x * (block * (diffracted - incident));
    const int aside = i % 4 == 0 ? 3 : 0;
    Patch patch{};
    patch.h = int(nearest_index(index.x)) + aside, patch.k = int(nearest_index(index.y)),
    patch.l = int(nearest_index(index.z));
    const double distance =
        std::sqrt(reduced_distance2(index.x - patch.h, index.y - patch.k, index.z - patch.l, cells));
    patch.reach = std::nextafter(float(distance), 1e30f);
    const NeighbourRays neighbours(rays, panel, 100, 50, 16, 16, 0);
    const WavelengthWindow window(single, cells, patch, to_single(incident), 1.00001f * float(std::sqrt(extent2) * x),
                                  neighbours.unsteadiness);
    float low, high;
    window(neighbours.direction(fast, slow), low, high);
    CHECK(double(low) <= x && x <= double(high));
    tight += high - low < 0.1 * x;
  }
  CHECK(tight > 5000);  // the margin is not such that everything passes
}
