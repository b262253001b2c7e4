// Which wavelengths a ray may need from a reflection, found in single precision with a margin for its errors.
//
// Along the ray the reduced distance from the reflection is |x p - T|, with p the Miller indices at wavenumber 1 and T the
// reflection, both times the cells along each axis: as a function of the wavenumber x its square is a parabola, and the
// wavelengths that count lie between two roots.
#ifndef NANOBRAGG_KOKKOS_CORE_NEAR_RUN_H
#define NANOBRAGG_KOKKOS_CORE_NEAR_RUN_H

#include "detector_on_device.h"
#include "lattice_shapes.h"
#include "patches.h"
#include "sources_on_device.h"

namespace nanobragg {

struct Float3 {
  float x, y, z;
};
KOKKOS_INLINE_FUNCTION Float3 to_float(Vec3 v) { return {float(v.x), float(v.y), float(v.z)}; }
KOKKOS_INLINE_FUNCTION float dot(Float3 a, Float3 b) { return Kokkos::fma(a.x, b.x, Kokkos::fma(a.y, b.y, a.z * b.z)); }

// The rays to the pixels of a tile, one in each.
struct TileRays {
  Float3 first, step_fast, step_slow;      // m
  float unsteadiness;                      // the error of a direction in units of that far away from the sample

  KOKKOS_INLINE_FUNCTION TileRays(const PixelTable& rays, const DevicePanel& panel, int fast, int slow, int ray) {
    const Vec3 corner = rays.position(panel, fast, slow, ray);
    first = to_float(corner), step_fast = to_float(panel.step_fast), step_slow = to_float(panel.step_slow);
    const double extent = tile_side * (norm(panel.step_fast) + norm(panel.step_slow));
    const double nearest = Kokkos::max(norm(corner) - extent, panel.close_distance);
    unsteadiness = float(Kokkos::min(1e6, (norm(corner) + extent) / (nearest + 1e-30)));
  }

  KOKKOS_INLINE_FUNCTION Float3 direction(int fast, int slow) const {
    const float f = float(fast), s = float(slow);
    const Float3 at{Kokkos::fma(f, step_fast.x, Kokkos::fma(s, step_slow.x, first.x)),
                    Kokkos::fma(f, step_fast.y, Kokkos::fma(s, step_slow.y, first.y)),
                    Kokkos::fma(f, step_fast.z, Kokkos::fma(s, step_slow.z, first.z))};
    const float inverse = 1 / Kokkos::sqrt(dot(at, at));
    return {at.x * inverse, at.y * inverse, at.z * inverse};
  }
};

class NearRun {
 public:
  // Errors, with e = 2^-24, P the rows of the block times cells, all in units of the reduced distance at the largest
  // wavenumber x: directions are off by 8 e for a steady ray, differences of directions by 10 e, p by 14 e |P| more at the
  // most, and the vertex along p by 6 e |T|, |T| being at most 2 |P| x + the reach.  That is below 48 e |P| x.
  KOKKOS_INLINE_FUNCTION NearRun(const Mat3& block, const Cells& cells, const Patch& patch, Float3 incident, float largest_wavenumber,
                                 float unsteadiness)
      : a_{to_float(cells.a * block.row[0])}, b_{to_float(cells.b * block.row[1])}, c_{to_float(cells.c * block.row[2])},
        incident_(incident),
        target_{float(cells.a * patch.h), float(cells.b * patch.k), float(cells.c * patch.l)} {
    const float size = Kokkos::sqrt(dot(a_, a_) + dot(b_, b_) + dot(c_, c_));
    margin_ = (56 + 8 * unsteadiness) * 6e-8f * size * largest_wavenumber;
    const float limit = patch.reach + margin_;
    limit2_ = Kokkos::min(1e30f, limit * limit);
  }

  // The wavenumbers in question; low > high if there are none.
  KOKKOS_INLINE_FUNCTION void operator()(Float3 direction, float& low, float& high) const {
    const Float3 s{direction.x - incident_.x, direction.y - incident_.y, direction.z - incident_.z};
    const Float3 p{dot(a_, s), dot(b_, s), dot(c_, s)};
    const float inverse = 1 / (dot(p, p) + 1e-36f), vertex = dot(p, target_) * inverse;
    const Float3 rest{Kokkos::fma(vertex, p.x, -target_.x), Kokkos::fma(vertex, p.y, -target_.y),
                      Kokkos::fma(vertex, p.z, -target_.z)};
    const float slack = limit2_ - dot(rest, rest);
    const float half = Kokkos::sqrt(Kokkos::max(slack, 0.0f) * inverse) + margin_ * Kokkos::sqrt(inverse);
    low = slack > 0 ? vertex - half : 1;
    high = slack > 0 ? vertex + half : 0;
  }

  // Whether rays within the reach, or a little outside, may be nearer to another reflection.
  KOKKOS_INLINE_FUNCTION bool leaves_cell(const Cells& cells) const {
    return Kokkos::sqrt(limit2_) + margin_ >= 0.49f * float(Kokkos::min(cells.a, Kokkos::min(cells.b, cells.c)));
  }

 private:
  Float3 a_, b_, c_, incident_, target_;
  float margin_, limit2_;
};

// Sources of a direction.
struct Run {
  int begin, end;
};

// Those with wavenumbers from low to high, and perhaps a neighbour at either end.
KOKKOS_INLINE_FUNCTION Run sources_between(float low, float high, const Direction& direction, const DeviceArray<double>& wavenumber) {
  if (direction.per_wavenumber > 0) {
    const int n = direction.end - direction.begin;
    const float start = float(wavenumber(direction.begin)), per = float(direction.per_wavenumber), uneven = 0.125f;
    const float first = Kokkos::ceil((low - start) * per - uneven), last = Kokkos::floor((high - start) * per + uneven) + 1;
    return {direction.begin + int(Kokkos::min(Kokkos::max(first, 0.0f), float(n))),
            direction.begin + int(Kokkos::min(Kokkos::max(last, 0.0f), float(n)))};
  }
  const auto first_at_or_above = [&](double x) {
    int begin = direction.begin, end = direction.end;
    while (begin < end) {
      const int middle = (begin + end) / 2;
      if (wavenumber(middle) < x) begin = middle + 1; else end = middle;
    }
    return begin;
  };
  return {first_at_or_above(low), first_at_or_above(high)};
}

}  // namespace nanobragg
#endif
