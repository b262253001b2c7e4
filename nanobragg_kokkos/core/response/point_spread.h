// The detector's point-spread function: photons are recorded around the point where they arrive.  That of a
// fibre-coupled CCD falls off as g / (2 pi) / (g^2 + r^2)^(3/2) (Holton, Nielsen & Frankel, J. Synchrotron Rad. 19,
// 1006 (2012)); the other one is a Gaussian.
//
// A pixel's photons go to the pixels whose centres lie within a circle; their shares are integrals of the PSF over each
// pixel.  Photons that leave a panel over its edge are lost.  A share of all photons of a panel is added back evenly to
// its pixels.  The calculation is a sum over the pixels of the circle or, if these are many, uses Fourier transforms.
// A detector's mask has no influence.
#ifndef NANOBRAGG_KOKKOS_CORE_RESPONSE_POINT_SPREAD_H
#define NANOBRAGG_KOKKOS_CORE_RESPONSE_POINT_SPREAD_H

#include <memory>

#include <nanobragg_kokkos/core/models/detector.h>
#include <nanobragg_kokkos/core/models/image.h>

namespace nanobragg {

enum class SpreadShape { gauss, fiber };

// The share of a panel's photons that is added back.
enum class AddedBack {
  missing,       // the difference of the kernel's sum from 1: keeps the sum except for losses over the edges
  beyond_radius  // the share of the PSF outside a circle of the radius, as in simtbx
};

struct PointSpread {
  SpreadShape shape = SpreadShape::fiber;
  double fwhm = 0;  // full width at half maximum, m
  int radius = 0;   // of the circle of pixels, in pixels along the fast axis
  AddedBack added_back = AddedBack::missing;
};

enum class BlurMethod {
  automatic,  // whichever is estimated to be faster
  direct,     // the sum over the circle
  fourier     // the same sum except for rounding errors; fourier_blur.h has their bound
};

// A point-spread function prepared for a detector.  Threads that share one take turns, whatever their workspaces.
class Blur {
 public:
  // Throws std::invalid_argument if the width is not positive and finite, or the radius is below 1.
  Blur(Workspace& workspace, const Detector& detector, const PointSpread& psf,
       BlurMethod method = BlurMethod::automatic);

  // blurred: receives the photons after the PSF, with the same bits for any number of threads.
  // Throws std::invalid_argument if an image does not have the detector's pixels, or both are the same image.
  void apply(Workspace& workspace, const Image& photons, Image& blurred) const;

  // The method for panel 0: direct or fourier.
  BlurMethod method() const;

 private:
  struct OnDevice;
  std::shared_ptr<OnDevice> on_device_;
  std::size_t n_pixels_;
};

}  // namespace nanobragg
#endif
