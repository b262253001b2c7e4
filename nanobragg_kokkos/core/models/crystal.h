// A crystal: identical mosaic blocks in many orientations.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_CRYSTAL_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_CRYSTAL_H

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include <nanobragg_kokkos/core/math/vector.h>

namespace nanobragg {

// The shape of a block determines the profile of its reflections (lattice_shapes.h).
enum class Shape { square, round, gauss, gauss_argchk, tophat };

class Crystal {
 public:
  // orientations: the real-space cell vectors a, b, c (rows, metres) of each block.  The blocks share the beam evenly:
  // the intensity is the mean over all of them, times scale.
  // cells: numbers of cells along a, b, c in one block; whole for Shape::square, whose lattice sum has no peaks
  // otherwise.
  // Throws std::invalid_argument if there is no orientation, the cell vectors have no volume, there is less than one
  // cell, a square shape has a part of a cell, or the scale is negative.
  Crystal(std::vector<Mat3> orientations, std::array<double, 3> cells, Shape shape, double scale = 1);

  Shape shape() const { return shape_; }
  const std::array<double, 3>& cells() const { return cells_; }
  double scale() const { return scale_; }
  std::size_t n_blocks() const { return n_blocks_; }
  const Mat3& cell() const { return cell_; }  // of the first block

  struct OnDevice;
  const OnDevice& on_device() const { return *on_device_; }

 private:
  std::array<double, 3> cells_;
  Shape shape_;
  double scale_;
  std::size_t n_blocks_;
  Mat3 cell_;
  std::shared_ptr<OnDevice> on_device_;
};

// Returns the orientations of a crystal with the cell vectors `cell`, rotated about `axis` to the angles
// start + k * step (radians, k = 0 … steps - 1), and then by each of the rotation matrices in `blocks`.
// Throws std::invalid_argument if there is less than one step, an angle is not finite, or the axis has length zero.
std::vector<Mat3> orientations(const Mat3& cell, const std::vector<Mat3>& blocks, Vec3 axis, double start, double step,
                               int steps);

}  // namespace nanobragg
#endif
