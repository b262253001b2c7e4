// Memory of the host for copies from the device, pinned where that makes a difference, and used again and again.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_HOST_BUFFERS_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_HOST_BUFFERS_H

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <vector>

#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

class HostBuffers {
 public:
  explicit HostBuffers(std::size_t bytes) : pool_(std::make_shared<Pool>(bytes)) {}

  // A buffer that nobody else has.  It comes back when the last pointer to it goes.
  std::shared_ptr<void> take() {
    return std::shared_ptr<void>(pool_->take(), [pool = pool_](void* buffer) { pool->put_back(buffer); });
  }

 private:
  struct Pool : Resident {
    explicit Pool(std::size_t size) : bytes((size + line - 1) / line * line + line) {}
    ~Pool() override { release(); }

    void* take() {
      const std::lock_guard<std::mutex> lock(mutex);
      if (idle.empty()) return allocate();
      void* const buffer = idle.back();
      idle.pop_back();
      return buffer;
    }

    // Buffers that arrays of a script still look at when Kokkos ends are left to the end of the process.
    void put_back(void* buffer) {
      const std::lock_guard<std::mutex> lock(mutex);
      if (!ended || host_is_device) idle.push_back(buffer);
      if (ended) free_idle();
    }

    void release() noexcept override {
      const std::lock_guard<std::mutex> lock(mutex);
      free_idle();
      ended = true;
    }

    void* allocate() const {
      void* buffer;
      if constexpr (host_is_device)
        buffer = std::aligned_alloc(line, bytes);
      else
        buffer = Kokkos::kokkos_malloc<Kokkos::SharedHostPinnedSpace>("nanobragg::host_buffer", bytes);
      if (!buffer) throw std::bad_alloc();
      return buffer;
    }

    void free_idle() noexcept {
      for (void* const buffer : idle) {
        if constexpr (host_is_device)
          std::free(buffer);
        else
          Kokkos::kokkos_free<Kokkos::SharedHostPinnedSpace>(buffer);
      }
      idle.clear();
    }

    static constexpr std::size_t line = 64;
    std::size_t bytes;
    std::mutex mutex;
    std::vector<void*> idle;
    bool ended = false;
  };

  std::shared_ptr<Pool> pool_;
};

}  // namespace nanobragg
#endif
