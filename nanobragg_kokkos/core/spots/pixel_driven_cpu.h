// The pixel-driven engine on a CPU: a step takes a tile, two rows at a time, in loops over a fixed number of lanes that
// compilers turn into vector code.  Copies of what such a loop reads tell the compiler that writing results does not
// change it.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_PIXEL_DRIVEN_CPU_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_PIXEL_DRIVEN_CPU_H

#include <algorithm>

#include <nanobragg_kokkos/core/spots/pixel_driven_terms.h>

namespace nanobragg {

// More than 16 lanes, because GCC takes loops of up to 16 steps for something to write out step by step, not for
// vectors.
constexpr int rows_together = 2, lanes = rows_together * tile_side;
template <class T>
struct Lanes {
  T x[lanes], y[lanes], z[lanes];
};

// Where ray r of the pixels flies, whose first is given.
inline void directions_of_rays(const PixelTable& rays, const DevicePanel& of, int fast, int slow, int r,
                               Lanes<double>& directions) {
  const DevicePanel panel = of;
  for (int j = 0; j < lanes; ++j) {
    const Ray ray = rays.ray_of_pixel(panel, fast + j % tile_side, slow + j / tile_side, r);
    directions.x[j] = ray.direction.x, directions.y[j] = ray.direction.y, directions.z[j] = ray.direction.z;
  }
}

// What the directions make of one incident direction, in double precision and, times a wavenumber, in single.
inline void scatter(const Lanes<double>& diffracted, Vec3 incident, double wavenumber, Lanes<double>& scattering,
                    Lanes<float>& single) {
  for (int j = 0; j < lanes; ++j) {
    const double x = diffracted.x[j] - incident.x, y = diffracted.y[j] - incident.y, z = diffracted.z[j] - incident.z;
    scattering.x[j] = x, scattering.y[j] = y, scattering.z[j] = z;
    single.x[j] = float(wavenumber * x), single.y[j] = float(wavenumber * y), single.z[j] = float(wavenumber * z);
  }
}

template <Shape shape, Interpolation interpolation>
struct PixelDrivenCpu : PixelDrivenTerms<shape, interpolation> {
  using Base = PixelDrivenTerms<shape, interpolation>;
  using Base::Base, Base::ends, Base::image, Base::rays, Base::term, Base::single, Base::filter;
  using typename Base::Index;

  std::int64_t n_steps() const { return rays.n_tiles; }

  void operator()(const std::int64_t i) const {
    const Tile tile(rays, int(i));
    for (int row = 0; row < std::min(int(tile_side), tile.n_slow); row += rows_together) {
      bool active[lanes], any_active = false, any = false;
      for (int j = 0; j < lanes; ++j) {
        const int fast = j % tile_side, slow = row + j / tile_side;
        active[j] = fast < tile.n_fast && slow < tile.n_slow && rays.active(tile.pixel(fast, slow));
        any_active |= active[j];
      }
      if (!any_active) continue;
      double sum[lanes] = {};
      for (int r = 0; r < tile.panel.rays_of_pixel; ++r) any |= add_rays(tile, row, r, sum);
      if (!any) continue;
      for (int j = 0; j < lanes; ++j)
        if (active[j] && sum[j] != 0) image(tile.pixel(j % tile_side, row + j / tile_side)) += term.scale * sum[j];
    }
  }

  // This and what it calls return whether they added anything.
  bool add_rays(const Tile& tile, int row, int r, double (&sum)[lanes]) const {
    Lanes<double> diffracted, scattering;
    Lanes<float> single_scattering;
    directions_of_rays(rays, tile.panel, tile.fast, tile.slow + row, r, diffracted);
    bool any = false;
    for (std::size_t i = 0; i < term.sources.directions.extent(0); ++i) {
      const Direction direction = term.sources.directions(i);
      const bool one_wavelength = direction.sources.size() == 1;
      scatter(diffracted, direction.incident, one_wavelength ? term.sources.wavenumber(direction.sources.begin) : 1,
              scattering, single_scattering);
      double from_crystal[lanes] = {};
      if (!add_blocks(scattering, single_scattering, direction, from_crystal)) continue;
      any = true;
      for (int j = 0; j < lanes; ++j)
        sum[j] += from_crystal[j] *
                  rays.ray_of_pixel(tile.panel, tile.fast + j % tile_side, tile.slow + row + j / tile_side, r).weight *
                  term.sources.polarization(direction, {diffracted.x[j], diffracted.y[j], diffracted.z[j]});
    }
    return any;
  }

