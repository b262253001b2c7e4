// The detector response to expected photons: counting, differences between pixels, blur, amplification.
//
// The steps and their order are nanoBragg's (Holton, Classen, Frankel & Tainer, FEBS J. 281, 4046 (2014)).  The random
// numbers of a pixel depend only on the seed, the image, the panel and the pixel's position in it.
#ifndef NANOBRAGG_KOKKOS_CORE_RESPONSE_DETECTOR_RESPONSE_H
#define NANOBRAGG_KOKKOS_CORE_RESPONSE_DETECTOR_RESPONSE_H

#include <cstdint>
#include <optional>

#include <nanobragg_kokkos/core/response/point_spread.h>

namespace nanobragg {

// In the order of the steps.  A standard deviation of 0 omits its step.
struct DetectorResponse {
  double flicker = 0;            // standard deviation of a factor of the whole image
  bool photon_noise = true;      // whether photons are counted with Poisson noise
  double calibration_noise = 0;  // standard deviation of a factor of each pixel, the same in every image
  std::uint64_t calibration_seed = 0;
  std::optional<PointSpread> point_spread;
  double quantum_gain = 1;   // ADU per photon
  double readout_noise = 0;  // standard deviation, ADU
  double adc_offset = 0;     // ADU
};

}  // namespace nanobragg
#endif
