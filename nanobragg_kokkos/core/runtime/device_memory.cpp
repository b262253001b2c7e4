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

// Of a profiling tool, or null.
decltype(Kokkos::Tools::Experimental::EventSet::allocate_data) earlier_allocated = nullptr;
decltype(Kokkos::Tools::Experimental::EventSet::deallocate_data) earlier_released = nullptr;

bool of_device(const Kokkos::Profiling::SpaceHandle& space) {
  return std::strcmp(space.name, DeviceSpace::name()) == 0;
}

void allocated(const Kokkos::Profiling::SpaceHandle space, const char* label, const void* const pointer,
               const std::uint64_t size) {
  if (earlier_allocated) earlier_allocated(space, label, pointer, size);
  if (!of_device(space)) return;
  Memory& m = memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  m.sizes[pointer] = size;
  m.in_use += size;
  if (m.in_use > m.peak) m.peak = m.in_use;
}

void released(const Kokkos::Profiling::SpaceHandle space, const char* label, const void* const pointer,
              const std::uint64_t size) {
  if (earlier_released) earlier_released(space, label, pointer, size);
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
  namespace Tools = Kokkos::Tools::Experimental;
  const Tools::EventSet now = Tools::get_callbacks();
  if (now.allocate_data != allocated) {
    earlier_allocated = now.allocate_data;
    Tools::set_allocate_data_callback(allocated);
  }
  if (now.deallocate_data != released) {
    earlier_released = now.deallocate_data;
    Tools::set_deallocate_data_callback(released);
  }
}

std::size_t peak_memory() {
  Memory& m = memory();
  std::lock_guard<std::mutex> lock(m.mutex);
  const std::size_t peak = m.peak;
  m.peak = m.in_use;
  return peak;
}

}  // namespace nanobragg
