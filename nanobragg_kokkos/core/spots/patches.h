// Which pixels a reflection can light.
//
// A reflection G shines, at wavenumber x, into directions d with |x (d - s0) - G| < rho, where rho is the longest
// vector of reciprocal space that the shape (or the cell of the nearest reflection) reaches.  So d lies within the
// angle asin(rho / x |e|) of e = s0 + G / x, which moves along a straight line as x changes: on the panel, a straight
// strip.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_PATCHES_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_PATCHES_H

#include <array>
#include <cstdint>

#include <nanobragg_kokkos/core/math/range.h>
#include <nanobragg_kokkos/core/models/crystal_on_device.h>
#include <nanobragg_kokkos/core/models/detector_on_device.h>
#include <nanobragg_kokkos/core/models/scene.h>
#include <nanobragg_kokkos/core/models/sources_on_device.h>
#include <nanobragg_kokkos/core/models/structure_factors_on_device.h>
#include <nanobragg_kokkos/core/spots/reach.h>

namespace nanobragg {

// A reflection of a block that the light of a direction may excite.
struct Candidate {
  std::int64_t row;  // see PatchSearch
  int l;
};

// The pixels of a panel that one reflection of one block, in the light of one direction, may reach.
struct Patch {
  std::int64_t order;  // ascends with block, direction, h, k and l
  int block, direction, panel;
  int h, k, l;
  float reach;                     // in units of the shape
  Range fast, slow;                // of the panel's columns and rows
  float line_fast, line_slow;      // one end of the middle line of the strip
  float along_fast, along_slow;    // unit vector along it
  float half_width;                // pixels, half a pixel's diagonal included
  std::int64_t first_patch_pixel;  // see PatchPixels

  KOKKOS_INLINE_FUNCTION int n_fast() const { return fast.size(); }
  KOKKOS_INLINE_FUNCTION int n_slow() const { return slow.size(); }
  KOKKOS_INLINE_FUNCTION int size() const { return n_fast() * n_slow(); }
};

// The pixels of a row of the panel, of those in `fast`, that the strip covers.
KOKKOS_INLINE_FUNCTION Range strip_in_row(const Patch& patch, int slow, Range fast) {
  const int first = Kokkos::max(fast.begin, patch.fast.begin), last = Kokkos::min(fast.end, patch.fast.end);
  const float up = slow + 0.5f - patch.line_slow;
  if (Kokkos::abs(patch.along_slow) < 1e-4f)  // along the row, but for less than a pixel in its length
    return Kokkos::abs(up * patch.along_fast) <= patch.half_width + 1 ? Range{first, last} : Range{first, first};
  const float middle = patch.line_fast + up * patch.along_fast / patch.along_slow - 0.5f;
  const float half = patch.half_width / Kokkos::abs(patch.along_slow);
  const float low = Kokkos::min(Kokkos::max(Kokkos::ceil(middle - half), float(first)), float(last));
  const float high = Kokkos::min(Kokkos::max(Kokkos::floor(middle + half) + 1, float(first)), float(last));
  return {int(low), int(high)};
}

// Whether the strip comes within `reach` pixels of a point.
KOKKOS_INLINE_FUNCTION bool strip_reaches(const Patch& patch, float fast, float slow, float reach) {
  return Kokkos::abs((fast - patch.line_fast) * patch.along_slow - (slow - patch.line_slow) * patch.along_fast) <=
         patch.half_width + reach;
}

// Calls visit(tile) for the tiles that a patch touches.
template <class Visit>
KOKKOS_INLINE_FUNCTION void for_each_tile(const Patch& patch, const DevicePanel& panel, const Visit& visit) {
  for (int s = patch.slow.begin / tile_side; s <= (patch.slow.end - 1) / tile_side; ++s)
    for (int f = patch.fast.begin / tile_side; f <= (patch.fast.end - 1) / tile_side; ++f)
      if (strip_reaches(patch, (f + 0.5f) * tile_side, (s + 0.5f) * tile_side, 0.71f * tile_side))
        visit(panel.first_tile + s * panel.tiles_fast + f);
}

struct Interval {
  double low, high;
  KOKKOS_INLINE_FUNCTION bool empty() const { return !(low <= high); }
};

KOKKOS_FORCEINLINE_FUNCTION void reciprocal(const Mat3& cell, Vec3 (&axes)[3]) {
  const double volume = dot(cell.row[0], cross(cell.row[1], cell.row[2]));
  for (int i = 0; i < 3; ++i) axes[i] = (1 / volume) * cross(cell.row[(i + 1) % 3], cell.row[(i + 2) % 3]);
}

// Finds patches in two steps.  A row of reflections is one block, direction, h and k; its candidates lie between the
// Ewald spheres of the shortest and the longest wavelength.
template <class Envelope>
struct PatchSearch {
  DeviceTable<Mat3> blocks;
  DeviceTable<Direction> directions;
  DeviceTable<double> wavenumber;
  PixelTable pixels;
  AmplitudeTable amplitude;
  Reach<Envelope> reach;
  bool interpolated;            // the amplitude of a reflection says nothing of that near it
  int low[3], size[3];          // of the indices
  double per_reduced_distance;  // no distance in reciprocal space (1/m) is longer in units of the shape
  double to_corner;             // from a reflection to the farthest point that is nearest to it, 1/m

