#include <nanobragg_kokkos/core/runtime/workspace.h>

#include <stdexcept>
#include <vector>

#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>

namespace nanobragg {
namespace {

// Part of a CPU's threads would be no gain to anyone.
ExecutionSpace own_instance() {
  if constexpr (host_is_device) return ExecutionSpace();
  return Kokkos::Experimental::partition_space(ExecutionSpace(), std::vector<int>{1}).front();
}

Workspace::OnDevice& ready(Workspace& workspace) {
  start();
  return workspace.on_device();
}

}  // namespace

Workspace::Workspace() : on_device_(std::make_unique<OnDevice>()) {}

Workspace::~Workspace() = default;

Workspace::OnDevice::OnDevice() : space_(own_instance()) {}

const ExecutionSpace& Workspace::OnDevice::space() const {
  if (!space_) throw std::runtime_error("the workspace has been released: the Kokkos runtime has ended");
  return *space_;
}

void Workspace::OnDevice::release() noexcept {
  scratch_.clear();
  space_.reset();
}

Calculation::Calculation(Workspace& workspace, const char* name)
    : lock_(ready(workspace).mutex()), space_(workspace.on_device().space()), region_(name) {}

}  // namespace nanobragg
