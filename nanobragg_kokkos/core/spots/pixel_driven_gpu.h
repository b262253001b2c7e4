// The pixel-driven engine on a GPU: a thread takes a pixel.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_PIXEL_DRIVEN_GPU_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_PIXEL_DRIVEN_GPU_H

#include <Kokkos_BitManipulation.hpp>

#include <nanobragg_kokkos/core/spots/pixel_driven_terms.h>

namespace nanobragg {

template <Shape shape, Interpolation interpolation>
struct PixelDrivenGpu : PixelDrivenTerms<shape, interpolation> {
  using Base = PixelDrivenTerms<shape, interpolation>;
  using Base::Base, Base::ends, Base::image, Base::rays, Base::term, Base::single, Base::filter;
  using typename Base::Index;

  std::int64_t n_steps() const { return std::int64_t(rays.n_tiles) * pixels_of_tile; }

  KOKKOS_FUNCTION void operator()(const std::int64_t i) const {
    const Tile tile(rays, int(i / pixels_of_tile));
    const int in_tile = int(i % pixels_of_tile), fast = in_tile % tile_side, slow = in_tile / tile_side;
    if (fast >= tile.n_fast || slow >= tile.n_slow) return;
    const std::int64_t pixel = tile.pixel(fast, slow);
    if (!rays.active(pixel)) return;
    double sum = 0;
    for (int r = 0; r < tile.panel.rays_of_pixel; ++r) {
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
    const bool one_wavelength = direction.sources.size() == 1;
    if constexpr (!ends) {
      if (one_wavelength)  // apart, so that what the source says is read once
        for (int block = 0; block < n_blocks; ++block)
          sum += term_at(term.blocks(block) * scattering, direction.sources.begin);
      else
        for (int block = 0; block < n_blocks; ++block) {
          const Vec3 index = term.blocks(block) * scattering;
          for (int i = direction.sources.begin; i < direction.sources.end; ++i) sum += term_at(index, i);
        }
    } else if (one_wavelength) {
      const SingleVec3 at = to_single(term.sources.wavenumber(direction.sources.begin) * scattering);
      for_each_passing(
          0, n_blocks,
          [&](int block) {
            const SingleMat3& rows = single(block);
            return filter.distance2(dot(rows.row[0], at), dot(rows.row[1], at), dot(rows.row[2], at));
          },
          [&](int block) { sum += term_at(term.blocks(block) * scattering, direction.sources.begin); });
    } else {
      const SingleVec3 at = to_single(scattering);
      for (int block = 0; block < n_blocks; ++block) {
        const SingleMat3& rows = single(block);
        const float h = dot(rows.row[0], at), k = dot(rows.row[1], at), l = dot(rows.row[2], at);
        for_each_passing(
            direction.sources.begin, direction.sources.end,
            [&](int i) {
              const float x = float(term.sources.wavenumber(i));
              return filter.distance2(h * x, k * x, l * x);
            },
            [&](int i) { sum += term_at(term.blocks(block) * scattering, i); });
      }
    }
    return sum;
  }

  KOKKOS_FUNCTION double term_at(Vec3 index, int i) const {
    const double x = term.sources.wavenumber(i);
    return term(Index(index.x, x), Index(index.y, x), Index(index.z, x), i);
  }

  // Calls visit(i) for those of begin … end - 1 whose distance2(i) passes the filter.  First the filter for many,
  // without branches: so the threads of a GPU's warp do not wait for each other at every term.
  template <class Distance2, class Visit>
  KOKKOS_FUNCTION void for_each_passing(int begin, int end, const Distance2& distance2, const Visit& visit) const {
    for (int first = begin; first < end; first += 32) {
      const int n = Kokkos::min(32, end - first);
      unsigned passing = 0;
      for (int i = n - 1; i >= 0; --i) passing = 2 * passing + filter.passes(distance2(first + i));
      for (; passing != 0; passing &= passing - 1) visit(first + Kokkos::Experimental::countr_zero_builtin(passing));
    }
  }
};

}  // namespace nanobragg
#endif
