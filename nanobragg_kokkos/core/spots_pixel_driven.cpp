// The engine in two forms of one calculation: GPUs take a pixel a thread, CPUs the pixels of a row of a tile together,
// in loops over fixed numbers of lanes that the compiler turns into vector code.  In both a filter in single precision
// (reach_filter.h) passes over the terms that are zero, nearly all of them in shapes that end.
#include <Kokkos_BitManipulation.hpp>

#include "arithmetic.h"
#include "detector_on_device.h"
#include "image_on_device.h"
#include "reach_filter.h"
#include "spot_terms.h"
#include "spots.h"

namespace nanobragg {
namespace {

constexpr bool host_is_device = std::is_same<DeviceSpace, Kokkos::HostSpace>::value;

// What a CPU does together: two rows of a tile.  More than 16 lanes, because GCC takes loops of up to 16 steps for something to
// write out step by step, not for vectors.
constexpr int rows_together = 2, lanes = rows_together * tile_side, pixels_of_tile = tile_side * tile_side;
template <class T>
struct Lanes {
  T x[lanes], y[lanes], z[lanes];
};

struct Tile {
  const DevicePanel& panel;
  int fast, slow;         // of the first pixel
  int n_fast, n_slow;     // pixels of the panel from there on: less than a tile's side at the edges
  KOKKOS_FUNCTION Tile(const PixelTable& rays, int tile) : panel(rays.panels(rays.panel_of_tile(tile))) {
    const int in_panel = tile - panel.first_tile;
    fast = in_panel % panel.tiles_fast * tile_side, slow = in_panel / panel.tiles_fast * tile_side;
    n_fast = panel.n_fast - fast, n_slow = panel.n_slow - slow;
  }
  KOKKOS_FUNCTION std::int64_t pixel(int from_first, int rows_below) const {
    return panel.first_pixel + std::int64_t(slow + rows_below) * panel.n_fast + fast + from_first;
  }
};

// Where ray r of the pixels flies, whose first is given.
[[maybe_unused]] void directions_of_rays(const PixelTable& rays, const DevicePanel& of, int fast, int slow, int r, Lanes<double>& directions) {
  const DevicePanel panel = of;
  for (int j = 0; j < lanes; ++j) {
    const Ray ray = rays.ray_of_pixel(panel, fast + j % tile_side, slow + j / tile_side, r);
    directions.x[j] = ray.direction.x, directions.y[j] = ray.direction.y, directions.z[j] = ray.direction.z;
  }
}

[[maybe_unused]] void scatter(const Lanes<double>& diffracted, Vec3 incident, double wavenumber, Lanes<double>& scattering, Lanes<float>& single) {
  for (int j = 0; j < lanes; ++j) {
    const double x = diffracted.x[j] - incident.x, y = diffracted.y[j] - incident.y, z = diffracted.z[j] - incident.z;
    scattering.x[j] = x, scattering.y[j] = y, scattering.z[j] = z;
    single.x[j] = float(wavenumber * x), single.y[j] = float(wavenumber * y), single.z[j] = float(wavenumber * z);
  }
}

template <Shape shape, Interpolation interpolation>
struct AddSpots {
  using Terms = SpotTerms<shape, interpolation>;
  using Index = typename Terms::Index;
  static constexpr bool ends = reach2<shape>() >= 0;
  Kokkos::View<double*, DeviceSpace> image;
  PixelTable rays;
  Terms term;
  DeviceArray<SingleMat3> single;      // the blocks
  ReachFilter filter;

  struct ByPixel {};
  KOKKOS_FUNCTION void operator()(ByPixel, const std::int64_t i) const {
    const Tile tile(rays, int(i / pixels_of_tile));
    const int in_tile = int(i % pixels_of_tile), fast = in_tile % tile_side, slow = in_tile / tile_side;
    if (fast >= tile.n_fast || slow >= tile.n_slow) return;
    const std::int64_t pixel = tile.pixel(fast, slow);
    if (!rays.active(pixel)) return;
    double sum = 0;
    for (int r = 0; r < rays.n_rays(tile.panel); ++r) {
      const Vec3 diffracted = rays.ray_of_pixel(tile.panel, tile.fast + fast, tile.slow + slow, r).direction;
      for (std::size_t j = 0; j < term.sources.directions.extent(0); ++j) {
        const Direction& direction = term.sources.directions(j);
        const double from_crystal = over_blocks(diffracted - direction.incident, direction);
        if (from_crystal != 0)
          sum += from_crystal * rays.ray_of_pixel(tile.panel, tile.fast + fast, tile.slow + slow, r).weight *
                 term.sources.polarization(direction, diffracted);
      }
    }
    if (sum != 0) image(pixel) += term.scale * sum;
  }

