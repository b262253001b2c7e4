// Expected photons on the device, one double per pixel.
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
  // Both throw std::invalid_argument if the sizes differ.
  void add(Workspace& workspace, const Image& other);
  void add(Workspace& workspace, const std::vector<double>& pixels);
  void swap(Image& other) noexcept;

  // Returns the pixels in memory of the host.  If the device is the host, this is the image itself; otherwise it is a
  // copy, which each call refreshes.  The memory lives as long as the pointer, even after the end of Kokkos.
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
