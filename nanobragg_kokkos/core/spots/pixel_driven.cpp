// The engine in two forms of one calculation, for GPUs and for CPUs.  In both, for shapes that end, a filter in single
// precision (reach_filter.h) passes over the terms that are zero, nearly all of them.
#include <algorithm>

#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>
#include <nanobragg_kokkos/core/spots/pixel_driven_cpu.h>
#include <nanobragg_kokkos/core/spots/pixel_driven_gpu.h>
#include <nanobragg_kokkos/core/spots/spots.h>

namespace nanobragg {
namespace {

template <Shape shape, Interpolation interpolation>
void run(const ExecutionSpace& space, Image& image, const Scene& scene) {
  using Kernel =
      std::conditional_t<host_is_device, PixelDrivenCpu<shape, interpolation>, PixelDrivenGpu<shape, interpolation>>;
  const Kernel kernel(image, scene);
  // So many blocks of threads at a time that a GPU's multiprocessor has something to do while memory and divisions are
  // waited for; without interpolation nothing is spilled from the loops for it.
  using Bounds = Kokkos::LaunchBounds<pixels_of_tile, interpolation == Interpolation::nearest ? 3 : 2>;
  // Dynamic: masked or dark regions take no time, others a lot.
  Kokkos::parallel_for(
      "nanobragg::spots::pixel_driven",
      light_weight(Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>,
                                       Kokkos::IndexType<std::int64_t>, Bounds>(space, 0, kernel.n_steps())),
      kernel);
  space.fence("nanobragg::spots::pixel_driven");
}

}  // namespace

void add_spots_pixel_driven(Workspace& workspace, Image& image, const Scene& scene, Interpolation interpolation) {
  const Calculation calculation(workspace, "nanobragg::spots::add_pixel_driven");
  check_spots(image, scene);
  with_shape(scene.crystal.shape(), interpolation,
             [&](auto shape, auto how) { run<shape(), how()>(calculation.space(), image, scene); });
}

}  // namespace nanobragg
