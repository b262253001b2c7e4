#include <nanobragg_kokkos/core/runtime/ceilings.h>

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

#include <nanobragg_kokkos/core/runtime/arithmetic.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {
namespace {

constexpr int least_attempts = 4;
constexpr double least_seconds = 0.4;

// Dynamic: a thread whose core is busy with something else does not hold up the others.
using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>;

// In place, so that a processor need not read what it is about to overwrite.
struct Update {
  DeviceBuffer<double> sum;
  DeviceTable<double> more;
  double factor;
  KOKKOS_FUNCTION void operator()(const std::int64_t i) const { sum(i) += factor * more(i); }
};

// Sums that do not wait for each other: enough of them to fill the vectors of a CPU's core for as long as one fused
// multiply-add takes, or the instructions in flight of a GPU's thread.
struct MultiplyAdd {
  static constexpr int chains = host_is_device ? 64 : 8;
  DeviceBuffer<double> result;
  double factor, addend;
  int length;
  KOKKOS_FUNCTION void operator()(const std::int64_t i) const {
    double x[chains];
    for (int c = 0; c < chains; ++c) x[c] = double(i + c);
    for (int n = 0; n < length; ++n)
      for (int c = 0; c < chains; ++c) x[c] = Kokkos::fma(x[c], factor, addend);
    double sum = 0;
    for (int c = 0; c < chains; ++c) sum += x[c];
    result(i) = sum;
  }
};

// Seconds of the fastest attempt after a first one, which wakes threads, pages and clocks.
template <class Kernel>
double fastest(const char* name, std::int64_t n, const Kernel& kernel) {
  double best = 0, all = 0;
  for (int attempt = 0; attempt < least_attempts || all < least_seconds; ++attempt) {
    const auto begin = std::chrono::steady_clock::now();
    Kokkos::parallel_for(name, Policy(0, n), kernel);
    ExecutionSpace().fence(name);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (attempt > 0) best = attempt == 1 ? seconds : std::min(best, seconds);
    all += seconds;
  }
  return best;
}

}  // namespace

Ceilings measure_ceilings() {
  start();
  const Kokkos::Profiling::ScopedRegion region("nanobragg::runtime::measure_ceilings");
  const StandardArithmetic standard;
  Ceilings ceilings;
  {
    constexpr std::int64_t n = std::int64_t(1) << 25;
    const DeviceBuffer<double> sum("nanobragg::ceilings::sum", n), more("nanobragg::ceilings::more", n);
    const double seconds = fastest("nanobragg::ceilings::memory", n, Update{sum, more, 0.5});
    ceilings.bytes_per_second = 3.0 * sizeof(double) * n / seconds;
  }
  const std::int64_t n = host_is_device ? 64 * std::int64_t(ExecutionSpace().concurrency()) : std::int64_t(1) << 21;
  const int length = host_is_device ? 20000 : 2000;
  const MultiplyAdd kernel{DeviceBuffer<double>("nanobragg::ceilings::result", n), 0.999, 0.001, length};
  ceilings.fma_per_second = double(n) * kernel.chains * length / fastest("nanobragg::ceilings::arithmetic", n, kernel);
  return ceilings;
}

}  // namespace nanobragg
