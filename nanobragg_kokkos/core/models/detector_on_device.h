// The detector as kernels see it: from the number of a pixel to the rays that end in it.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_DETECTOR_ON_DEVICE_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_DETECTOR_ON_DEVICE_H

#include <cstdint>

#include <nanobragg_kokkos/core/math/exponential.h>
#include <nanobragg_kokkos/core/math/range.h>
#include <nanobragg_kokkos/core/models/detector.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

// Engines that work on parts of a panel cut it into square tiles.
constexpr int tile_side = 16;

struct DevicePanel {
  Vec3 origin;                // m
  Vec3 step_fast, step_slow;  // from one pixel to the next, m
  Vec3 normal;                // points away from the sample
  double close_distance;      // from the sample to the plane of the panel, m
  double pixel_area;          // m^2
  Vec3 dual_fast, dual_slow;  // what a vector in the plane is multiplied with to count pixels, 1/m
  double layer_thickness;     // m
  double first_depth;         // where the photons of the first layer are put, m
  double absorption;          // 1/m; 0: everything is absorbed at the surface
  int layers, rays_of_pixel;
  std::int64_t first_pixel;
  int n_fast, n_slow;
  int first_tile, tiles_fast;  // tiles are numbered through all panels, like pixels
};

// Holds the unit vectors of all directions from the sample to a panel, or to several.
struct Ball {
  Vec3 centre;
  double radius;
};

constexpr int panels_in_group = 16;

// From the sample to a point of the detector.
struct Ray {
  Vec3 direction;  // unit vector
  double weight;   // solid angle (steradian) times the fraction of photons that this layer absorbs, divided by the
                   // number of sub-pixels; the solid angle of a pixel in a distance r is area / r^2, times
                   // the cosine of the obliquity, close_distance / r
};

struct PixelTable {
  DeviceTable<DevicePanel> panels;
  DeviceTable<Ball> around_panel, around_group;  // of panels_in_group panels that follow each other
  DeviceTable<std::uint8_t> mask;                // empty: all pixels
  int oversample = 1;
  double per_sub_pixel = 1;  // 1 / oversample^2
  bool point_pixel = false;
  int n_tiles = 0;
  double largest_weight = 0;  // no pixel's rays have weights of a larger sum

  KOKKOS_INLINE_FUNCTION bool active(std::int64_t pixel) const { return mask.extent(0) == 0 || mask(pixel); }

  // The ray that ends `fast` and `slow` pixels from the corner of a panel in one of its layers.  Without branches, so
  // that a compiler can turn a loop over rays into vector code.
  KOKKOS_FORCEINLINE_FUNCTION Ray ray(const DevicePanel& panel, double fast, double slow, int layer) const {
    const double front = layer * panel.layer_thickness, depth = front + panel.first_depth;
    const Vec3 position = point(panel, fast, slow, depth);
    const double r = norm(position), inverse = 1 / r;
    double weight = per_sub_pixel * inverse * inverse;
    if (!point_pixel) weight *= panel.pixel_area * panel.close_distance * inverse;
    if (panel.absorption > 0) {
      const double cosine = (panel.close_distance + depth) * inverse, per_depth = panel.absorption / cosine;
      weight *= bounded_exp(-front * per_depth) - bounded_exp(-(front + panel.layer_thickness) * per_depth);
    }
    // Nothing is defined where the sample itself lies in the sub-pixel, nor for a ray within the surface of the panel.
    const bool crosses = !(panel.absorption > 0) | (panel.close_distance + depth > 0), defined = (r > 0) & crosses;
    return {
        {defined ? inverse * position.x : 0, defined ? inverse * position.y : 0, defined ? inverse * position.z : 0},
        defined ? weight : 0};
  }

  KOKKOS_INLINE_FUNCTION static Vec3 point(const DevicePanel& panel, double fast, double slow, double depth) {
    return along(along(along(panel.origin, depth, panel.normal), slow, panel.step_slow), fast, panel.step_fast);
  }

  // Ray number i of a pixel: its layers one after the other, in each the sub-pixels.
  KOKKOS_FORCEINLINE_FUNCTION Ray ray_of_pixel(const DevicePanel& panel, int fast, int slow, int i) const {
    const int n = oversample, layer = i / (n * n), sub_slow = i / n % n, sub_fast = i % n;
    return ray(panel, fast + (sub_fast + 0.5) / n, slow + (sub_slow + 0.5) / n, layer);
  }

  // Where it ends, m.
  KOKKOS_INLINE_FUNCTION Vec3 position(const DevicePanel& panel, int fast, int slow, int i) const {
    const int n = oversample, layer = i / (n * n), sub_slow = i / n % n, sub_fast = i % n;
    return point(panel, fast + (sub_fast + 0.5) / n, slow + (sub_slow + 0.5) / n,
                 layer * panel.layer_thickness + panel.first_depth);
  }

  // Calls visit(direction, weight) for each ray of a pixel that has a weight.
  template <class Visit>
  KOKKOS_INLINE_FUNCTION void for_each(std::int64_t pixel, const Visit& visit) const {
    const DevicePanel& panel = panels(panel_of(pixel));
    const std::int64_t in_panel = pixel - panel.first_pixel;
    const int slow = int(in_panel / panel.n_fast), fast = int(in_panel % panel.n_fast);
    for (int i = 0; i < panel.rays_of_pixel; ++i) {
      const Ray here = ray_of_pixel(panel, fast, slow, i);
      if (here.weight > 0) visit(here.direction, here.weight);
    }
  }

  KOKKOS_INLINE_FUNCTION int panel_of_tile(int tile) const {
    return last_panel([&](const DevicePanel& panel) { return panel.first_tile <= tile; });
  }

  KOKKOS_INLINE_FUNCTION int panel_of(std::int64_t pixel) const {
    return last_panel([&](const DevicePanel& panel) { return panel.first_pixel <= pixel; });
  }

 private:
  // The last panel that starts at or before something.
  template <class Starts>
  KOKKOS_INLINE_FUNCTION int last_panel(const Starts& starts) const {
    return first_where({1, int(panels.extent(0))}, [&](int i) { return !starts(panels(i)); }) - 1;
  }
};

struct Detector::OnDevice : ResidentTable<PixelTable> {};

}  // namespace nanobragg
#endif
