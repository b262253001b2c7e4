// The core's models of a workload.
#ifndef NANOBRAGG_KOKKOS_BENCHMARKS_MODELS_H
#define NANOBRAGG_KOKKOS_BENCHMARKS_MODELS_H

#include <nanobragg_kokkos/core/background/amorphous.h>
#include <nanobragg_kokkos/core/models/crystal.h>
#include <nanobragg_kokkos/core/models/detector.h>
#include <nanobragg_kokkos/core/models/sources.h>
#include <nanobragg_kokkos/core/models/structure_factors.h>
#include <nanobragg_kokkos/core/response/detector_response.h>

#include "workloads.h"

namespace nanobragg {

Detector detector_of(const Workload& workload);
Sources sources_of(const Workload& workload);
Crystal crystal_of(const Workload& workload, int image = 0);
StructureFactors structure_factors_of(const Workload& workload);
Amorphous water_of(const Workload& workload);
Amorphous air_of(const Workload& workload);
DetectorResponse response_of(const Workload& workload, bool blurred);

}  // namespace nanobragg
#endif
