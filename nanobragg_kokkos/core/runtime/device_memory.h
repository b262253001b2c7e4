// Measures the memory of the kernels on the device: models, images, intermediate results.
//
// It counts Kokkos's allocations; profiling tools that watch these still receive all events.  On a CPU it does not
// count the images, whose memory does not come from Kokkos.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_DEVICE_MEMORY_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_DEVICE_MEMORY_H

#include <cstddef>

namespace nanobragg {

void watch_memory();        // counts allocations from now on
std::size_t peak_memory();  // largest number of bytes in use at once since the last call

}  // namespace nanobragg
#endif
