// A workspace as the core's functions use it.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_WORKSPACE_ON_DEVICE_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_WORKSPACE_ON_DEVICE_H

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <typeindex>
#include <unordered_map>

#include <nanobragg_kokkos/core/runtime/arithmetic.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>
#include <nanobragg_kokkos/core/runtime/workspace.h>

namespace nanobragg {

struct Workspace::OnDevice : Resident {
  OnDevice();

  // The execution space instance.  Throws std::runtime_error once Kokkos has ended.
  const ExecutionSpace& space() const;

  // The intermediate results of one kind, kept from one image to the next: default-constructed at first.
  template <class Scratch>
  Scratch& scratch() {
    std::shared_ptr<void>& kept = scratch_[std::type_index(typeid(Scratch))];
    if (!kept) kept = std::make_shared<Scratch>();
    return *static_cast<Scratch*>(kept.get());
  }

  std::recursive_mutex& mutex() { return mutex_; }
  void release() noexcept override;

 private:
  std::optional<ExecutionSpace> space_;
  std::unordered_map<std::type_index, std::shared_ptr<void>> scratch_;
  std::recursive_mutex mutex_;  // a function of the core that computes may call another one
};

// What each function of the core that computes begins with: the workspace is this thread's alone until the function
// returns, arithmetic is IEEE's, and profiling tools see the function as a region.
class Calculation {
 public:
  // name: nanobragg::room::function.  Throws std::runtime_error once Kokkos has ended, or after a fork.
  Calculation(Workspace& workspace, const char* name);

  const ExecutionSpace& space() const { return space_; }

 private:
  std::lock_guard<std::recursive_mutex> lock_;
  const ExecutionSpace space_;
  StandardArithmetic standard_;
  Kokkos::Profiling::ScopedRegion region_;
};

}  // namespace nanobragg
#endif