  // The Miller indices at a wavelength are those for wavenumber 1, times the wavenumber: so the product with the cell
  // vectors is done once for all wavelengths of a direction.
  KOKKOS_FUNCTION double over_blocks(Vec3 scattering, const Direction& direction) const {
    const int n_blocks = int(term.blocks.extent(0));
    double sum = 0;
    const bool one_wavelength = direction.end - direction.begin == 1;
    if constexpr (!ends) {
      if (one_wavelength)      // apart, so that what the source says is read once
        for (int block = 0; block < n_blocks; ++block) sum += term_at(term.blocks(block) * scattering, direction.begin);
      else
        for (int block = 0; block < n_blocks; ++block) {
          const Vec3 index = term.blocks(block) * scattering;
          for (int i = direction.begin; i < direction.end; ++i) sum += term_at(index, i);
        }
    } else if (one_wavelength) {
      const SingleVec3 at = to_single(term.sources.wavenumber(direction.begin) * scattering);
      for_each_passing(0, n_blocks, [&](int block) {
        const SingleMat3& rows = single(block);
        return filter.distance2(dot(rows.row[0], at), dot(rows.row[1], at), dot(rows.row[2], at));
      }, [&](int block) { sum += term_at(term.blocks(block) * scattering, direction.begin); });
    } else {
      const SingleVec3 at = to_single(scattering);
      for (int block = 0; block < n_blocks; ++block) {
        const SingleMat3& rows = single(block);
        const float h = dot(rows.row[0], at), k = dot(rows.row[1], at), l = dot(rows.row[2], at);
        for_each_passing(direction.begin, direction.end, [&](int i) {
          const float x = float(term.sources.wavenumber(i));
          return filter.distance2(h * x, k * x, l * x);
        }, [&](int i) { sum += term_at(term.blocks(block) * scattering, i); });
      }
    }
    return sum;
  }

  KOKKOS_FUNCTION double term_at(Vec3 index, int i) const {
    const double x = term.sources.wavenumber(i);
    return term(Index(index.x, x), Index(index.y, x), Index(index.z, x), i);
  }

  // Calls visit(i) for those of begin … end - 1 whose distance2(i) passes the filter.  First the filter for many, without
  // branches: so the threads of a GPU's warp do not wait for each other at every term.
  template <class Distance2, class Visit>
  KOKKOS_FUNCTION void for_each_passing(int begin, int end, const Distance2& distance2, const Visit& visit) const {
    for (int first = begin; first < end; first += 32) {
      const int n = Kokkos::min(32, end - first);
      unsigned passing = 0;
      for (int i = n - 1; i >= 0; --i) passing = 2 * passing + filter.passes(distance2(first + i));
      for (; passing != 0; passing &= passing - 1) visit(first + Kokkos::Experimental::countr_zero_builtin(passing));
    }
  }

  struct ByTile {};
  void operator()(ByTile, const std::int64_t i) const {
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
      for (int r = 0; r < rays.n_rays(tile.panel); ++r) any |= add_rays(tile, row, r, sum);
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
      const bool one_wavelength = direction.end - direction.begin == 1;
      scatter(diffracted, direction.incident, one_wavelength ? term.sources.wavenumber(direction.begin) : 1, scattering, single_scattering);
      double from_crystal[lanes] = {};
      if (!add_blocks(scattering, single_scattering, direction, from_crystal)) continue;
      any = true;
      for (int j = 0; j < lanes; ++j)
        sum[j] += from_crystal[j] * rays.ray_of_pixel(tile.panel, tile.fast + j % tile_side, tile.slow + row + j / tile_side, r).weight *
                  term.sources.polarization(direction, {diffracted.x[j], diffracted.y[j], diffracted.z[j]});
    }
    return any;
  }

  bool add_blocks(const Lanes<double>& scattering, const Lanes<float>& at, const Direction& direction, double (&sum)[lanes]) const {
    const int n_blocks = int(term.blocks.extent(0)), begin = direction.begin, end = direction.end;
    bool any = false;
    if constexpr (!ends) {
      for (int block = 0; block < n_blocks; ++block) any |= add_block(block, scattering, begin, end, sum);
    } else if (end - begin == 1) {
      constexpr int group = 32;
      for (int first = 0; first < n_blocks; first += group) {
        const int last = std::min(first + group, n_blocks);
        if (!any_block_passes(at, first, last)) continue;
        for (int block = first; block < last; ++block)
          if (any_block_passes(at, block, block + 1)) any |= add_block(block, scattering, begin, end, sum);
      }
    } else {
      for (int block = 0; block < n_blocks; ++block) {
        const SingleMat3 rows = single(block);
        Lanes<float> index;
        for (int j = 0; j < lanes; ++j) {
          const SingleVec3 v{at.x[j], at.y[j], at.z[j]};
          index.x[j] = dot(rows.row[0], v), index.y[j] = dot(rows.row[1], v), index.z[j] = dot(rows.row[2], v);
        }
        if (!any_wavelength_passes(index, begin, end)) continue;
        for (int i = begin; i < end; ++i)
          if (any_wavelength_passes(index, i, i + 1)) any |= add_block(block, scattering, i, i + 1, sum);
      }
    }
    return any;
  }

