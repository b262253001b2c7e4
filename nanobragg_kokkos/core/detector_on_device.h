// The detector as kernels see it: from the number of a pixel to the rays that end in it.
#ifndef NANOBRAGG_KOKKOS_CORE_DETECTOR_ON_DEVICE_H
#define NANOBRAGG_KOKKOS_CORE_DETECTOR_ON_DEVICE_H

#include <cstdint>

#include "detector.h"
#include "device_array.h"

namespace nanobragg {

// Engines that work on parts of a panel cut it into square tiles.
constexpr int tile_side = 16;

struct DevicePanel {
  Vec3 origin;                  // m
  Vec3 step_fast, step_slow;    // from one pixel to the next, m
  Vec3 normal;                  // points away from the sample
  double close_distance;        // from the sample to the plane of the panel, m
  double pixel_area;            // m^2
  Vec3 dual_fast, dual_slow;    // what a vector in the plane is multiplied with to count pixels, 1/m
  double layer_thickness;       // m
  double first_depth;           // where the photons of the first layer are put, m
  double absorption;            // 1/m; 0: everything is absorbed at the surface
  int layers;
  std::int64_t first_pixel;
  int n_fast, n_slow;
  int first_tile, tiles_fast;   // tiles are numbered through all panels, like pixels
};

struct PixelTable {
  DeviceArray<DevicePanel> panels;
  DeviceArray<std::uint8_t> mask;      // empty: all pixels
  int oversample = 1;
  bool point_pixel = false;
  int n_tiles = 0;

  KOKKOS_INLINE_FUNCTION bool active(std::int64_t pixel) const { return mask.extent(0) == 0 || mask(pixel); }

  // Calls visit(direction, weight) for each sub-pixel and layer; direction is the unit vector from the sample,
  // weight the solid angle (steradian) times the fraction of photons that this layer absorbs, divided by the number of
  // sub-pixels.  The solid angle of a pixel in a distance r is area / r^2, times the cosine of the obliquity,
  // close_distance / r.
  template <class Visit>
  KOKKOS_INLINE_FUNCTION void for_each(std::int64_t pixel, const Visit& visit) const {
    const DevicePanel& panel = panels(panel_of(pixel));
    const std::int64_t in_panel = pixel - panel.first_pixel;
    for_each(panel, int(in_panel % panel.n_fast), int(in_panel / panel.n_fast), visit);
  }

  template <class Visit>
  KOKKOS_INLINE_FUNCTION void for_each(const DevicePanel& panel, int fast, int slow, const Visit& visit) const {
    const int n = oversample;
    const double share = 1.0 / (double(n) * n);
    for (int layer = 0; layer < panel.layers; ++layer) {
      const double front = layer * panel.layer_thickness, depth = front + panel.first_depth;
      const Vec3 corner = along(panel.origin, depth, panel.normal);
      for (int i = 0; i < n; ++i)
        for (int j = 0; j < n; ++j) {
          const Vec3 position =
              along(along(corner, slow + (i + 0.5) / n, panel.step_slow), fast + (j + 0.5) / n, panel.step_fast);
          const double r2 = dot(position, position), r = std::sqrt(r2);
          if (r == 0) continue;          // the sample itself lies in this sub-pixel: nothing is defined there
          const Vec3 direction = (1 / r) * position;
          double weight = share / r2;
          if (!point_pixel) weight *= panel.pixel_area * panel.close_distance / r;
          if (panel.absorption > 0) {
            const double cosine = (panel.close_distance + depth) / r;
            if (cosine == 0) continue;   // the ray runs within the surface
            const double per_depth = panel.absorption / cosine;
            weight *= std::exp(-front * per_depth) - std::exp(-(front + panel.layer_thickness) * per_depth);
          }
          visit(direction, weight);
        }
    }
  }

  KOKKOS_INLINE_FUNCTION int panel_of_tile(int tile) const {
    return last_panel([&](const DevicePanel& panel) { return panel.first_tile <= tile; });
  }

 private:
  KOKKOS_INLINE_FUNCTION int panel_of(std::int64_t pixel) const {
    return last_panel([&](const DevicePanel& panel) { return panel.first_pixel <= pixel; });
  }

  // The last panel that starts at or before something.
  template <class Starts>
  KOKKOS_INLINE_FUNCTION int last_panel(const Starts& starts) const {
    int low = 0, high = int(panels.extent(0));
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      if (starts(panels(middle))) low = middle; else high = middle;
    }
    return low;
  }
};

struct Detector::OnDevice : Kept<PixelTable> {};

}  // namespace nanobragg
#endif