  bool add_blocks(const Lanes<double>& scattering, const Lanes<float>& at, const Direction& direction,
                  double (&sum)[lanes]) const {
    const int n_blocks = int(term.blocks.extent(0)), begin = direction.sources.begin, end = direction.sources.end;
    bool any = false;
    if constexpr (!ends) {
      for (int block = 0; block < n_blocks; ++block) any |= add_block(block, scattering, begin, end, sum);
    } else if (end - begin == 1) {
      const auto distance2 = [&](int block, int j) {
        const SingleMat3& rows = single(block);
        const SingleVec3 v{at.x[j], at.y[j], at.z[j]};
        return filter.distance2(dot(rows.row[0], v), dot(rows.row[1], v), dot(rows.row[2], v));
      };
      constexpr int group = 32;
      for (int first = 0; first < n_blocks; first += group) {
        const int last = std::min(first + group, n_blocks);
        if (!any_passes(first, last, distance2)) continue;
        for (int block = first; block < last; ++block)
          if (any_passes(block, block + 1, distance2)) any |= add_block(block, scattering, begin, end, sum);
      }
    } else {
      for (int block = 0; block < n_blocks; ++block) {
        const SingleMat3 rows = single(block);
        Lanes<float> index;
        for (int j = 0; j < lanes; ++j) {
          const SingleVec3 v{at.x[j], at.y[j], at.z[j]};
          index.x[j] = dot(rows.row[0], v), index.y[j] = dot(rows.row[1], v), index.z[j] = dot(rows.row[2], v);
        }
        const auto distance2 = [&](int i, int j) {
          const float x = float(term.sources.wavenumber(i));
          return filter.distance2(index.x[j] * x, index.y[j] * x, index.z[j] * x);
        };
        if (!any_passes(begin, end, distance2)) continue;
        for (int i = begin; i < end; ++i)
          if (any_passes(i, i + 1, distance2)) any |= add_block(block, scattering, i, i + 1, sum);
      }
    }
    return any;
  }

  // Whether distance2(i, lane) passes the filter for any i from begin to end - 1 and any lane.
  template <class Distance2>
  bool any_passes(int begin, int end, const Distance2& distance2) const {
    float least[lanes];
    for (int j = 0; j < lanes; ++j) least[j] = INFINITY;
    for (int i = begin; i < end; ++i)
      for (int j = 0; j < lanes; ++j) {
        const float r2 = distance2(i, j);
        least[j] = r2 < least[j] ? r2 : least[j];
      }
    int passing = 0;
    for (int j = 0; j < lanes; ++j) passing += filter.passes(least[j]);
    return passing > 0;
  }

  bool add_block(int block, const Lanes<double>& scattering, int begin, int end, double (&sum)[lanes]) const {
    const Mat3 rows = term.blocks(block);
    Lanes<double> index;
    for (int j = 0; j < lanes; ++j) {
      const Vec3 v = rows * Vec3{scattering.x[j], scattering.y[j], scattering.z[j]};
      index.x[j] = v.x, index.y[j] = v.y, index.z[j] = v.z;
    }
    bool any = false;
    for (int i = begin; i < end; ++i) any |= add_term(index, i, sum);
    return any;
  }

  bool add_term(const Lanes<double>& index, int i, double (&sum)[lanes]) const {
    const double x = term.sources.wavenumber(i), weight = term.sources.weight(i);
    const int channel = term.sources.channel(i);
    const Cells cells = term.cells;
    Lanes<double> nearest, rest;
    int reached[lanes];
    for (int j = 0; j < lanes; ++j) {
      const Index h(index.x[j], x), k(index.y[j], x), l(index.z[j], x);
      nearest.x[j] = h.nearest, nearest.y[j] = k.nearest, nearest.z[j] = l.nearest;
      rest.x[j] = h.rest, rest.y[j] = k.rest, rest.z[j] = l.rest;
      reached[j] = !ends || reduced_distance2(h.rest, k.rest, l.rest, cells) < reach2<shape>();
    }
    double f[lanes];
    amplitudes(nearest, rest, reached, channel, f);
    bool any = false;
    for (int j = 0; j < lanes; ++j) any |= f[j] != 0;
    if (!any) return false;
    for (int j = 0; j < lanes; ++j)
      sum[j] += weight * f[j] * f[j] * lattice_intensity<shape>(rest.x[j], rest.y[j], rest.z[j], cells);
    return true;
  }

  // 0 where nothing is reached.
  void amplitudes(const Lanes<double>& nearest, const Lanes<double>& rest, const int (&reached)[lanes], int channel,
                  double (&f)[lanes]) const {
    const AmplitudeTable& table = term.amplitude;
    if constexpr (interpolation == Interpolation::nearest) {
      const IndexBox box = table;
      int begin[lanes];
      for (int j = 0; j < lanes; ++j) begin[j] = box.offset(int(nearest.x[j]), int(nearest.y[j]), int(nearest.z[j]));
      for (int j = 0; j < lanes; ++j)
        f[j] = !reached[j] ? 0 : begin[j] < 0 ? table.default_amplitude : table.amplitude(begin[j] + channel);
    } else {
      for (int j = 0; j < lanes; ++j)
        f[j] = reached[j] ? table.tricubic(nearest.x[j] + rest.x[j], nearest.y[j] + rest.y[j], nearest.z[j] + rest.z[j],
                                           channel)
                          : 0;
    }
  }
};

}  // namespace nanobragg
#endif
