#include "detector.h"

#include <stdexcept>
#include <string>

#include "detector_on_device.h"

namespace nanobragg {
namespace {

bool positive(double x) { return x > 0 && std::isfinite(x); }

void check(const Panel& p, std::size_t index) {
  const std::string name = "panel " + std::to_string(index) + ": ";
  if (p.n_fast < 1 || p.n_slow < 1) throw std::invalid_argument(name + "the image size must be at least 1 x 1 pixel");
  if (!positive(p.pixel_fast) || !positive(p.pixel_slow))
    throw std::invalid_argument(name + "the pixel size must be positive and finite");
  if (!(std::abs(norm(p.fast) - 1) < 1e-3 && std::abs(norm(p.slow) - 1) < 1e-3 && std::abs(dot(p.fast, p.slow)) < 1e-3))
    throw std::invalid_argument(name + "fast and slow axis must be unit vectors at right angles");
  if (!std::isfinite(norm(p.origin))) throw std::invalid_argument(name + "the origin must be finite");
  if (p.sensor_thickness != 0 && !positive(p.sensor_thickness))
    throw std::invalid_argument(name + "the sensor's thickness must be finite and not negative");
  if (p.sensor_thickness > 0 && !(positive(p.attenuation_length) && std::isfinite(1 / p.attenuation_length)))
    throw std::invalid_argument(name + "a sensor with a thickness needs a positive and finite attenuation length");
}

}  // namespace

Detector::Detector(std::vector<Panel> panels, Sampling sampling, const std::vector<std::uint8_t>& mask)
    : panels_(std::move(panels)), sampling_(sampling), first_pixel_{0} {
  if (panels_.empty()) throw std::invalid_argument("the detector has no panel");
  if (sampling_.oversample < 1) throw std::invalid_argument("oversample must be at least 1");
  if (sampling_.sensor_layers < 1) throw std::invalid_argument("the number of sensor layers must be at least 1");
  if (!(sampling_.layer_placement >= 0 && sampling_.layer_placement <= 1))
    throw std::invalid_argument("the placement in a sensor layer must lie between 0 and 1");
  for (std::size_t i = 0; i < panels_.size(); ++i) {
    check(panels_[i], i);
    first_pixel_.push_back(first_pixel_.back() + std::size_t(panels_[i].n_fast) * panels_[i].n_slow);
  }
  if (!mask.empty() && mask.size() != n_pixels())
    throw std::invalid_argument("the mask has " + std::to_string(mask.size()) + " values for " +
                                std::to_string(n_pixels()) + " pixels");

  on_device_ = std::make_shared<OnDevice>();
  std::vector<DevicePanel> device_panels;
  int n_tiles = 0;
  for (std::size_t i = 0; i < panels_.size(); ++i) {
    const Panel& p = panels_[i];
    DevicePanel d;
    d.origin = p.origin;
    d.step_fast = p.pixel_fast * p.fast;
    d.step_slow = p.pixel_slow * p.slow;
    d.normal = unit(cross(p.fast, p.slow));
    if (dot(d.normal, p.origin) < 0) d.normal = -d.normal;
    d.close_distance = std::abs(dot(d.normal, p.origin));
    d.pixel_area = p.pixel_fast * p.pixel_slow;
    d.layers = p.sensor_thickness > 0 ? sampling_.sensor_layers : 1;
    d.layer_thickness = p.sensor_thickness / d.layers;
    d.first_depth = sampling_.layer_placement * d.layer_thickness;
    d.absorption = p.sensor_thickness > 0 ? 1 / p.attenuation_length : 0;
    d.first_pixel = std::int64_t(first_pixel_[i]);
    d.n_fast = p.n_fast;
    d.n_slow = p.n_slow;
    d.first_tile = n_tiles;
    d.tiles_fast = (p.n_fast + tile_side - 1) / tile_side;
    n_tiles += d.tiles_fast * ((p.n_slow + tile_side - 1) / tile_side);
    const Vec3 across = cross(d.step_fast, d.step_slow);
    d.dual_fast = (1 / dot(across, across)) * cross(d.step_slow, across);
    d.dual_slow = (1 / dot(across, across)) * cross(across, d.step_fast);
    device_panels.push_back(d);
  }
  PixelTable& table = on_device_->table;
  table.panels = to_device("nanobragg::detector::panels", device_panels);
  table.mask = to_device("nanobragg::detector::mask", mask);
  table.oversample = sampling_.oversample;
  table.n_tiles = n_tiles;
  table.point_pixel = sampling_.point_pixel;
}

}  // namespace nanobragg
