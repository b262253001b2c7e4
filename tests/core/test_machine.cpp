// What the benchmark asks of the machine: its ceilings, and the memory that is in use.
#include <Kokkos_Core.hpp>

#include <nanobragg_kokkos/core/models/structure_factors.h>
#include <nanobragg_kokkos/core/runtime/ceilings.h>
#include <nanobragg_kokkos/core/runtime/device_memory.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>

#include "check.h"

using namespace nanobragg;

namespace {

int seen_by_tool = 0;

}  // namespace

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

TEST(a_profiling_tool_hears_of_memory_although_it_is_watched) {
  namespace Tools = Kokkos::Tools::Experimental;
  start();
  const Tools::EventSet before = Tools::get_callbacks();
  Tools::set_allocate_data_callback(
      [](Kokkos::Profiling::SpaceHandle, const char*, const void*, std::uint64_t) { seen_by_tool += 1; });
  Tools::set_deallocate_data_callback(
      [](Kokkos::Profiling::SpaceHandle, const char*, const void*, std::uint64_t) { seen_by_tool += 1000; });
  watch_memory();
  watch_memory();  // a second time changes nothing
  peak_memory();
  const std::size_t in_use = peak_memory();
  {
    const Kokkos::View<double*> memory("test", 1000);
  }
  Tools::set_callbacks(before);
  CHECK(seen_by_tool == 1001);
  CHECK(peak_memory() >= in_use + 8000);
}
