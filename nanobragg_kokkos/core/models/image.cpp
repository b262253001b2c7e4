#include <nanobragg_kokkos/core/models/image.h>

#include <cstdlib>
#include <new>
#include <stdexcept>
#include <utility>

#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>

namespace nanobragg {
namespace {

// Not Kokkos memory: arrays of a script may look at it after Kokkos has ended.
std::shared_ptr<double> host_memory(std::size_t n) {
  constexpr std::size_t line = 64;
  const std::size_t bytes = (n * sizeof(double) + line - 1) / line * line;
  auto* memory = static_cast<double*>(std::aligned_alloc(line, bytes > 0 ? bytes : line));
  if (!memory) throw std::bad_alloc();
  return std::shared_ptr<double>(memory, std::free);
}

const DeviceBuffer<double>& pixels(const Image::OnDevice& image, std::size_t size) {
  if (image.pixels.extent(0) != size)
    throw std::runtime_error("the image has been released: the Kokkos runtime has ended");
  return image.pixels;
}

void add_pixels(const ExecutionSpace& space, const DeviceBuffer<double>& image, const DeviceTable<double>& more) {
  Kokkos::parallel_for(
      "nanobragg::image::add",
      Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::int64_t>>(space, 0, std::int64_t(image.extent(0))),
      KOKKOS_LAMBDA(const std::int64_t i) { image(i) += more(i); });
  space.fence("nanobragg::image::add");
}

}  // namespace

Image::Image(Workspace& workspace, std::size_t n_pixels) : size_(n_pixels), on_device_(std::make_shared<OnDevice>()) {
  const Calculation calculation(workspace, "nanobragg::models::make_image");
  if constexpr (host_is_device) {
    on_device_->host = host_memory(size_);
    on_device_->pixels = DeviceBuffer<double>(on_device_->host.get(), size_);
  } else {
    on_device_->pixels = DeviceBuffer<double>(
        Kokkos::view_alloc(calculation.space(), "nanobragg::image", Kokkos::WithoutInitializing), size_);
  }
  clear(workspace);
}

void Image::clear(Workspace& workspace) {
  const Calculation calculation(workspace, "nanobragg::models::clear_image");
  Kokkos::deep_copy(calculation.space(), pixels(*on_device_, size_), 0.0);
  calculation.space().fence("nanobragg::image::clear");
}

void Image::add(Workspace& workspace, const Image& other) {
  if (other.size() != size_) throw std::invalid_argument("images of different sizes cannot be added");
  const Calculation calculation(workspace, "nanobragg::models::add_to_image");
  add_pixels(calculation.space(), pixels(*on_device_, size_), pixels(*other.on_device_, size_));
}

void Image::add(Workspace& workspace, const std::vector<double>& values) {
  if (values.size() != size_) throw std::invalid_argument("an image and an array of different sizes cannot be added");
  const Calculation calculation(workspace, "nanobragg::models::add_to_image");
  add_pixels(calculation.space(), pixels(*on_device_, size_),
             to_device(calculation.space(), "nanobragg::image::more", values));
}

void Image::swap(Image& other) noexcept {
  std::swap(size_, other.size_);
  std::swap(on_device_, other.on_device_);
}

std::shared_ptr<double> Image::on_host([[maybe_unused]] Workspace& workspace) const {
  if constexpr (!host_is_device) {
    const Calculation calculation(workspace, "nanobragg::models::image_on_host");
    const auto device = pixels(*on_device_, size_);
    if (!on_device_->host) on_device_->host = host_memory(size_);
    Kokkos::deep_copy(calculation.space(),
                      Kokkos::View<double*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(on_device_->host.get(), size_),
                      device);
    calculation.space().fence("nanobragg::image::on_host");
  }
  return on_device_->host;
}

}  // namespace nanobragg
