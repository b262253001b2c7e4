// The crystal as kernels see it.
#ifndef NANOBRAGG_KOKKOS_CORE_CRYSTAL_ON_DEVICE_H
#define NANOBRAGG_KOKKOS_CORE_CRYSTAL_ON_DEVICE_H

#include "crystal.h"
#include "device_array.h"

namespace nanobragg {

struct Crystal::OnDevice : Kept<DeviceArray<Mat3>> {};      // the cell vectors of each block

}  // namespace nanobragg
#endif
