#include <nanobragg_kokkos/core/models/detector.h>

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>

#include <nanobragg_kokkos/core/models/detector_on_device.h>

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

// The corners of what rays can end in; the directions to all the rest lie between those to these.
std::vector<Vec3> corners(const DevicePanel& p) {
  std::vector<Vec3> result;
  for (double depth : {0.0, (p.layers - 1) * p.layer_thickness + p.first_depth})
    for (int fast : {0, p.n_fast})
      for (int slow : {0, p.n_slow})
        result.push_back(along(along(along(p.origin, depth, p.normal), slow, p.step_slow), fast, p.step_fast));
  return result;
}

Ball ball_around(const DevicePanel& p) {
  constexpr Ball everything{{0, 0, 0}, 2};
  std::vector<Vec3> directions;
  Vec3 sum;
  for (const Vec3& corner : corners(p)) {
    if (!(norm(corner) > 0)) return everything;
    directions.push_back(unit(corner));
    sum = sum + directions.back();
  }
  if (!(norm(sum) > 1e-3)) return everything;
  Ball ball{unit(sum), 0};
  for (const Vec3& d : directions) ball.radius = std::max(ball.radius, norm(d - ball.centre) + 1e-9);
  return ball.radius < 1.4 ? ball : everything;  // less than a hemisphere, so that "between" has a meaning
}

std::vector<Ball> balls_around_groups(const std::vector<Ball>& balls) {
  std::vector<Ball> groups;
  for (std::size_t begin = 0; begin < balls.size(); begin += panels_in_group) {
    const std::size_t end = std::min(balls.size(), begin + panels_in_group);
    Ball group{{0, 0, 0}, 0};
    for (std::size_t i = begin; i < end; ++i)
      group.centre = group.centre + (1.0 / double(end - begin)) * balls[i].centre;
    for (std::size_t i = begin; i < end; ++i)
      group.radius = std::max(group.radius, norm(balls[i].centre - group.centre) + balls[i].radius);
    groups.push_back(group);
  }
  return groups;
}

// Of the sum of the weights of a pixel's rays: that of the panel's point which is nearest to the sample, unless
// absorbed.
double largest_weight(const DevicePanel& p, bool point_pixel) {
  if (!(p.close_distance > 0)) return 0;
  const double fast = std::clamp(-dot(p.origin, p.dual_fast), 0.0, double(p.n_fast));
  const double slow = std::clamp(-dot(p.origin, p.dual_slow), 0.0, double(p.n_slow));
  const double r = norm(along(along(p.origin, slow, p.step_slow), fast, p.step_fast));
  return 1.00001 * (point_pixel ? p.layers / (r * r) : p.pixel_area * p.close_distance / (r * r * r));
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
  const Kokkos::Profiling::ScopedRegion region("nanobragg::models::make_detector");
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
    d.layers = sampling_.layers(p);
    d.rays_of_pixel = sampling_.rays_of_pixel(p);
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
  std::vector<Ball> balls;
  for (const DevicePanel& p : device_panels) {
    balls.push_back(ball_around(p));
    table.largest_weight = std::max(table.largest_weight, largest_weight(p, sampling_.point_pixel));
  }
  table.around_panel = to_device("nanobragg::detector::around_panel", balls);
  table.around_group = to_device("nanobragg::detector::around_group", balls_around_groups(balls));
  table.panels = to_device("nanobragg::detector::panels", device_panels);
  table.mask = to_device("nanobragg::detector::mask", mask);
  table.oversample = sampling_.oversample;
  table.per_sub_pixel = 1.0 / (double(sampling_.oversample) * sampling_.oversample);
  table.n_tiles = n_tiles;
  table.point_pixel = sampling_.point_pixel;
}

double Detector::n_rays() const {
  double rays = 0;
  for (const Panel& panel : panels_) rays += double(panel.n_fast) * panel.n_slow * sampling_.rays_of_pixel(panel);
  return rays;
}

}  // namespace nanobragg
