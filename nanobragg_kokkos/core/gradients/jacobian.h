// The derivatives of the expected photons by parameters of the models, exact to rounding.
//
// The photons of a ray depend on orientation, cell and mosaic spread, on the directions of the beam and on the panel
// through the Miller indices alone, on the panel also through the solid angle, the depth of the sensor and the
// polarization.  So each ray collects how its photons respond to what the models hold (responses.h), once, and the
// derivative by a parameter is the scalar product with that parameter's tangent (tangents.h).
//
// The nearest reflection of a ray, the cell of an interpolation, a cut-off and the interval of a background's table are
// kept: where an image jumps, the derivatives are those of the piece.
#ifndef NANOBRAGG_KOKKOS_CORE_GRADIENTS_JACOBIAN_H
#define NANOBRAGG_KOKKOS_CORE_GRADIENTS_JACOBIAN_H

#include <cstddef>
#include <memory>
#include <optional>

#include <nanobragg_kokkos/core/background/amorphous.h>
#include <nanobragg_kokkos/core/gradients/tangents.h>
#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/spots/spots.h>

namespace nanobragg {

// An image and its derivatives, on the device.
class Jacobian {
 public:
  Jacobian(Workspace& workspace, std::size_t n_parameters, std::size_t n_pixels);  // all zero

  std::size_t n_parameters() const { return n_parameters_; }
  std::size_t n_pixels() const { return image_.size(); }
  Image& image() { return image_; }
  const Image& image() const { return image_; }
  // Photons per unit of each parameter: parameter × n_pixels() + pixel.
  Image& derivatives() { return derivatives_; }
  const Image& derivatives() const { return derivatives_; }
  void clear(Workspace& workspace);

 private:
  std::size_t n_parameters_;
  Image image_, derivatives_;
};

// Both add the spots of a crystal and their derivatives; what the engines differ in: see spots.h.
// Throw std::invalid_argument as the engines do, and for tangents of another number.
void add_spots_jacobian_pixel_driven(Workspace& workspace, Jacobian& jacobian, const Scene& scene,
                                     Interpolation interpolation, const Tangents& tangents);
void add_spots_jacobian_reflection_driven(Workspace& workspace, Jacobian& jacobian, const Scene& scene,
                                          Interpolation interpolation, const Tangents& tangents,
                                          std::optional<double> tolerance = {});

// Adds the diffuse scattering of an amorphous sample and its derivatives.
void add_background_jacobian(Workspace& workspace, Jacobian& jacobian, const Detector& detector, const Sources& sources,
                             const Amorphous& amorphous, const Tangents& tangents);

}  // namespace nanobragg
#endif
