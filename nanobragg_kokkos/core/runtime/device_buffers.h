// What the kernels read and write: arrays on the device, and small tables of them that a kernel captures by value.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_DEVICE_BUFFERS_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_DEVICE_BUFFERS_H

#include <Kokkos_Core.hpp>

#include <string>
#include <type_traits>
#include <vector>

#include <nanobragg_kokkos/core/runtime/runtime.h>

namespace nanobragg {

using ExecutionSpace = Kokkos::DefaultExecutionSpace;
using DeviceSpace = ExecutionSpace::memory_space;
constexpr bool host_is_device = std::is_same<DeviceSpace, Kokkos::HostSpace>::value;

// Vector code on a CPU takes as many numbers at a time.
constexpr int vector_lanes = 8;

// What a team may take of the fast memory of any GPU, bytes: 48 KiB, less what Kokkos needs of it.
constexpr int fast_scratch = 47 * 1024;

// Values that kernels look up and never change while they run.
template <class T>
using DeviceTable = Kokkos::View<const T*, DeviceSpace, Kokkos::MemoryTraits<Kokkos::RandomAccess>>;

// What kernels write.
template <class T>
using DeviceBuffer = Kokkos::View<T*, DeviceSpace>;

// A team's part of the scratch memory.
template <class T>
using TeamBuffer = Kokkos::View<T*, ExecutionSpace::scratch_memory_space, Kokkos::MemoryUnmanaged>;

// Only the queue of this execution space instance is waited for, here and wherever something is computed: others may
// be busy with other images, or with the copy of an earlier one to the host.
template <class T>
DeviceTable<T> to_device(const ExecutionSpace& space, const std::string& label, const T* values, std::size_t n) {
  DeviceBuffer<T> device(Kokkos::view_alloc(space, label, Kokkos::WithoutInitializing), n);
  Kokkos::View<const T*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged> host(values, n);
  Kokkos::deep_copy(space, device, host);
  space.fence("nanobragg::runtime::to_device");
  return device;
}

template <class T>
DeviceTable<T> to_device(const ExecutionSpace& space, const std::string& label, const std::vector<T>& values) {
  return to_device(space, label, values.data(), values.size());
}

// Models belong to no workspace: they are copied by the default instance, in which no kernel of an image runs.
template <class T>
DeviceTable<T> to_device(const std::string& label, const T* values, std::size_t n) {
  return to_device(ExecutionSpace(), label, values, n);
}

template <class T>
DeviceTable<T> to_device(const std::string& label, const std::vector<T>& values) {
  return to_device(ExecutionSpace(), label, values);
}

// The same policy for a kernel that takes its values with the launch: Kokkos would else put them, since they are many,
// into a constant memory that only one kernel at a time has, and wait for it.
template <class Policy>
auto light_weight(const Policy& policy) {
  return Kokkos::Experimental::require(policy, Kokkos::Experimental::WorkItemProperty::HintLightWeight);
}

// A table on the device that is let go before Kokkos ends.
template <class Table>
struct ResidentTable : Resident {
  Table table;
  void release() noexcept override { table = Table(); }
};

}  // namespace nanobragg
#endif
