// The engine in three stages:
//   patches  each block, direction and row of reflections (h, k) finds the l between the Ewald spheres of the shortest and the
//            longest wavelength, and for each reflection and panel the strip of pixels that it can light
//   tiles    the panels are cut into tiles of 16 x 16 pixels; each tile lists the patches that touch it
//   gather   each pixel of a tile sums over the list, in the order of the patches, so that the sum does not depend on
//            the number of threads
// A reflection G shines, at wavenumber x, into directions d with |x (d - s0) - G| < rho, where rho is the longest vector of
// reciprocal space that the shape (or the cell of the nearest reflection) reaches.  So d lies within the angle
// asin(rho / x |e|) of e = s0 + G / x, which moves along a straight line as x changes: on the panel, a straight strip.
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "arithmetic.h"
#include "detector_on_device.h"
#include "exponential.h"
#include "image_on_device.h"
#include "spot_terms.h"
#include "spots.h"

namespace nanobragg {
namespace {

constexpr bool host_is_device = std::is_same<DeviceSpace, Kokkos::HostSpace>::value;

template <class T>
using Array = Kokkos::View<T*, DeviceSpace>;
using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>;

// The pixels of a panel that one reflection of one block, in the light of one direction, may reach.
struct Patch {
  int block, direction, panel;
  int h, k, l;
  int fast_begin, fast_end, slow_begin, slow_end;
  float fast, slow;                 // one end of the middle line of the strip
  float along_fast, along_slow;     // unit vector along it
  float half_width;                 // pixels, half a pixel's diagonal included
};

// The largest |M v| for |v| = 1, or a little more: the square is at most the largest row sum of the Gram matrix.
double stretch(const Vec3 (&columns)[3]) {
  double largest = 0;
  for (const Vec3& a : columns) {
    double row = 0;
    for (const Vec3& b : columns) row += std::abs(dot(a, b));
    largest = std::max(largest, row);
  }
  return std::sqrt(largest);
}

KOKKOS_INLINE_FUNCTION void reciprocal(const Mat3& cell, Vec3 (&axes)[3]) {
  const double volume = dot(cell.row[0], cross(cell.row[1], cell.row[2]));
  for (int i = 0; i < 3; ++i) axes[i] = (1 / volume) * cross(cell.row[(i + 1) % 3], cell.row[(i + 2) % 3]);
}

// The length rho (1/m) of the comment above.
double reach_in_reciprocal_space(const Mat3& cell, const std::array<int, 3>& cells, double reach2) {
  Vec3 axes[3];
  reciprocal(cell, axes);
  double to_corner = 0;
  for (const Vec3& axis : axes) to_corner += 0.5 * norm(axis);
  for (int i = 0; i < 3; ++i) axes[i] = (1.0 / cells[i]) * axes[i];
  return 1.000001 * std::min(std::sqrt(reach2) * stretch(axes), to_corner);
}

struct Interval {
  double low, high;
  KOKKOS_INLINE_FUNCTION bool empty() const { return !(low <= high); }
};

// Where a l^2 + 2 b l + c <= 0, for a > 0.
KOKKOS_INLINE_FUNCTION Interval below_zero(double a, double b, double c) {
  const double root2 = b * b - a * c;
  if (root2 < 0) return {1, 0};
  const double root = Kokkos::sqrt(root2);
  return {(-b - root) / a, (-b + root) / a};
}

struct Rows {
  DeviceArray<Mat3> blocks;
  DeviceArray<Direction> directions;
  DeviceArray<double> wavenumber;
  DeviceArray<DevicePanel> panels;
  AmplitudeTable amplitude;
  bool dark_where_zero;             // an amplitude 0 lights nothing (not so between reflections)
  int low[3], size[3];              // of the indices
  double rho;

  KOKKOS_INLINE_FUNCTION std::int64_t count() const {
    return std::int64_t(blocks.extent(0)) * directions.extent(0) * size[0] * size[1];
  }

