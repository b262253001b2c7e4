#include <nanobragg_kokkos/core/models/crystal.h>

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include <nanobragg_kokkos/core/models/crystal_on_device.h>

namespace nanobragg {

Crystal::Crystal(std::vector<Mat3> orientations, std::array<double, 3> cells, Shape shape, double scale)
    : cells_(cells), shape_(shape), scale_(scale), n_blocks_(orientations.size()) {
  if (orientations.empty()) throw std::invalid_argument("the crystal has no mosaic block");
  for (const Mat3& m : orientations) {
    const double volume = std::abs(dot(m.row[0], cross(m.row[1], m.row[2])));
    if (!(volume > 1e-6 * norm(m.row[0]) * norm(m.row[1]) * norm(m.row[2])))
      throw std::invalid_argument("the cell vectors of the crystal span no volume");
  }
  for (double n : cells) {
    if (!(n >= 1 && std::isfinite(n)))
      throw std::invalid_argument("the number of cells along each axis must be at least 1");
    if (shape == Shape::square && n != std::floor(n))
      throw std::invalid_argument("the number of cells along each axis must be whole for the shape square");
  }
  if (!(scale >= 0 && std::isfinite(scale)))
    throw std::invalid_argument("the scale of the crystal must be finite and not negative");
  cell_ = orientations.front();
  on_device_ = std::make_shared<OnDevice>();
  const Kokkos::Profiling::ScopedRegion region("nanobragg::models::make_crystal");
  on_device_->table = to_device("nanobragg::crystal::orientations", orientations);
  std::vector<SingleMat3> single(orientations.size());
  for (std::size_t block = 0; block < orientations.size(); ++block) {
    double extent2 = 0;
    for (int i = 0; i < 3; ++i) {
      const Vec3& axis = orientations[block].row[i];
      single[block].row[i] = to_single(axis);
      extent2 += cells[i] * cells[i] * dot(axis, axis);
    }
    on_device_->largest_extent = std::max(on_device_->largest_extent, std::sqrt(extent2));
  }
  on_device_->single.table = to_device("nanobragg::crystal::orientations_in_single_precision", single);
}

std::vector<Mat3> orientations(const Mat3& cell, const std::vector<Mat3>& blocks, Vec3 axis, double start, double step,
                               int steps) {
  if (steps < 1) throw std::invalid_argument("the number of rotation steps must be at least 1");
  const bool turns = start != 0 || (steps > 1 && step != 0);
  if (!std::isfinite(start) || !std::isfinite(step))
    throw std::invalid_argument("the rotation's angles must be finite");
  if (turns && !(norm(axis) > 0 && std::isfinite(norm(axis))))
    throw std::invalid_argument("the rotation axis must be finite and not zero");
  std::vector<Mat3> result;
  for (int k = 0; k < steps; ++k) {
    const double angle = start + k * step;
    for (const Mat3& block : blocks) {
      Mat3 m;
      for (int i = 0; i < 3; ++i)
        m.row[i] = block * (angle != 0 ? rotated(cell.row[i], unit(axis), angle) : cell.row[i]);
      result.push_back(m);
    }
  }
  return result;
}

}  // namespace nanobragg
