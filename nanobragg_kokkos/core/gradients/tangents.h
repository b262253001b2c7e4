// How the models of a scene change with parameters.
//
// A parameter is a direction in which the models may be displaced: its tangent holds the derivative of what the models
// hold.  Any parameter, and any combination, is such a direction, so that the core need not know what there may be.
#ifndef NANOBRAGG_KOKKOS_CORE_GRADIENTS_TANGENTS_H
#define NANOBRAGG_KOKKOS_CORE_GRADIENTS_TANGENTS_H

#include <cstddef>
#include <memory>
#include <vector>

#include <nanobragg_kokkos/core/math/vector.h>
#include <nanobragg_kokkos/core/models/scene.h>

namespace nanobragg {

// A rigid motion of a panel, to first order.
struct PanelMotion {
  Vec3 translation;  // m
  Vec3 rotation;     // vector, radians, about the sample
};

// Derivatives by one parameter; what is empty or zero does not depend on it.
struct Tangent {
  std::vector<Mat3> blocks;         // of each block's cell vectors (rows, m)
  Vec3 cells;                       // of the number of cells along a, b, c in a block
  double log_spots = 0;             // of the logarithm of all spots: fluence, scale
  double log_background = 0;        // of the logarithm of the background
  Vec3 beam_rotation;               // vector (radians) by which all sources turn, with their polarization
  double kahn_factor = 0;           //
  double wavelength = 0;            // by which all wavelengths become longer, m
  double log_wavelength = 0;        // of the logarithm of all wavelengths
  std::vector<double> weights;      // of the sources' shares of the photons, in the order in which they were given
  std::vector<PanelMotion> panels;  // of each panel
};

class Tangents {
 public:
  // Throws std::invalid_argument without a tangent, for arrays that have not as many members as the models have,
  // or as each other, and for numbers that are not finite.
  Tangents(const std::vector<Tangent>& tangents, const Detector& detector, const Sources& sources);

  std::size_t size() const { return size_; }
  std::size_t n_blocks() const { return n_blocks_; }  // whose orientations change; 0 if none do

  struct OnDevice;
  const OnDevice& on_device() const { return *on_device_; }

 private:
  std::size_t size_;
  std::size_t n_blocks_ = 0;
  std::shared_ptr<OnDevice> on_device_;
};

}  // namespace nanobragg
#endif
