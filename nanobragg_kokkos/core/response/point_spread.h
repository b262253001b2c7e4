// The detector's point-spread function: what an image becomes when each photon is recorded not where it arrives but
// somewhere around.  A fibre-coupled CCD's falls off as g / (2 pi) / (g^2 + r^2)^(3/2) (Holton, Nielsen & Frankel, J.
// Synchrotron Rad. 19, 1006 (2012)); the other one is a Gaussian.
//
// A pixel's photons go, in the shares that the PSF integrated over each pixel gives, to the pixels whose centres lie
// within a circle.  What leaves a panel over its edge is lost.  A share of all photons of a panel is added back, the
// same to each of its pixels.  It is computed either as the sum over the pixels of the circle or, where these are many,
// through Fourier transforms. A detector's mask plays no part.
#ifndef NANOBRAGG_KOKKOS_CORE_RESPONSE_POINT_SPREAD_H
#define NANOBRAGG_KOKKOS_CORE_RESPONSE_POINT_SPREAD_H

#include <memory>

#include <nanobragg_kokkos/core/models/detector.h>
#include <nanobragg_kokkos/core/models/image.h>

namespace nanobragg {

enum class SpreadShape { gauss, fiber };

// Which share of a panel's photons is added back.
enum class AddedBack {
  missing,       // what the kernel's pixels lack of 1: the sum is kept, but for what leaves over the edges
  beyond_radius  // what the PSF has outside a circle of the radius, as simtbx does
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
  fourier     // equal to it but for rounding errors; see fourier_blur.h for their bound
};

// A point-spread function prepared for a detector.  Threads that share one take turns, whatever their workspaces.
class Blur {
 public:
  // Throws std::invalid_argument for a width that is not positive and finite, and for a radius below 1.
  Blur(Workspace& workspace, const Detector& detector, const PointSpread& psf,
       BlurMethod method = BlurMethod::automatic);

  // blurred: the photons after the PSF, whatever it held before.  The same bits for any number of threads.
  // Throws std::invalid_argument if an image does not have the detector's pixels, or both are the same image.
  void apply(Workspace& workspace, const Image& photons, Image& blurred) const;

  // How panel 0 is computed: direct or fourier.
  BlurMethod method() const;

 private:
  struct OnDevice;
  std::shared_ptr<OnDevice> on_device_;
  std::size_t n_pixels_;
};

}  // namespace nanobragg
#endif
