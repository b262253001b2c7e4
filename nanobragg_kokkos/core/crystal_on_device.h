// The crystal as kernels see it.
#ifndef NANOBRAGG_KOKKOS_CORE_CRYSTAL_ON_DEVICE_H
#define NANOBRAGG_KOKKOS_CORE_CRYSTAL_ON_DEVICE_H

#include "crystal.h"
#include "device_array.h"
#include "runtime.h"

namespace nanobragg {

struct Crystal::OnDevice : Resident {
  DeviceArray<Mat3> orientations;
  void release() noexcept override { orientations = {}; }
};

}  // namespace nanobragg
#endif
