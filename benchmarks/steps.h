// The steps of an image that are timed.
#ifndef NANOBRAGG_KOKKOS_BENCHMARKS_STEPS_H
#define NANOBRAGG_KOKKOS_BENCHMARKS_STEPS_H

#include <functional>
#include <string>

#include "arguments.h"
#include "measurement.h"
#include "workloads.h"

namespace nanobragg {

struct Step {
  std::string name, engine, sample;  // the latter two are empty where there is none
  std::function<void()> prepare, run;
  std::function<Contents()> contents;  // of the image that the last run has made
  int images = 1;                      // that a run makes
};

// Whether a workload has a step that the arguments ask for.
bool has_steps(const Workload& workload, const Arguments& arguments);

// Gives these steps to `visit`, one after the other, each made ready to be run until visit returns.
void visit_steps(const Workload& workload, const Arguments& arguments, const std::function<void(const Step&)>& visit);

}  // namespace nanobragg
#endif
