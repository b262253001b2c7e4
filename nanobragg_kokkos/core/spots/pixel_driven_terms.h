// What the two forms of the pixel-driven engine read (spots_by_pixel.h, spots_by_tile.h).
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_PIXEL_DRIVEN_TERMS_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_PIXEL_DRIVEN_TERMS_H

#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/models/tile.h>
#include <nanobragg_kokkos/core/spots/reach_filter.h>
#include <nanobragg_kokkos/core/spots/spot_terms.h>

namespace nanobragg {

template <Shape shape, Interpolation interpolation>
struct PixelDrivenTerms {
  using Index = typename SpotTerms<shape, interpolation>::Index;
  static constexpr bool ends = reach2<shape>() >= 0;
  Kokkos::View<double*, DeviceSpace> image;
  PixelTable rays;
  SpotTerms<shape, interpolation> term;
  DeviceArray<SingleMat3> single;  // the blocks, for the filter
  ReachFilter filter;

  PixelDrivenTerms(Image& to, const Detector& detector, const Sources& sources, const Crystal& crystal,
                   const StructureFactors& structure_factors)
      : image(to.on_device().pixels),
        rays(detector.on_device().table),
        term(sources, crystal, structure_factors),
        single(crystal.on_device().single.table),
        filter(reach2<shape>(), term.cells, crystal.on_device().largest_extent, sources.largest_wavenumber()) {}
};

}  // namespace nanobragg
#endif
