// What the two engines would have to do.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_ENGINE_WORK_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_ENGINE_WORK_H

#include <nanobragg_kokkos/core/spots/spots.h>

namespace nanobragg {

// Return seconds of one CPU core or thereabouts: only the ratio counts.  The reflections' share is found by looking for
// the patches of a few rows of reflections.  Infinite for what the reflection-driven engine does not do; throws
// std::invalid_argument for a tolerance that cannot be.
double pixel_driven_work(const Scene& scene, Interpolation interpolation);
double reflection_driven_work(Workspace& workspace, const Scene& scene, Interpolation interpolation,
                              std::optional<double> tolerance = {});

}  // namespace nanobragg
#endif
