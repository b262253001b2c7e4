// The cost model: times of the innermost steps, measured with one core of a recent x86 processor, times their numbers.
#include <nanobragg_kokkos/core/spots/engine_work.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>
#include <nanobragg_kokkos/core/spots/patch_light.h>
#include <nanobragg_kokkos/core/spots/patch_pipeline.h>
#include <nanobragg_kokkos/core/spots/spot_scratch.h>

namespace nanobragg {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct PatchSums {
  double patches = 0, pixels = 0;  // pixels: of strips, without the rest of their patches
};

// Of the patches of all candidates.
template <class Search>
PatchSums sum_patches(const ExecutionSpace& space, const Search& search, const PatchLists& lists) {
  PatchSums sums;
  Kokkos::parallel_reduce(
      "nanobragg::spots::sample_patches",
      light_weight(
          Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(
              space, 0, std::int64_t(lists.candidates.extent(0)))),
      KOKKOS_LAMBDA(const std::int64_t i, double& patches, double& pixels) {
        if (i >= lists.counters().candidates) return;
        search.for_each_patch(lists.candidates(i), [&](const Patch& p) {
          const double fast = p.n_fast(), slow = p.n_slow();
          patches += 1;
          pixels += Kokkos::min(fast * slow, 2.0 * p.half_width * (fast + slow));
        });
      },
      sums.patches, sums.pixels);
  return sums;
}

double most_rays_of_pixel(const Detector& detector) {
  int most = 1;
  for (const Panel& panel : detector.panels()) most = std::max(most, detector.sampling().rays_of_pixel(panel));
  return most;
}

// rows, and the sums of the patches of every stride-th of them.
double patch_work(const Scene& scene, std::int64_t rows, int stride, const PatchSums& sums, bool interpolated) {
  constexpr double a_row = 30e-9, a_patch = 350e-9, a_ray = 23e-9;
  const double a_wavelength = interpolated ? 6e-9 : 0.1e-9;
  const double wavelengths = double(scene.sources.size()) / double(scene.sources.n_directions());
  // Where nearly everything is lit, the patches would need more memory than the image.
  const double bytes = stride * (sums.patches * sizeof(Patch) + (host_is_device ? 0 : sums.pixels * sizeof(double)));
  if (bytes > (host_is_device ? 8.0 : 32.0) * double(scene.detector.n_pixels()) + 64e6) return infinity;
  return double(rows) * a_row + stride * (sums.patches * a_patch + sums.pixels * most_rays_of_pixel(scene.detector) *
                                                                       (a_ray + a_wavelength * wavelengths));
}

}  // namespace

double pixel_driven_work(const Scene& scene, Interpolation interpolation) {
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

double reflection_driven_work(Workspace& workspace, const Scene& scene, Interpolation interpolation,
                              std::optional<double> tolerance) {
  const Calculation calculation(workspace, "nanobragg::spots::reflection_driven_work");
  const ExecutionSpace& space = calculation.space();
  if (!tolerance && !ends(scene.crystal.shape())) return infinity;
  const double allowed = checked_tolerance(tolerance, scene.crystal.shape());
  SpotScratch& scratch = workspace.on_device().scratch<SpotScratch>();
  PatchLists& lists = scratch.lists;
  double result = 0;
  with_shape(scene.crystal.shape(), interpolation, [&](auto shape, auto how) {
    using Light = PatchLight<shape(), how()>;
    const Light light(scene, scratch.powers());
    do {
      lists.clear(space, scene.detector.on_device().table.n_tiles);
      const PatchPipeline<Light> pipeline(space, scene, light, allowed, lists);
      const std::int64_t rows = pipeline.search().count();
      // Rows are chosen such that neither h nor k are always even.
      const int stride = int(std::clamp<std::int64_t>(rows / 16384, 1, 1000)) | 1;
      pipeline.find_candidates(stride);
      pipeline.find_brightest();
      const PatchSums sums = sum_patches(space, pipeline.search(), lists);
      result = patch_work(scene, rows, stride, sums, Light::interpolated);
    } while (lists.make_room(space));
  });
  return result;
}

}  // namespace nanobragg