  KOKKOS_INLINE_FUNCTION std::int64_t rows_of_block() const {
    return std::int64_t(directions.extent(0)) * size[0] * size[1];
  }
  KOKKOS_INLINE_FUNCTION std::int64_t count() const { return std::int64_t(blocks.extent(0)) * rows_of_block(); }

  // Calls emit(candidate) for the reflections of a row that are worth a closer look.
  template <class Emit>
  KOKKOS_INLINE_FUNCTION void for_each_candidate(std::int64_t row, const Emit& emit) const {
    const Row here(*this, row);
    const Interval x{wavenumber(here.direction.sources.begin), wavenumber(here.direction.sources.end - 1)};

    // Inside the sphere of radius x.high + rho about -x.high s0, and not inside that of radius x.low - rho about -x.low
    // s0.
    const double rho = in_reciprocal_space(Envelope::largest_reach2() >= 0 ? Envelope::largest_reach2() : 1e30),
                 margin = 1e-6;
    const double a = dot(here.step, here.step);
    const Vec3 from_outer = along(here.start, x.high, here.direction.incident),
               from_inner = along(here.start, x.low, here.direction.incident);
    const Interval outer =
        below_zero(a, dot(from_outer, here.step), dot(from_outer, from_outer) - (x.high + rho) * (x.high + rho));
    if (outer.empty()) return;
    Interval inner{1, 0};
    if (x.low > rho)
      inner = below_zero(a, dot(from_inner, here.step), dot(from_inner, from_inner) - (x.low - rho) * (x.low - rho));
    const int first = int(Kokkos::ceil(Kokkos::max(outer.low - margin, double(low[2]))));
    const int last = int(Kokkos::floor(Kokkos::min(outer.high + margin, double(low[2] + size[2] - 1))));
    for (int l = first; l <= last; ++l) {
      if (!inner.empty() && l > inner.low + margin && l < inner.high - margin) {
        l = int(Kokkos::floor(Kokkos::min(inner.high - margin, double(last))));
        continue;
      }
      if (interpolated || amplitude.upper_bound(here.h, here.k, l) != 0) emit(Candidate{row, l});
    }
  }

  // Calls emit(patch) for all patches of a candidate.
  template <class Emit>
  KOKKOS_INLINE_FUNCTION void for_each_patch(const Candidate& candidate, const Emit& emit) const {
    const Row here(*this, candidate.row);
    Patch patch;
    patch.order = candidate.row * size[2] + (candidate.l - low[2]);
    patch.block = here.block, patch.direction = here.direction_number;
    patch.h = here.h, patch.k = here.k, patch.l = candidate.l;
    for_each_panel(patch, along(here.start, candidate.l, here.step), here.direction, emit);
  }

 private:
  struct Row {
    int block, direction_number, h, k;
    const Direction& direction;
    Vec3 start, step;  // the reciprocal-lattice points of the row are start + l × step
    KOKKOS_FORCEINLINE_FUNCTION Row(const PatchSearch& search, std::int64_t row)
        : block(int(row / search.rows_of_block())),
          direction_number(
              int(row / (std::int64_t(search.size[0]) * search.size[1]) % std::int64_t(search.directions.extent(0)))),
          h(search.low[0] + int(row / search.size[1] % search.size[0])),
          k(search.low[1] + int(row % search.size[1])),
          direction(search.directions(direction_number)) {
      Vec3 axes[3];
      reciprocal(search.blocks(block), axes);
      start = double(h) * axes[0] + double(k) * axes[1], step = axes[2];
    }
  };

  // Where a l^2 + 2 b l + c <= 0, for a > 0.
  KOKKOS_FORCEINLINE_FUNCTION static Interval below_zero(double a, double b, double c) {
    const double root2 = b * b - a * c;
    if (root2 < 0) return {1, 0};
    const double root = Kokkos::sqrt(root2);
    return {(-b - root) / a, (-b + root) / a};
  }

  // Cubic interpolation may overshoot, by no more than the sum of the weights' magnitudes, 1.25 an axis.
  KOKKOS_INLINE_FUNCTION double allowed_reach2(double strongest) const {
    return reach.reach2(interpolated ? 1.25 * 1.25 * 1.25 * strongest : strongest);
  }

