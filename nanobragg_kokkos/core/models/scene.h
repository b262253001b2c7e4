// The models from which Bragg spots are computed.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_SCENE_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_SCENE_H

#include <nanobragg_kokkos/core/models/crystal.h>
#include <nanobragg_kokkos/core/models/detector.h>
#include <nanobragg_kokkos/core/models/sources.h>
#include <nanobragg_kokkos/core/models/structure_factors.h>

namespace nanobragg {

// A crystal in a beam in front of a detector.  Refers to the models, which must live as long.
struct Scene {
  const Detector& detector;
  const Sources& sources;
  const Crystal& crystal;
  const StructureFactors& structure_factors;
};

}  // namespace nanobragg
#endif
