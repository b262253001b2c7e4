// A detector: flat panels, each in its own plane, and the sampling of a pixel.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_DETECTOR_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_DETECTOR_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include <nanobragg_kokkos/core/math/vector.h>

namespace nanobragg {

// Lengths in metres, laboratory frame with the sample at the origin.
struct Panel {
  Vec3 origin;      // outer corner of pixel (0, 0)
  Vec3 fast, slow;  // unit vectors
  double pixel_fast = 0, pixel_slow = 0;
  int n_fast = 0, n_slow = 0;
  double sensor_thickness = 0;    // 0: a sensor without depth that absorbs every photon
  double attenuation_length = 0;  // of the sensor; used where sensor_thickness > 0
};

struct Sampling {
  int oversample = 1;          // sub-pixels along each axis of a pixel
  int sensor_layers = 1;       // steps through the depth of a sensor
  double layer_placement = 0;  // depth of a photon in its layer: 0 the front face, 1 the back
  bool point_pixel = false;    // use 1/r^2 (per square metre) instead of the solid angle of a pixel

  int layers(const Panel& panel) const { return panel.sensor_thickness > 0 ? sensor_layers : 1; }
  int rays_of_pixel(const Panel& panel) const { return layers(panel) * oversample * oversample; }
};

// Pixels are numbered through all panels, in each panel slow × n_fast + fast.
class Detector {
 public:
  // mask: empty, or one value per pixel; every calculation omits pixels with 0.
  // Throws std::invalid_argument if a panel has no pixels or a size that is not positive, axes are not perpendicular
  // unit vectors (to 1e-3), the mask has the wrong size, there is less than one sub-pixel or layer, or the placement is
  // outside 0…1.
  Detector(std::vector<Panel> panels, Sampling sampling, const std::vector<std::uint8_t>& mask = {});

  const std::vector<Panel>& panels() const { return panels_; }
  const Sampling& sampling() const { return sampling_; }
  std::size_t n_pixels() const { return first_pixel_.back(); }
  double n_rays() const;  // of all pixels together
  std::size_t first_pixel(std::size_t panel) const { return first_pixel_.at(panel); }

  struct OnDevice;
  const OnDevice& on_device() const { return *on_device_; }

 private:
  std::vector<Panel> panels_;
  Sampling sampling_;
  std::vector<std::size_t> first_pixel_;  // of each panel, then the number of all pixels
  std::shared_ptr<OnDevice> on_device_;
};

}  // namespace nanobragg
#endif
