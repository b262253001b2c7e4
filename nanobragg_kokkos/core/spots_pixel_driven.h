// Bragg spots, pixel by pixel: every pixel asks every sub-pixel, sensor layer, source, rotation step and mosaic block what
// it contributes.  Exact for every shape; the yardstick for anything faster.
//
// A photon count is
//   r_e^2 × fluence × scale × mean over blocks of Σ weight × solid angle × absorbed fraction × polarization × F^2 × F_latt^2
// in the kinematic approximation (Holton et al., FEBS J. 281, 4046 (2014); Wittwer et al., arXiv 2205.07976).
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_PIXEL_DRIVEN_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_PIXEL_DRIVEN_H

#include "crystal.h"
#include "detector.h"
#include "image.h"
#include "sources.h"
#include "structure_factors.h"

namespace nanobragg {

// Amplitudes between the integer Miller indices: that of the nearest index, or cubic interpolation.
enum class Interpolation { nearest, tricubic };

// Adds the spots of the crystal to the image.
// Throws std::invalid_argument if the image does not have the detector's pixels, or a source asks for a channel that the
// structure factors do not have.
void add_spots_pixel_driven(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
                            const StructureFactors& structure_factors, Interpolation interpolation);

}  // namespace nanobragg
#endif
