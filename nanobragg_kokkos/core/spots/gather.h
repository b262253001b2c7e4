// Adds up, for each pixel, what it receives from the patches that touch it, in an order that depends on the models
// alone.
//
// A pass over the lists is Gather<Light, Sink>.  Light says what a ray receives from a patch, as PatchLight does:
//   Value                       what is added up: a number, or several that have =, += and * (double); Value{} is zero
//   Envelope                    how far from a reflection that is looked for (reach.h)
//   over_sources, …_in_lanes    what some of the sources give a ray that has the Miller indices `index` at wavenumber 1
//   light_of_ray, light_of_pixel
// The index is what orientation, cell and detector act through, so that a Light of derivatives applies the chain rule
// there, and its Value has a number for each parameter.  Sink says what becomes of the sum of a pixel: sink(pixel, sum)
// is called once for each pixel of the lit tiles, on the device.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_GATHER_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_GATHER_H

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <type_traits>

#include <nanobragg_kokkos/core/spots/gather_cpu.h>
#include <nanobragg_kokkos/core/spots/gather_gpu.h>

namespace nanobragg {

template <class Light, class Sink>
using Gather = std::conditional_t<host_is_device, GatherCpu<Light, Sink>, GatherGpu<Light, Sink>>;

// Queues a pass over complete lists.
template <class Pass>
void gather(const ExecutionSpace& space, const PatchLists& lists, Pass& pass) {
  const Kokkos::Profiling::ScopedRegion region("nanobragg::spots::gather");
  pass.make_room(space, lists.found);
  pass.queue(space, lists);
}

// A sink: adds the photons to an image.
struct AddToImage {
  DeviceBuffer<double> image;
  double scale;  // see SpotTerms
  KOKKOS_INLINE_FUNCTION void operator()(std::int64_t pixel, double sum) const {
    if (sum != 0) image(pixel) += scale * sum;
  }
};

}  // namespace nanobragg
#endif
