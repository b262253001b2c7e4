// Which wavelengths a ray may need from a reflection, found in single precision with a margin for its errors.
//
// Along the ray the reduced distance from the reflection is |x p - T|, with p the Miller indices at wavenumber 1 and T
// the reflection, both times the cells along each axis: as a function of the wavenumber x its square is a parabola, and
// the wavelengths that count lie between two roots.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_WAVELENGTH_WINDOW_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_WAVELENGTH_WINDOW_H

#include <nanobragg_kokkos/core/models/crystal_on_device.h>
#include <nanobragg_kokkos/core/models/detector_on_device.h>
#include <nanobragg_kokkos/core/models/lattice_shapes.h>
#include <nanobragg_kokkos/core/models/sources_on_device.h>
#include <nanobragg_kokkos/core/spots/patches.h>

namespace nanobragg {

KOKKOS_INLINE_FUNCTION float length(SingleVec3 v) { return Kokkos::sqrt(dot(v, v)); }

// The rays to neighbouring pixels, one in each.
struct NeighbourRays {
  SingleVec3 first, step_fast, step_slow;  // m
  float unsteadiness;                      // the error of a direction in units of that far away from the sample

  // The ray to a pixel and those to n_fast × n_slow pixels from there.
  KOKKOS_INLINE_FUNCTION NeighbourRays(const PixelTable& rays, const DevicePanel& panel, int fast, int slow, int n_fast,
                                       int n_slow, int ray) {
    const Vec3 corner = rays.position(panel, fast, slow, ray);
    first = to_single(corner), step_fast = to_single(panel.step_fast), step_slow = to_single(panel.step_slow);
    const float extent = n_fast * length(step_fast) + n_slow * length(step_slow), r = length(first);
    const float nearest = Kokkos::max(r - extent, float(panel.close_distance));
    unsteadiness = Kokkos::min(1e6f, (r + extent) / (nearest + 1e-30f));
  }

  KOKKOS_INLINE_FUNCTION SingleVec3 direction(int fast, int slow) const {
    const float f = float(fast), s = float(slow);
    const SingleVec3 at{Kokkos::fma(f, step_fast.x, Kokkos::fma(s, step_slow.x, first.x)),
                        Kokkos::fma(f, step_fast.y, Kokkos::fma(s, step_slow.y, first.y)),
                        Kokkos::fma(f, step_fast.z, Kokkos::fma(s, step_slow.z, first.z))};
    const float inverse = 1 / Kokkos::sqrt(dot(at, at));
    return {at.x * inverse, at.y * inverse, at.z * inverse};
  }
};

class WavelengthWindow {
 public:
  // extent: the length of the block's rows times cells, all taken together, times the largest wavenumber x, or more.
  // Errors, with e = 2^-24 and P for the rows times cells, in units of the reduced distance: directions are off by 8 e
  // for a steady ray, differences of directions by 10 e, p by 14 e |P| more at the most, and the vertex along p by 6 e
  // |T|, |T| being at most 2 |P| x + the reach.  That is below 48 e |P| x.
  KOKKOS_INLINE_FUNCTION WavelengthWindow(const SingleMat3& block, const Cells& cells, const Patch& patch,
                                          SingleVec3 incident, float extent, float unsteadiness)
      : a_(float(cells.a) * block.row[0]),
        b_(float(cells.b) * block.row[1]),
        c_(float(cells.c) * block.row[2]),
        incident_(incident),
        target_{float(cells.a) * patch.h, float(cells.b) * patch.k, float(cells.c) * patch.l},
        margin_((56 + 8 * unsteadiness) * 6e-8f * extent) {
    const float limit = patch.reach + margin_;
    limit2_ = Kokkos::min(1e30f, limit * limit);
  }

  // The wavenumbers in question; low > high if there are none.
  KOKKOS_INLINE_FUNCTION void operator()(SingleVec3 direction, float& low, float& high) const {
    const SingleVec3 s{direction.x - incident_.x, direction.y - incident_.y, direction.z - incident_.z};
    const SingleVec3 p{dot(a_, s), dot(b_, s), dot(c_, s)};
    const float inverse = 1 / (dot(p, p) + 1e-36f), vertex = dot(p, target_) * inverse;
    const SingleVec3 rest{Kokkos::fma(vertex, p.x, -target_.x), Kokkos::fma(vertex, p.y, -target_.y),
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
  SingleVec3 a_, b_, c_, incident_, target_;
  float margin_, limit2_;
};

// The sources of a direction with wavenumbers from low to high, and perhaps a neighbour at either end.
KOKKOS_INLINE_FUNCTION Range sources_between(float low, float high, const Direction& direction,
                                             const DeviceTable<double>& wavenumber) {
  const Range all = direction.sources;
  if (direction.per_wavenumber > 0) {
    const float n = float(all.size()), start = float(wavenumber(all.begin)), per = float(direction.per_wavenumber),
                uneven = 0.125f;
    const float first = Kokkos::ceil((low - start) * per - uneven),
                last = Kokkos::floor((high - start) * per + uneven) + 1;
    return {all.begin + int(Kokkos::min(Kokkos::max(first, 0.0f), n)),
            all.begin + int(Kokkos::min(Kokkos::max(last, 0.0f), n))};
  }
  const auto first_at_or_above = [&](double x) {
    return first_where(all, [&](int i) { return !(wavenumber(i) < x); });
  };
  return {first_at_or_above(low), first_at_or_above(high)};
}

}  // namespace nanobragg
#endif