  KOKKOS_FORCEINLINE_FUNCTION double in_reciprocal_space(double r2) const {
    return 1.000001 * Kokkos::min(Kokkos::sqrt(r2) * per_reduced_distance, to_corner);
  }

  template <class Emit>
  KOKKOS_INLINE_FUNCTION void for_each_panel(Patch& patch, Vec3 g, const Direction& direction, const Emit& emit) const {
    Interval x{wavenumber(direction.sources.begin), wavenumber(direction.sources.end - 1)};
    const double r2 =
        allowed_reach2(interpolated ? amplitude.largest : amplitude.upper_bound(patch.h, patch.k, patch.l));
    if (r2 < 0) return;
    const double rho = in_reciprocal_space(r2);
    patch.reach = float(Kokkos::min(1e15, 1.000001 * Kokkos::sqrt(r2)));
    // The wavenumbers at which |x s0 + G| <= x + rho and, unless this says nothing, >= x - rho.
    const double s = dot(direction.incident, g), excess = dot(g, g) - rho * rho;
    if (rho > s)
      x.low = Kokkos::max(x.low, excess / (2 * (rho - s)));
    else if (excess > 0)
      return;
    if (x.low > rho) {
      if (s + rho < 0)
        x.high = Kokkos::min(x.high, -excess / (2 * (s + rho)));
      else if (excess < 0)
        x.low = Kokkos::max(x.low, -excess / (2 * (s + rho)));
    }
    const double rounding = 1e-12 * x.high;
    x.low -= rounding, x.high += rounding;
    if (x.empty()) return;
    const Vec3 e1 = direction.incident + (1 / x.low) * g, e2 = direction.incident + (1 / x.high) * g;
    const double ratio = rho / x.low, sine = ratio / (1 - ratio);
    const double angle = ratio < 0.5 && sine < 1 ? Kokkos::asin(sine) + 1e-9 : 4;  // 4: anywhere
    const Vec3 u1 = unit(e1), u2 = unit(e2), middle = 0.5 * (u1 + u2);
    const double radius = angle < 4 ? angle + 0.5 * norm(u2 - u1) + 1e-9 : 4;
    const auto meets = [&](const Ball& ball) {
      const Vec3 apart = middle - ball.centre;
      return dot(apart, apart) <= (radius + ball.radius) * (radius + ball.radius);
    };
    const int n_panels = int(pixels.panels.extent(0));
    for (int begin = 0; begin < n_panels; begin += panels_in_group) {
      if (!meets(pixels.around_group(begin / panels_in_group))) continue;
      for (int i = begin; i < Kokkos::min(begin + panels_in_group, n_panels); ++i)
        if (meets(pixels.around_panel(i)) && strip(pixels.panels(i), e1, e2, 1 + ratio, angle, patch)) {
          patch.panel = i;
          for_each_piece(patch, emit);
        }
    }
  }

  // Large patches come in pieces, which keep many processors busy; no tile belongs to two of them.
  template <class Emit>
  KOKKOS_INLINE_FUNCTION static void for_each_piece(const Patch& whole, const Emit& emit) {
    constexpr int side = 4 * tile_side;
    if (whole.fast.end - whole.fast.begin <= 2 * side && whole.slow.end - whole.slow.begin <= 2 * side)
      return emit(whole);
    Patch piece = whole;
    for (int slow = whole.slow.begin / side * side; slow < whole.slow.end; slow += side)
      for (int fast = whole.fast.begin / side * side; fast < whole.fast.end; fast += side) {
        piece.slow.begin = Kokkos::max(slow, whole.slow.begin),
        piece.slow.end = Kokkos::min(slow + side, whole.slow.end);
        piece.fast.begin = Kokkos::max(fast, whole.fast.begin),
        piece.fast.end = Kokkos::min(fast + side, whole.fast.end);
        if (strip_reaches(whole, fast + 0.5f * side, slow + 0.5f * side, 0.71f * side)) emit(piece);
      }
  }

