// What the two forms of the pixel-driven engine read (pixel_driven_cpu.h, pixel_driven_gpu.h).
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
  DeviceBuffer<double> image;
  PixelTable rays;
  SpotTerms<shape, interpolation> term;
  DeviceTable<SingleMat3> single;  // the blocks, for the filter
  ReachFilter filter;

  PixelDrivenTerms(Image& to, const Scene& scene)
      : image(to.on_device().pixels),
        rays(scene.detector.on_device().table),
        term(scene),
        single(scene.crystal.on_device().single.table),
        filter(reach2<shape>(), term.cells, scene.crystal.on_device().largest_extent,
               scene.sources.largest_wavenumber()) {}
};

}  // namespace nanobragg
#endif
