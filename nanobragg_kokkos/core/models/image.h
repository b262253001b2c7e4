// Expected photons, one double a pixel, on the device.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_IMAGE_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_IMAGE_H

#include <cstddef>
#include <memory>
#include <vector>

#include <nanobragg_kokkos/core/runtime/workspace.h>

namespace nanobragg {

class Image {
 public:
  Image(Workspace& workspace, std::size_t n_pixels);  // all zero

  std::size_t size() const { return size_; }
  void clear(Workspace& workspace);
  // Both throw std::invalid_argument for another size.
  void add(Workspace& workspace, const Image& other);
  void add(Workspace& workspace, const std::vector<double>& pixels);
  void swap(Image& other) noexcept;

  // The pixels in memory of the host.  Where the device is the host this is the image itself and stays in step with it;
  // otherwise a copy, refreshed by each call.  The memory lives as long as the pointer, Kokkos or no Kokkos.
  std::shared_ptr<double> on_host(Workspace& workspace) const;

  struct OnDevice;
  OnDevice& on_device() { return *on_device_; }
  const OnDevice& on_device() const { return *on_device_; }

 private:
  std::size_t size_;
  std::shared_ptr<OnDevice> on_device_;
};

}  // namespace nanobragg
#endif
