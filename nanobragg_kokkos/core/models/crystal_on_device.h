// The crystal as kernels see it.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_CRYSTAL_ON_DEVICE_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_CRYSTAL_ON_DEVICE_H

#include <nanobragg_kokkos/core/models/crystal.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

// In single precision; a vector fills one of the words that GPUs load at once.
struct alignas(16) SingleVec3 {
  float x = 0, y = 0, z = 0;
};

NANOBRAGG_FUNCTION SingleVec3 to_single(Vec3 v) { return {float(v.x), float(v.y), float(v.z)}; }
NANOBRAGG_FUNCTION float dot(SingleVec3 a, SingleVec3 b) {
  return Kokkos::fma(a.x, b.x, Kokkos::fma(a.y, b.y, a.z * b.z));
}

NANOBRAGG_FUNCTION SingleVec3 operator*(float s, SingleVec3 v) { return {s * v.x, s * v.y, s * v.z}; }

struct SingleMat3 {
  SingleVec3 row[3];
};

struct Crystal::OnDevice : ResidentTable<DeviceTable<Mat3>> {  // the cell vectors of each block
  ResidentTable<DeviceTable<SingleMat3>> single;               // the same
  double largest_extent = 0;  // of the blocks' sqrt(|N_a a|^2 + |N_b b|^2 + |N_c c|^2), m
};

}  // namespace nanobragg
#endif
