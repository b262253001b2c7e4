// A detector's point-spread function: which there is.
#ifndef NANOBRAGG_KOKKOS_CORE_POINT_SPREAD_H
#define NANOBRAGG_KOKKOS_CORE_POINT_SPREAD_H

#include <stdexcept>

#include "detector.h"
#include "image.h"

namespace nanobragg {

enum class SpreadShape { gauss, fiber };
enum class AddedBack { missing, beyond_radius };
enum class BlurMethod { automatic, direct, fourier };

struct PointSpread {
  SpreadShape shape;
  double fwhm;       // m
  int radius;        // pixels
  AddedBack added_back = AddedBack::missing;
};

class Blur {
 public:
  Blur(const Detector&, const PointSpread&, BlurMethod = BlurMethod::automatic) {
    throw std::invalid_argument("images cannot be blurred yet");
  }
  void operator()(const Image&, Image&) const {}
  BlurMethod method() const { return BlurMethod::direct; }
};

}  // namespace nanobragg
#endif
