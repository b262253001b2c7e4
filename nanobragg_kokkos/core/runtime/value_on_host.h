// Reads a single value that kernels have left on the device.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_VALUE_ON_HOST_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_VALUE_ON_HOST_H

#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

// Returns the value as the kernels before it in the queue of `space` have left it.  deep_copy with an execution space
// promises no more than to queue the copy: nobody may look at its result before the fence.
template <class T>
T value_on_host(const ExecutionSpace& space, const Kokkos::View<T, DeviceSpace>& value) {
  T copy;
  Kokkos::deep_copy(space, copy, value);
  space.fence("nanobragg::value_on_host");
  return copy;
}

}  // namespace nanobragg
#endif
