// The image as kernels see it.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_IMAGE_ON_DEVICE_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_IMAGE_ON_DEVICE_H

#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>

namespace nanobragg {

struct Image::OnDevice : Resident {
  DeviceBuffer<double> pixels;
  std::shared_ptr<double> host;  // holds the pixels themselves where the device is the host
  void release() noexcept override { pixels = {}; }
};

}  // namespace nanobragg
#endif
