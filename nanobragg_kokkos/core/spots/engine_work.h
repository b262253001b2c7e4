// Estimates the work of the two engines.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_ENGINE_WORK_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_ENGINE_WORK_H

#include <nanobragg_kokkos/core/spots/spots.h>

namespace nanobragg {

// Return approximate seconds of one CPU core, of which only the ratio matters.  The estimate for reflections comes from
// the patches of a few rows of reflections.  It is infinite if the reflection-driven engine does not support the shape;
// throws std::invalid_argument if the tolerance is out of range.
double pixel_driven_work(const Scene& scene, Interpolation interpolation);
double reflection_driven_work(Workspace& workspace, const Scene& scene, Interpolation interpolation,
                              std::optional<double> tolerance = {});

}  // namespace nanobragg
#endif
