// How much memory the kernels take on the device: models, images, intermediate results.
//
// What Kokkos hands out is counted as it does so; a profiling tool that watches the same hears of it as before.  On a
// CPU the images are not among it: their memory is not Kokkos's.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_DEVICE_MEMORY_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_DEVICE_MEMORY_H

#include <cstddef>

namespace nanobragg {

void watch_memory();        // counts what is handed out from now on
std::size_t peak_memory();  // bytes: the most that was in use at once since the last call

}  // namespace nanobragg
#endif