  bool any_block_passes(const Lanes<float>& at, int begin, int end) const {
    float least[lanes];
    for (int j = 0; j < lanes; ++j) least[j] = INFINITY;
    for (int block = begin; block < end; ++block) {
      const SingleMat3& rows = single(block);
      for (int j = 0; j < lanes; ++j) {
        const SingleVec3 v{at.x[j], at.y[j], at.z[j]};
        const float r2 = filter.distance2(dot(rows.row[0], v), dot(rows.row[1], v), dot(rows.row[2], v));
        least[j] = r2 < least[j] ? r2 : least[j];
      }
    }
    int passing = 0;
    for (int j = 0; j < lanes; ++j) passing += filter.passes(least[j]);
    return passing > 0;
  }

  bool any_wavelength_passes(const Lanes<float>& index, int begin, int end) const {
    float least[lanes];
    for (int j = 0; j < lanes; ++j) least[j] = INFINITY;
    for (int i = begin; i < end; ++i) {
      const float x = float(term.sources.wavenumber(i));
      for (int j = 0; j < lanes; ++j) {
        const float r2 = filter.distance2(index.x[j] * x, index.y[j] * x, index.z[j] * x);
        least[j] = r2 < least[j] ? r2 : least[j];
      }
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
  void amplitudes(const Lanes<double>& nearest, const Lanes<double>& rest, const int (&reached)[lanes], int channel, double (&f)[lanes]) const {
    const AmplitudeTable& table = term.amplitude;
    if constexpr (interpolation == Interpolation::nearest) {
      const IndexBox box = table;
      int begin[lanes];
      for (int j = 0; j < lanes; ++j) begin[j] = box.offset(int(nearest.x[j]), int(nearest.y[j]), int(nearest.z[j]));
      for (int j = 0; j < lanes; ++j)
        f[j] = !reached[j] ? 0 : begin[j] < 0 ? table.default_amplitude : table.amplitude(begin[j] + channel);
    } else {
      for (int j = 0; j < lanes; ++j)
        f[j] = reached[j] ? table.tricubic(nearest.x[j] + rest.x[j], nearest.y[j] + rest.y[j], nearest.z[j] + rest.z[j], channel) : 0;
    }
  }
};

template <Shape shape, Interpolation interpolation>
void run(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
         const StructureFactors& structure_factors) {
  using Kernel = AddSpots<shape, interpolation>;
  using How = std::conditional_t<host_is_device, typename Kernel::ByTile, typename Kernel::ByPixel>;
  const PixelTable& rays = detector.on_device().table;
  const SpotTerms<shape, interpolation> term(sources, crystal, structure_factors);
  const Kernel kernel{image.on_device().pixels, rays, term, crystal.on_device().single.table,
                      {reach2<shape>(), term.cells, crystal.on_device().largest_extent, sources.largest_wavenumber()}};
  const std::int64_t n = std::int64_t(rays.n_tiles) * (host_is_device ? 1 : pixels_of_tile);
  // So many blocks of threads at a time that a GPU's multiprocessor has something to do while memory and divisions are waited
  // for; without interpolation nothing is spilled from the loops for it.
  using Bounds = Kokkos::LaunchBounds<pixels_of_tile, interpolation == Interpolation::nearest ? 3 : 2>;
  // Dynamic: masked or dark regions take no time, others a lot.
  Kokkos::parallel_for("nanobragg::spots::pixel_driven",
                       Kokkos::RangePolicy<ExecutionSpace, How, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>, Bounds>(0, n),
                       kernel);
  Kokkos::fence("nanobragg::spots::pixel_driven");
}

}  // namespace

void add_spots_pixel_driven(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
                            const StructureFactors& structure_factors, Interpolation interpolation) {
  start();
  const StandardArithmetic standard;
  check_spots(image, detector, sources, structure_factors);
  with_shape(crystal.shape(), interpolation, [&](auto shape, auto how) {
    run<shape(), how()>(image, detector, sources, crystal, structure_factors);
  });
}

double pixel_driven_work(const Detector& detector, const Sources& sources, const Crystal& crystal) {
  // Measured with one core of a recent x86 processor.
  constexpr double a_ray = 30e-9, a_product = 5e-9, a_wavelength = 1.2e-9;
  double rays = 0;
  for (const Panel& panel : detector.panels())
    rays += double(panel.n_fast) * panel.n_slow * (panel.sensor_thickness > 0 ? detector.sampling().sensor_layers : 1);
  rays *= double(detector.sampling().oversample) * detector.sampling().oversample;
  return rays * (a_ray + double(crystal.n_blocks()) * (a_product * sources.n_directions() + a_wavelength * sources.size()));
}

}  // namespace nanobragg
