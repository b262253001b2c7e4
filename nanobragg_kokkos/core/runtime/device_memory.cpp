#include <nanobragg_kokkos/core/runtime/device_memory.h>

#include <Kokkos_Core.hpp>

#include <cstdint>
#include <cstring>
#include <mutex>
#include <unordered_map>

#include <nanobragg_kokkos/core/runtime/device_buffers.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>

namespace nanobragg {
namespace {

struct Memory {
  std::mutex mutex;
  std::unordered_map<const void*, std::uint64_t> sizes;  // what was there before is not counted when it goes
  std::size_t in_use = 0, peak = 0;
};

// Never destroyed: Kokkos may release memory after the statics of this file are gone.
Memory& memory() {
  static Memory* instance = new Memory;
  return *instance;
}

bool of_device(const Kokkos::Profiling::SpaceHandle& space) {
  return std::strcmp(space.name, DeviceSpace::name()) == 0;
}

void allocated(const Kokkos::Profiling::SpaceHandle space, const char*, const void* const pointer,
               const std::uint64_t size) {
  if (!of_device(space)) return;
  Memory& m = memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  m.sizes[pointer] = size;
  m.in_use += size;
  if (m.in_use > m.peak) m.peak = m.in_use;
}

void released(const Kokkos::Profiling::SpaceHandle space, const char*, const void* const pointer, const std::uint64_t) {
  if (!of_device(space)) return;
  Memory& m = memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  const auto found = m.sizes.find(pointer);
  if (found == m.sizes.end()) return;
  m.in_use -= found->second;
  m.sizes.erase(found);
}

}  // namespace

void watch_memory() {
  start();
  Kokkos::Tools::Experimental::set_allocate_data_callback(allocated);
  Kokkos::Tools::Experimental::set_deallocate_data_callback(released);
}

std::size_t peak_memory() {
  Memory& m = memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  const std::size_t peak = m.peak;
  m.peak = m.in_use;
  return peak;
}

}  // namespace nanobragg
