// A workspace computes one image at a time: it has a queue of the device, and memory for intermediate results.
//
// Different workspaces compute side by side: on a GPU each has its own stream, and no workspace waits for another.  On
// a CPU all share the threads, and kernels take turns.  Two threads that use the same workspace take turns, too.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_WORKSPACE_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_WORKSPACE_H

#include <memory>

namespace nanobragg {

class Workspace {
 public:
  Workspace();  // starts Kokkos
  ~Workspace();
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  struct OnDevice;
  OnDevice& on_device() { return *on_device_; }

 private:
  std::unique_ptr<OnDevice> on_device_;
};

}  // namespace nanobragg
#endif
