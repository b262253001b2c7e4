// What was measured, as a table for people and as JSON; docs/performance.md describes both.
#ifndef NANOBRAGG_KOKKOS_BENCHMARKS_REPORT_H
#define NANOBRAGG_KOKKOS_BENCHMARKS_REPORT_H

#include <cstddef>
#include <string>
#include <vector>

#include <nanobragg_kokkos/core/runtime/ceilings.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>

#include "measurement.h"
#include "workloads.h"

namespace nanobragg {

struct Machine {
  Backend backend;
  std::string processor, version;
  Ceilings ceilings;
};

Machine this_machine();  // measures its ceilings

struct Result {
  Workload workload;
  std::string step;
  std::string engine, sample;  // empty where there is none
  Timing timing;
  double of_base = 0;             // time of this one over that of the base; 0: it belongs to no scaling
  double floor = 0;               // seconds; 0: unknown
  std::size_t device_memory = 0;  // bytes; 0: unknown
  Contents contents;
};

std::string heading(const Machine& machine);
std::string line(const Result& result);
std::string json(const Machine& machine, const std::vector<Result>& results);

}  // namespace nanobragg
#endif