  // Calls emit(patch) for all patches of a row of reflections.
  template <class Emit>
  KOKKOS_INLINE_FUNCTION void for_each_patch(std::int64_t row, const Emit& emit) const {
    Patch patch;
    patch.k = low[1] + int(row % size[1]);
    row /= size[1];
    patch.h = low[0] + int(row % size[0]);
    row /= size[0];
    patch.direction = int(row % std::int64_t(directions.extent(0)));
    patch.block = int(row / std::int64_t(directions.extent(0)));
    const Direction& direction = directions(patch.direction);
    const Interval x{wavenumber(direction.begin), wavenumber(direction.end - 1)};
    Vec3 axes[3];
    reciprocal(blocks(patch.block), axes);
    const Vec3 start = double(patch.h) * axes[0] + double(patch.k) * axes[1];

    // Inside the sphere of radius x.high + rho about -x.high s0, and not inside that of radius x.low - rho about -x.low s0.
    const double a = dot(axes[2], axes[2]), margin = 1e-6;
    const Vec3 from_outer = start + x.high * direction.incident, from_inner = start + x.low * direction.incident;
    const Interval outer = below_zero(a, dot(from_outer, axes[2]),
                                      dot(from_outer, from_outer) - (x.high + rho) * (x.high + rho));
    if (outer.empty()) return;
    Interval inner{1, 0};
    if (x.low > rho)
      inner = below_zero(a, dot(from_inner, axes[2]), dot(from_inner, from_inner) - (x.low - rho) * (x.low - rho));
    const int first = int(Kokkos::ceil(Kokkos::max(outer.low - margin, double(low[2]))));
    const int last = int(Kokkos::floor(Kokkos::min(outer.high + margin, double(low[2] + size[2] - 1))));
    for (int l = first; l <= last; ++l) {
      if (!inner.empty() && l > inner.low + margin && l < inner.high - margin) {
        l = int(Kokkos::floor(Kokkos::min(inner.high - margin, double(last))));
        continue;
      }
      patch.l = l;
      for_each_panel(patch, start + double(l) * axes[2], direction, x, emit);
    }
  }

 private:
  template <class Emit>
  KOKKOS_INLINE_FUNCTION void for_each_panel(Patch& patch, Vec3 g, const Direction& direction, Interval x, const Emit& emit) const {
    if (dark_where_zero && amplitude.channels == 1 && amplitude(patch.h, patch.k, patch.l, 0) == 0) return;
    // The wavenumbers at which |x s0 + G| <= x + rho and, unless this says nothing, >= x - rho.
    const double s = dot(direction.incident, g), excess = dot(g, g) - rho * rho;
    if (rho > s) x.low = Kokkos::max(x.low, excess / (2 * (rho - s)));
    else if (excess > 0) return;
    if (x.low > rho) {
      if (s + rho < 0) x.high = Kokkos::min(x.high, -excess / (2 * (s + rho)));
      else if (excess < 0) x.low = Kokkos::max(x.low, -excess / (2 * (s + rho)));
    }
    const double rounding = 1e-12 * x.high;
    x.low -= rounding, x.high += rounding;
    if (x.empty()) return;
    const Vec3 e1 = direction.incident + (1 / x.low) * g, e2 = direction.incident + (1 / x.high) * g;
    const double ratio = rho / x.low, sine = ratio / (1 - ratio);
    const double angle = ratio < 0.5 && sine < 1 ? Kokkos::asin(sine) + 1e-9 : 4;      // 4: anywhere
    for (std::size_t i = 0; i < panels.extent(0); ++i)
      if (strip(panels(i), e1, e2, 1 + ratio, angle, patch)) {
        patch.panel = int(i);
        emit(patch);
      }
  }

