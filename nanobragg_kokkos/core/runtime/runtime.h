// The Kokkos runtime: it starts on first use and ends once, before its process ends.
//
// All objects with device memory derive from Resident.  Every Resident releases its memory before Kokkos ends, by
// stop() or by a program that has started Kokkos itself, so objects may outlive Kokkos; using one afterwards throws.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_RUNTIME_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_RUNTIME_H

#include <string>

namespace nanobragg {

struct Backend {
  std::string name;    // OpenMP, Serial, Cuda, …
  int threads = 1;     // number of iterations that the execution space runs at once
  std::string device;  // name of the GPU, or "host"
  std::string kokkos_version;
  std::string compiler;  // compiler of the core
};

void start();          // does nothing if Kokkos runs already; throws std::runtime_error after stop()
void stop() noexcept;  // releases all Residents and ends Kokkos; does nothing if it does not run
Backend backend();     // starts Kokkos if need be

class Resident {
 public:
  Resident();  // starts Kokkos
  virtual ~Resident();
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;
  virtual void release() noexcept = 0;
};

}  // namespace nanobragg
#endif
