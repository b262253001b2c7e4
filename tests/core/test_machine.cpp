// What the benchmark asks of the machine: its ceilings, and the memory that is in use.
#include <nanobragg_kokkos/core/models/structure_factors.h>
#include <nanobragg_kokkos/core/runtime/ceilings.h>
#include <nanobragg_kokkos/core/runtime/device_memory.h>

#include "check.h"

using namespace nanobragg;

TEST(ceilings_are_those_of_a_computer) {
  const Ceilings c = measure_ceilings();
  CHECK(c.bytes_per_second > 1e6 && c.bytes_per_second < 1e15);
  CHECK(c.fma_per_second > 1e6 && c.fma_per_second < 1e15);
}

TEST(peak_memory_is_the_most_in_use_since_it_was_last_asked_for) {
  watch_memory();
  peak_memory();
  const std::size_t before = peak_memory();
  const double expected = 1.5e6;
  {
    const StructureFactors amplitudes({{{{49, 49, 49}, 1}}}, 0, 0);  // 50 x 50 x 50 of them, 12 bytes each
    CHECK_CLOSE(double(peak_memory() - before), expected, 0.01 * expected);
  }
  CHECK_CLOSE(double(peak_memory() - before), expected, 0.01 * expected);
  CHECK(peak_memory() == before);
}
