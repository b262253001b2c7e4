// What this machine can do at most, measured: no kernel is faster than the memory that it reads and writes, nor than
// the arithmetic that it needs.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_CEILINGS_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_CEILINGS_H

namespace nanobragg {

struct Ceilings {
  double bytes_per_second = 0;  // reads and writes of a[i] += s * b[i] over arrays that no cache holds, 24 bytes each
  double fma_per_second = 0;    // fused multiply-adds of double precision
};

// The best of several attempts, which together take about a second and 512 MB.
Ceilings measure_ceilings();

}  // namespace nanobragg
#endif
