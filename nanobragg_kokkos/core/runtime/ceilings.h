// Measured ceilings of this machine: no kernel is faster than its memory traffic or its arithmetic allows.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_CEILINGS_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_CEILINGS_H

namespace nanobragg {

struct Ceilings {
  double bytes_per_second = 0;  // reads and writes of a[i] += s * b[i] over arrays that no cache holds, 24 bytes each
  double fma_per_second = 0;    // fused multiply-adds of double precision
};

// Returns the best of several attempts, which together take about a second and 512 MB.
Ceilings measure_ceilings();

}  // namespace nanobragg
#endif
