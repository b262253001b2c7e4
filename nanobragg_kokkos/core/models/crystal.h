// A crystal: identical mosaic blocks in many orientations.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_CRYSTAL_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_CRYSTAL_H

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

#include <nanobragg_kokkos/core/math/vector.h>

namespace nanobragg {

// The shape of a block decides on the profile of its reflections (lattice_shapes.h).
enum class Shape { square, round, gauss, gauss_argchk, tophat };

class Crystal {
 public:
  // orientations: of each block, the real-space cell vectors a, b, c (rows, metres).  The blocks share the beam evenly:
  // the intensity is the mean over all of them, times scale.
  // cells: along a, b, c in one block; whole for Shape::square, whose lattice sum has no peaks otherwise.
  // Throws std::invalid_argument without an orientation, for cell vectors without a volume, less than one cell,
  // part of a cell in a square shape, a negative scale.
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

// The orientations of a crystal with the cell vectors `cell`, turned about `axis` to the angles start + k * step
// (radians, k = 0 … steps - 1), and then by each of the rotation matrices in `blocks`.
// Throws std::invalid_argument for less than one step, angles that are not finite, an axis of length zero.
std::vector<Mat3> orientations(const Mat3& cell, const std::vector<Mat3>& blocks, Vec3 axis, double start, double step,
                               int steps);

}  // namespace nanobragg
#endif
