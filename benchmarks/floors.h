// The least time that a step of an image can take on a machine: that of the memory which it must read and write, or of
// the arithmetic which it must do.  docs/performance.md counts both.
#ifndef NANOBRAGG_KOKKOS_BENCHMARKS_FLOORS_H
#define NANOBRAGG_KOKKOS_BENCHMARKS_FLOORS_H

#include <string>

#include <nanobragg_kokkos/core/runtime/ceilings.h>

#include "workloads.h"

namespace nanobragg {

// Seconds; 0 where no floor is known.  of: the engine or sample of the step.
double floor_seconds(const Workload& workload, const std::string& step, const std::string& of,
                     const Ceilings& ceilings);

}  // namespace nanobragg
#endif
