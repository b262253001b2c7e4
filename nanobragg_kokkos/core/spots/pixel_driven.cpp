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
void run(const ExecutionSpace& space, Image& image, const Detector& detector, const Sources& sources,
         const Crystal& crystal, const StructureFactors& structure_factors) {
  using Kernel =
      std::conditional_t<host_is_device, SpotsByTile<shape, interpolation>, SpotsByPixel<shape, interpolation>>;
  const Kernel kernel(image, detector, sources, crystal, structure_factors);
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

void add_spots_pixel_driven(Workspace& workspace, Image& image, const Detector& detector, const Sources& sources,
                            const Crystal& crystal, const StructureFactors& structure_factors,
                            Interpolation interpolation) {
  const Calculation calculation(workspace, "nanobragg::spots::add_pixel_driven");
  check_spots(image, detector, sources, structure_factors);
  with_shape(crystal.shape(), interpolation, [&](auto shape, auto how) {
    run<shape(), how()>(calculation.space(), image, detector, sources, crystal, structure_factors);
  });
}

double pixel_driven_work(const Detector& detector, const Sources& sources, const Crystal& crystal,
                         Interpolation interpolation) {
  // Measured with one core of a recent x86 processor.
  constexpr double a_ray = 3.3e-9, a_test = 0.28e-9;
  const double a_term = interpolation == Interpolation::tricubic ? 60e-9 : 4.5e-9;
  double rays = 0;
  for (const Panel& panel : detector.panels())
    rays += double(panel.n_fast) * panel.n_slow * (panel.sensor_thickness > 0 ? detector.sampling().sensor_layers : 1);
  rays *= double(detector.sampling().oversample) * detector.sampling().oversample;
  // The share of terms that a shape reaches is its part of a reflection's cell; several times as many are computed,
  // since pixels are taken together.
  double computed = 1;
  with_shape(crystal.shape(), Interpolation::nearest, [&](auto shape, auto) {
    const double radius2 = reach2<shape()>(), cells = crystal.cells()[0] * crystal.cells()[1] * crystal.cells()[2];
    if (radius2 >= 0) computed = std::min(1.0, 4 * 4.19 * radius2 * std::sqrt(radius2) / cells);
  });
  return rays * (a_ray * double(sources.n_directions()) +
                 double(crystal.n_blocks()) * sources.size() * (a_test + computed * a_term));
}

}  // namespace nanobragg
