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
      at_once(Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>,
                                  Bounds>(space, 0, kernel.n_steps())),
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

double pixel_driven_work(const Scene& scene, Interpolation interpolation) {
  // Measured with one core of a recent x86 processor.
  constexpr double a_ray = 3.3e-9, a_test = 0.28e-9;
  const double a_term = interpolation == Interpolation::tricubic ? 60e-9 : 4.5e-9;
  // The share of terms that a shape reaches is its part of a reflection's cell; several times as many are computed,
  // since pixels are taken together.
  double computed = 1;
  with_shape(scene.crystal.shape(), Interpolation::nearest, [&](auto shape, auto) {
    const auto& cells = scene.crystal.cells();
    const double radius2 = reach2<shape()>(), volume = cells[0] * cells[1] * cells[2];
    if (radius2 >= 0) computed = std::min(1.0, 4 * 4.19 * radius2 * std::sqrt(radius2) / volume);
  });
  return scene.detector.n_rays() *
         (a_ray * double(scene.sources.n_directions()) +
          double(scene.crystal.n_blocks()) * scene.sources.size() * (a_test + computed * a_term));
}

}  // namespace nanobragg