  // Sets the strip of pixels that directions within the angle of the line from e1 to e2 meet; false if there are none.
  KOKKOS_INLINE_FUNCTION static bool strip(const DevicePanel& panel, Vec3 e1, Vec3 e2, double longest, double angle, Patch& patch) {
    const double n1 = dot(e1, panel.normal), n2 = dot(e2, panel.normal);
    if (!(panel.close_distance > 0) || Kokkos::max(n1, n2) <= -2 * angle) return false;      // edge-on, or flying away
    patch.fast_begin = patch.slow_begin = 0;
    patch.fast_end = panel.n_fast, patch.slow_end = panel.n_slow;
    patch.fast = patch.slow = patch.along_slow = 0, patch.along_fast = 1, patch.half_width = 1e30f;
    const double cosine = Kokkos::min(n1, n2) / longest - angle;      // at least that of the obliquity
    if (cosine < 1e-3) return true;                                   // grazing: anywhere on the panel

    // A direction off by the angle meets the panel off by at most `spread`; a layer at a depth z shifts it by z times the
    // tangent of the obliquity.
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
    patch.fast_begin = int(Kokkos::max(0.0, Kokkos::floor(fast_low)));
    patch.slow_begin = int(Kokkos::max(0.0, Kokkos::floor(slow_low)));
    patch.fast_end = int(Kokkos::min(double(panel.n_fast), Kokkos::floor(fast_high) + 1));
    patch.slow_end = int(Kokkos::min(double(panel.n_slow), Kokkos::floor(slow_high) + 1));

    const double length = Kokkos::sqrt((f2 - f1) * (f2 - f1) + (s2 - s1) * (s2 - s1));
    if (length > 1 && length < 1e4 && Kokkos::abs(f1) < 1e4 && Kokkos::abs(s1) < 1e4) {      // good enough for float
      patch.fast = float(f1), patch.slow = float(s1);
      patch.along_fast = float((f2 - f1) / length), patch.along_slow = float((s2 - s1) / length);
      patch.half_width = float(spread * Kokkos::max(per_metre_fast, per_metre_slow) + 0.75);
    }
    return true;
  }
};

// Whether the strip comes within `reach` pixels of a point.
KOKKOS_INLINE_FUNCTION bool near(const Patch& patch, double fast, double slow, double reach) {
  const double across = (fast - patch.fast) * patch.along_slow - (slow - patch.slow) * patch.along_fast;
  return Kokkos::abs(across) <= patch.half_width + reach;
}

// Calls visit(tile) for the tiles that a patch touches.
template <class Visit>
KOKKOS_INLINE_FUNCTION void for_each_tile(const Patch& patch, const DevicePanel& panel, const Visit& visit) {
  for (int s = patch.slow_begin / tile_side; s <= (patch.slow_end - 1) / tile_side; ++s)
    for (int f = patch.fast_begin / tile_side; f <= (patch.fast_end - 1) / tile_side; ++f)
      if (near(patch, (f + 0.5) * tile_side, (s + 0.5) * tile_side, 0.71 * tile_side))
        visit(panel.first_tile + s * panel.tiles_fast + f);
}

template <Shape shape, Interpolation interpolation>
struct Gather {
  using Index = typename SpotTerms<shape, interpolation>::Index;
  Array<double> image;
  PixelTable rays;
  SpotTerms<shape, interpolation> term;
  Array<Patch> patches;
  Array<int> tiles;                  // those with patches
  Array<std::int64_t> begin;         // of each tile's list; one more at the end
  Array<int> list;                   // numbers of patches, ascending in each tile

  // What a pixel receives by a patch.
  KOKKOS_FUNCTION double light(const Patch& patch, const DevicePanel& panel, int fast, int slow) const {
    const Direction& direction = term.sources.directions(patch.direction);
    const Mat3& block = term.blocks(patch.block);
    double sum = 0;
    for (int i = 0; i < rays.n_rays(panel); ++i) {
      const Ray ray = rays.ray_of_pixel(panel, fast, slow, i);
      if (!(ray.weight > 0)) continue;
      const double at_this_ray = over_wavelengths(block * (ray.direction - direction.incident), patch, direction);
      if (at_this_ray != 0) sum += at_this_ray * ray.weight * term.sources.polarization(direction, ray.direction);
    }
    return sum;
  }

  // The squared distance |x p - H|^2 from the reflection, in units of the shape, is a parabola in the wavenumber x: only
  // the wavenumbers between its roots count.
  KOKKOS_FUNCTION double over_wavelengths(Vec3 index, const Patch& patch, const Direction& direction) const {
    const Vec3 p{term.cells.a * index.x, term.cells.b * index.y, term.cells.c * index.z};
    const Vec3 target{term.cells.a * patch.h, term.cells.b * patch.k, term.cells.c * patch.l};
    const double p2 = dot(p, p);
    int begin = direction.begin, end = direction.end;
    if (p2 > 0) {
      const double vertex = dot(p, target) / p2;
      const Vec3 rest = vertex * p - target;
      const double slack = reach2<shape>() * (1 + 1e-9) - dot(rest, rest);
      if (!(slack > 0)) return 0;
      const double half = Kokkos::sqrt(slack / p2) + 1e-12 * Kokkos::abs(vertex);
      begin = first_above(vertex - half, direction);
      end = first_above(vertex + half, direction);
    }
    if (begin == end) return 0;
    KOKKOS_IF_ON_HOST((
      if constexpr (interpolation == Interpolation::nearest && shape != Shape::tophat)
        return several_at_a_time(index, patch, begin, end);
    ))
    double sum = 0;
    for (int i = begin; i < end; ++i) {
      const double x = term.sources.wavenumber(i);
      const Index h(index.x, x), k(index.y, x), l(index.z, x);
      if (h.nearest == patch.h && k.nearest == patch.k && l.nearest == patch.l) sum += term(h, k, l, i);
    }
    return sum;
  }