  // Sets the strip of pixels that directions within the angle of the line from e1 to e2 meet; false if there are none.
  KOKKOS_INLINE_FUNCTION static bool strip(const DevicePanel& panel, Vec3 e1, Vec3 e2, double longest, double angle,
                                           Patch& patch) {
    const double n1 = dot(e1, panel.normal), n2 = dot(e2, panel.normal);
    if (!(panel.close_distance > 0) || Kokkos::max(n1, n2) <= -2 * angle) return false;  // edge-on, or flying away
    patch.fast.begin = patch.slow.begin = 0;
    patch.fast.end = panel.n_fast, patch.slow.end = panel.n_slow;
    patch.line_fast = patch.line_slow = patch.along_slow = 0, patch.along_fast = 1, patch.half_width = 1e30f;
    const double cosine = Kokkos::min(n1, n2) / longest - angle;  // at least that of the obliquity
    if (cosine < 1e-3) return true;                               // grazing: anywhere on the panel

    // A direction off by the angle meets the panel off by at most `spread`; a layer at a depth z shifts it by z times
    // the tangent of the obliquity.
    const Vec3 t1 = (1 / n1) * e1, t2 = (1 / n2) * e2;
    const double depth = (panel.layers - 1) * panel.layer_thickness + panel.first_depth;
    const double tangent = Kokkos::sqrt(Kokkos::max(0.0, Kokkos::max(dot(t1, t1), dot(t2, t2)) - 1));
    const double spread = (panel.close_distance + depth) * angle / (cosine * cosine) + depth * tangent;
    const Vec3 at1 = panel.close_distance * t1 - panel.origin, at2 = panel.close_distance * t2 - panel.origin;
    const double f1 = dot(at1, panel.dual_fast), f2 = dot(at2, panel.dual_fast);
    const double s1 = dot(at1, panel.dual_slow), s2 = dot(at2, panel.dual_slow);
    const double per_metre_fast = norm(panel.dual_fast), per_metre_slow = norm(panel.dual_slow);
    const double more_fast = spread * per_metre_fast + 1e-3, more_slow = spread * per_metre_slow + 1e-3;
    const double fast_low = Kokkos::min(f1, f2) - more_fast, fast_high = Kokkos::max(f1, f2) + more_fast;
    const double slow_low = Kokkos::min(s1, s2) - more_slow, slow_high = Kokkos::max(s1, s2) + more_slow;
    if (fast_high < 0 || slow_high < 0 || fast_low >= panel.n_fast || slow_low >= panel.n_slow) return false;
    patch.fast.begin = int(Kokkos::max(0.0, Kokkos::floor(fast_low)));
    patch.slow.begin = int(Kokkos::max(0.0, Kokkos::floor(slow_low)));
    patch.fast.end = int(Kokkos::min(double(panel.n_fast), Kokkos::floor(fast_high) + 1));
    patch.slow.end = int(Kokkos::min(double(panel.n_slow), Kokkos::floor(slow_high) + 1));

    const double length = Kokkos::sqrt((f2 - f1) * (f2 - f1) + (s2 - s1) * (s2 - s1));
    if (length > 1 && length < 1e4 && Kokkos::abs(f1) < 1e4 && Kokkos::abs(s1) < 1e4) {  // good enough for float
      patch.line_fast = float(f1), patch.line_slow = float(s1);
      patch.along_fast = float((f2 - f1) / length), patch.along_slow = float((s2 - s1) / length);
      patch.half_width = float(spread * Kokkos::max(per_metre_fast, per_metre_slow) + 0.75);
    }
    return true;
  }
};

// The largest |M v| for |v| = 1, or a little more: the square is at most the largest row sum of the Gram matrix.
inline double stretch(const Vec3 (&columns)[3]) {
  double largest = 0;
  for (const Vec3& a : columns) {
    double row = 0;
    for (const Vec3& b : columns) row += std::abs(dot(a, b));
    largest = std::max(largest, row);
  }
  return std::sqrt(largest);
}

// The indices that any ray can come near are those of the table or, where others are not dark, all up to
// backscattering.
template <class Envelope>
PatchSearch<Envelope> patch_search(const Scene& scene, bool interpolated, const Reach<Envelope>& reach) {
  const SourceTable& beam = scene.sources.on_device().table;
  const AmplitudeTable& amplitude = scene.structure_factors.on_device().table;
  PatchSearch<Envelope> search{scene.crystal.on_device().table,
                               beam.directions,
                               beam.wavenumber,
                               scene.detector.on_device().table,
                               amplitude,
                               reach,
                               interpolated,
                               {},
                               {},
                               0,
                               0};
  Vec3 axes[3];
  reciprocal(scene.crystal.cell(), axes);
  for (const Vec3& axis : axes) search.to_corner += 0.5 * norm(axis);
  for (int i = 0; i < 3; ++i) axes[i] = (1.0 / scene.crystal.cells()[i]) * axes[i];
  search.per_reduced_distance = stretch(axes);
  for (int i = 0; i < 3; ++i) {
    const int around = interpolated ? 2 : 0;
    search.low[i] = amplitude.low[i] - around, search.size[i] = amplitude.size[i] + 2 * around;
    if (amplitude.default_amplitude != 0) {
      const double most =
          norm(scene.crystal.cell().row[i]) * (2 * scene.sources.largest_wavenumber() + 1.000001 * search.to_corner);
      search.low[i] = -int(std::ceil(most)) - 1, search.size[i] = 2 * int(std::ceil(most)) + 3;
    }
  }
  return search;
}

}  // namespace nanobragg
#endif
