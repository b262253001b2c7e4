#include <nanobragg_kokkos/core/runtime/arithmetic.h>

#include <Kokkos_Core.hpp>

namespace nanobragg {

StandardArithmetic::StandardArithmetic() {
  std::fegetenv(&callers_);
  std::fesetenv(FE_DFL_ENV);
  using Host = Kokkos::DefaultHostExecutionSpace;
  // In chunks of one, so that every thread of the pool gets its turn.
  Kokkos::parallel_for(
      "nanobragg::standard_arithmetic",
      Kokkos::RangePolicy<Host, Kokkos::Schedule<Kokkos::Static>>(0, Host().concurrency()).set_chunk_size(1),
      [](const int) { std::fesetenv(FE_DFL_ENV); });
}

StandardArithmetic::~StandardArithmetic() { std::fesetenv(&callers_); }

}  // namespace nanobragg