  // The same for Gaussians in vector code: no branches, and as many sums as a vector has lanes, added up in the end.
  double several_at_a_time(Vec3 index, const Patch& patch, int begin, int end) const {
    constexpr int lanes = 8;
    const double* const x = term.sources.wavenumber.data();
    const double* const weight = term.sources.weight.data();
    const int* const channel = term.sources.channel.data();
    const double* const f = term.amplitude.at(patch.h, patch.k, patch.l);
    const double h = patch.h, k = patch.k, l = patch.l;
    double sums[lanes] = {};
    for (int i = begin; i < end; i += lanes) {
      const int n = end - i < lanes ? end - i : lanes;
      double amplitude[lanes] = {}, wave[lanes], share[lanes] = {};
      for (int j = 0; j < n; ++j) amplitude[j] = f ? f[channel[i + j]] : term.amplitude.default_amplitude;
      for (int j = 0; j < n; ++j) share[j] = weight[i + j];
      for (int j = 0; j < lanes; ++j) wave[j] = x[j < n ? i + j : i];
      for (int j = 0; j < lanes; ++j) {
        const double dh = std::fma(index.x, wave[j], -h), dk = std::fma(index.y, wave[j], -k),
                     dl = std::fma(index.z, wave[j], -l);
        const double r2 = reduced_distance2(dh, dk, dl, term.cells);
        const bool counts = (r2 < reach2<shape>()) & (dh > -0.5) & (dh <= 0.5) & (dk > -0.5) & (dk <= 0.5) & (dl > -0.5) & (dl <= 0.5);
        const double value = share[j] * amplitude[j] * amplitude[j] * vectorizable_exp(-2 / 0.63 * r2);
        sums[j] += counts ? value : 0;
      }
    }
    double sum = 0;
    for (int j = 0; j < lanes; ++j) sum += sums[j];
    return term.cells.volume() * term.cells.volume() * sum;
  }

  // The first source of a direction with a larger wavenumber.
  KOKKOS_FUNCTION int first_above(double x, const Direction& direction) const {
    const auto& wavenumber = term.sources.wavenumber;
    int low = direction.begin, high = direction.end;
    if (direction.per_wavenumber > 0) {
      const double guess = (x - wavenumber(low)) * direction.per_wavenumber;
      int i = low + int(Kokkos::min(Kokkos::max(guess, 0.0), double(high - low)));
      while (i > low && wavenumber(i - 1) > x) --i;
      while (i < high && wavenumber(i) <= x) ++i;
      return i;
    }
    while (low < high) {
      const int middle = (low + high) / 2;
      if (wavenumber(middle) <= x) low = middle + 1; else high = middle;
    }
    return low;
  }

  KOKKOS_FUNCTION bool touches(const Patch& patch, int fast, int slow) const {
    return fast >= patch.fast_begin && fast < patch.fast_end && slow >= patch.slow_begin && slow < patch.slow_end &&
           near(patch, fast + 0.5, slow + 0.5, 0);
  }

  // On a GPU: a pixel of a tile.
  struct ByPixel {};
  KOKKOS_FUNCTION void operator()(ByPixel, const std::int64_t i) const {
    constexpr int pixels = tile_side * tile_side;
    const int tile = tiles(i / pixels), in_tile = int(i % pixels);
    const DevicePanel& panel = rays.panels(rays.panel_of_tile(tile));
    const int t = tile - panel.first_tile;
    const int fast = t % panel.tiles_fast * tile_side + in_tile % tile_side;
    const int slow = t / panel.tiles_fast * tile_side + in_tile / tile_side;
    if (fast >= panel.n_fast || slow >= panel.n_slow) return;
    const std::int64_t pixel = panel.first_pixel + std::int64_t(slow) * panel.n_fast + fast;
    if (!rays.active(pixel)) return;
    double sum = 0;
    for (std::int64_t j = begin(tile); j < begin(tile + 1); ++j) {
      const Patch& patch = patches(list(j));
      if (touches(patch, fast, slow)) sum += light(patch, panel, fast, slow);
    }
    if (sum != 0) image(pixel) += term.scale * sum;
  }

  // On a CPU: a whole tile, patch by patch, so that only the pixels of a patch are looked at.  Each pixel adds up its
  // patches in the same order as above.
  struct ByTile {};
  KOKKOS_FUNCTION void operator()(ByTile, const std::int64_t i) const {
    const int tile = tiles(i);
    const DevicePanel& panel = rays.panels(rays.panel_of_tile(tile));
    const int t = tile - panel.first_tile;
    const int fast0 = t % panel.tiles_fast * tile_side, slow0 = t / panel.tiles_fast * tile_side;
    double sums[tile_side * tile_side] = {};
    for (std::int64_t j = begin(tile); j < begin(tile + 1); ++j) {
      const Patch& patch = patches(list(j));
      const int fast_begin = Kokkos::max(fast0, patch.fast_begin), fast_end = Kokkos::min(fast0 + tile_side, patch.fast_end);
      const int slow_end = Kokkos::min(slow0 + tile_side, patch.slow_end);
      for (int slow = Kokkos::max(slow0, patch.slow_begin); slow < slow_end; ++slow)
        for (int fast = fast_begin; fast < fast_end; ++fast)
          if (near(patch, fast + 0.5, slow + 0.5, 0) &&
              rays.active(panel.first_pixel + std::int64_t(slow) * panel.n_fast + fast))
            sums[(slow - slow0) * tile_side + fast - fast0] += light(patch, panel, fast, slow);
    }
    for (int slow = slow0; slow < Kokkos::min(slow0 + tile_side, panel.n_slow); ++slow)
      for (int fast = fast0; fast < Kokkos::min(fast0 + tile_side, panel.n_fast); ++fast) {
        const double sum = sums[(slow - slow0) * tile_side + fast - fast0];
        if (sum != 0) image(panel.first_pixel + std::int64_t(slow) * panel.n_fast + fast) += term.scale * sum;
      }
  }
};

// Replaces counts by the sums of all before them, with the total behind the last; returns the total.
template <class T>
std::int64_t to_offsets(const char* name, const Array<T>& counts) {
  std::int64_t total = 0;
  const std::int64_t last = std::int64_t(counts.extent(0)) - 1;
  Kokkos::parallel_scan(name, Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::int64_t>>(0, last + 1),
                        KOKKOS_LAMBDA(const std::int64_t i, std::int64_t& sum, const bool final) {
                          const std::int64_t here = i < last ? std::int64_t(counts(i)) : 0;
                          if (final) counts(i) = T(sum);
                          sum += here;
                        },
                        total);
  return total;
}

// All patches, in an order that depends on the models alone.
Array<Patch> find_patches(const Rows& rows) {
  const std::int64_t n = rows.count();
  Array<std::int64_t> offsets("nanobragg::spots::patch_offsets", n + 1);
  Kokkos::parallel_for("nanobragg::spots::count_patches", Policy(0, n), KOKKOS_LAMBDA(const std::int64_t row) {
    std::int64_t count = 0;
    rows.for_each_patch(row, [&](const Patch&) { ++count; });
    offsets(row) = count;
  });
  const std::int64_t total = to_offsets("nanobragg::spots::patch_offsets", offsets);
  if (total > std::numeric_limits<int>::max())
    throw std::invalid_argument("the reflection-driven engine finds " + std::to_string(total) +
                                " patches of pixels, too many: the pixel-driven engine suits this experiment");
  Array<Patch> patches(Kokkos::view_alloc("nanobragg::spots::patches", Kokkos::WithoutInitializing), total);
  Kokkos::parallel_for("nanobragg::spots::patches", Policy(0, n), KOKKOS_LAMBDA(const std::int64_t row) {
    std::int64_t at = offsets(row);
    if (at == offsets(row + 1)) return;
    rows.for_each_patch(row, [&](const Patch& patch) { patches(at++) = patch; });
  });
  return patches;
}

// Sets begin and list of the tiles (see Gather).
void list_patches(const PixelTable& pixels, const Array<Patch>& patches, Array<std::int64_t>& begin, Array<int>& list) {
  const std::int64_t n = std::int64_t(patches.extent(0));
  begin = Array<std::int64_t>("nanobragg::spots::tile_begin", pixels.n_tiles + 1);
  const auto counts = begin;
  Kokkos::parallel_for("nanobragg::spots::count_in_tiles", Policy(0, n), KOKKOS_LAMBDA(const std::int64_t i) {
    const Patch& patch = patches(i);
    for_each_tile(patch, pixels.panels(patch.panel), [&](int tile) { Kokkos::atomic_inc(&counts(tile)); });
  });
  const std::int64_t total = to_offsets("nanobragg::spots::tile_begin", begin);
  list = Array<int>(Kokkos::view_alloc("nanobragg::spots::tile_list", Kokkos::WithoutInitializing), total);
  Array<std::int64_t> next(Kokkos::view_alloc("nanobragg::spots::tile_next", Kokkos::WithoutInitializing), pixels.n_tiles + 1);
  Kokkos::deep_copy(ExecutionSpace(), next, begin);
  const auto entries = list;
  Kokkos::parallel_for("nanobragg::spots::fill_tiles", Policy(0, n), KOKKOS_LAMBDA(const std::int64_t i) {
    const Patch& patch = patches(i);
    for_each_tile(patch, pixels.panels(patch.panel),
                  [&](int tile) { entries(Kokkos::atomic_fetch_add(&next(tile), std::int64_t(1))) = int(i); });
  });
}

// The tiles that have patches.
Array<int> lit_tiles(const PixelTable& pixels, const Array<std::int64_t>& begin) {
  Array<int> tiles("nanobragg::spots::lit_tiles", pixels.n_tiles);
  int total = 0;
  Kokkos::parallel_scan("nanobragg::spots::lit_tiles", Kokkos::RangePolicy<ExecutionSpace>(0, pixels.n_tiles),
                        KOKKOS_LAMBDA(const int i, int& sum, const bool final) {
                          const bool lit = begin(i + 1) > begin(i);
                          if (final && lit) tiles(sum) = i;
                          sum += lit;
                        },
                        total);
  Kokkos::resize(tiles, total);
  return tiles;
}

// Sorts each tile's list: threads filled it in the order in which they came.  By heap, in place.
void sort_lists(const Array<int>& tiles, const Array<std::int64_t>& begin, const Array<int>& list) {
  Kokkos::parallel_for("nanobragg::spots::sort_lists", Policy(0, std::int64_t(tiles.extent(0))), KOKKOS_LAMBDA(const std::int64_t i) {
    int* const a = &list(begin(tiles(i)));
    const int n = int(begin(tiles(i) + 1) - begin(tiles(i)));
    const auto sink = [&](int at, int size) {
      const int value = a[at];
      for (int child; (child = 2 * at + 1) < size; at = child) {
        if (child + 1 < size && a[child + 1] > a[child]) ++child;
        if (a[child] <= value) break;
        a[at] = a[child];
      }
      a[at] = value;
    };
    for (int at = n / 2 - 1; at >= 0; --at) sink(at, n);
    for (int size = n - 1; size > 0; --size) {
      const int top = a[0];
      a[0] = a[size];
      a[size] = top;
      sink(0, size);
    }
  });
}

// The indices that any ray can come near: those of the table, or, where others are not dark, all up to backscattering.
void set_indices(Rows& rows, const AmplitudeTable& table, const Mat3& cell, Interpolation interpolation, double largest_wavenumber) {
  for (int i = 0; i < 3; ++i) {
    const int around = interpolation == Interpolation::tricubic ? 2 : 0;
    rows.low[i] = table.low[i] - around, rows.size[i] = table.size[i] + 2 * around;
    if (table.default_amplitude != 0) {
      const int most = int(std::ceil(norm(cell.row[i]) * (2 * largest_wavenumber + rows.rho))) + 1;
      rows.low[i] = -most, rows.size[i] = 2 * most + 1;
    }
  }
}

template <Shape shape, Interpolation interpolation>
Rows rows_of(const Detector& detector, const Sources& sources, const Crystal& crystal, const StructureFactors& structure_factors) {
  const Mat3& cell = crystal.cell();
  const SourceTable& table = sources.on_device().table;
  Rows rows{crystal.on_device().table, table.directions, table.wavenumber, detector.on_device().table.panels,
            structure_factors.on_device().table, interpolation == Interpolation::nearest, {}, {},
            reach_in_reciprocal_space(cell, crystal.cells(), reach2<shape>())};
  set_indices(rows, rows.amplitude, cell, interpolation, sources.largest_wavenumber());
  return rows;
}

template <Shape shape, Interpolation interpolation>
void run(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
         const StructureFactors& structure_factors) {
  const PixelTable& pixels = detector.on_device().table;
  const SpotTerms<shape, interpolation> term(sources, crystal, structure_factors);
  const Rows rows = rows_of<shape, interpolation>(detector, sources, crystal, structure_factors);
  const Array<Patch> patches = find_patches(rows);
  if (patches.extent(0) == 0) return;
  Array<std::int64_t> begin;
  Array<int> list;
  list_patches(pixels, patches, begin, list);
  const Array<int> tiles = lit_tiles(pixels, begin);
  sort_lists(tiles, begin, list);
  using Kernel = Gather<shape, interpolation>;
  using How = std::conditional_t<host_is_device, typename Kernel::ByTile, typename Kernel::ByPixel>;
  const std::int64_t n = std::int64_t(tiles.extent(0)) * (host_is_device ? 1 : tile_side * tile_side);
  Kokkos::parallel_for("nanobragg::spots::gather",
                       Kokkos::RangePolicy<ExecutionSpace, How, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(0, n),
                       Kernel{image.on_device().pixels, pixels, term, patches, tiles, begin, list});
  Kokkos::fence("nanobragg::spots::reflection_driven");
}

// In blocks evenly chosen from all: their patches, and the pixels of these.
template <Shape shape, Interpolation interpolation>
double work(const Detector& detector, const Sources& sources, const Crystal& crystal, const StructureFactors& structure_factors) {
  // Measured with one core of a recent x86 processor.
  constexpr double a_row = 20e-9, a_patch = 300e-9, a_ray = 40e-9, a_wavelength = 1e-9;
  const Rows rows = rows_of<shape, interpolation>(detector, sources, crystal, structure_factors);
  const std::int64_t blocks = std::int64_t(rows.blocks.extent(0)), sample = std::min<std::int64_t>(blocks, 2);
  const std::int64_t rows_of_block = rows.count() / blocks;
  double patches = 0, pixels = 0;
  Kokkos::parallel_reduce("nanobragg::spots::sample_patches", Policy(0, sample * rows_of_block),
                          KOKKOS_LAMBDA(const std::int64_t i, double& patches_here, double& pixels_here) {
                            const std::int64_t block = i / rows_of_block * blocks / sample;
                            rows.for_each_patch(block * rows_of_block + i % rows_of_block, [&](const Patch& p) {
                              const double fast = p.fast_end - p.fast_begin, slow = p.slow_end - p.slow_begin;
                              patches_here += 1;
                              pixels_here += Kokkos::min(fast * slow, 2.0 * p.half_width * (fast + slow));
                            });
                          },
                          patches, pixels);
  const Sampling& sampling = detector.sampling();
  bool thick = false;
  for (const Panel& panel : detector.panels()) thick = thick || panel.sensor_thickness > 0;
  const double rays = double(sampling.oversample) * sampling.oversample * (thick ? sampling.sensor_layers : 1);
  const double wavelengths = double(sources.size()) / double(sources.n_directions());
  // Where nearly everything is lit, the patches would need more memory than the image.
  if (patches * double(blocks) / double(sample) * sizeof(Patch) > 8.0 * double(detector.n_pixels()) + 64e6)
    return std::numeric_limits<double>::infinity();
  return double(blocks) / double(sample) *
         (double(sample * rows_of_block) * a_row + patches * a_patch + pixels * rays * (a_ray + a_wavelength * wavelengths));
}

}  // namespace

void add_spots_reflection_driven(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
                                 const StructureFactors& structure_factors, Interpolation interpolation) {
  start();
  const StandardArithmetic standard;
  check_spots(image, detector, sources, structure_factors);
  with_shape(crystal.shape(), interpolation, [&](auto shape, auto how) {
    if constexpr (reach2<shape()>() >= 0)
      run<shape(), how()>(image, detector, sources, crystal, structure_factors);
    else
      throw std::invalid_argument("the reflection-driven engine needs a shape that ends: gauss, gauss_argchk or tophat");
  });
}

double reflection_driven_work(const Detector& detector, const Sources& sources, const Crystal& crystal,
                              const StructureFactors& structure_factors, Interpolation interpolation) {
  start();
  const StandardArithmetic standard;
  double result = std::numeric_limits<double>::infinity();
  with_shape(crystal.shape(), interpolation, [&](auto shape, auto how) {
    if constexpr (reach2<shape()>() >= 0) result = work<shape(), how()>(detector, sources, crystal, structure_factors);
  });
  return result;
}

}  // namespace nanobragg
