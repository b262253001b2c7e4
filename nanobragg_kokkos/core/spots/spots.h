// Bragg spots.  The expected photons of a pixel are
//   r_e^2 × fluence × scale × mean over blocks of Σ weight × solid angle × absorbed fraction × polarization × F^2 ×
//   F_latt^2
// in the kinematic approximation (Holton et al., FEBS J. 281, 4046 (2014); Wittwer et al., arXiv 2205.07976), the sum
// going over sources, sub-pixels and sensor layers.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_SPOTS_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_SPOTS_H

#include <optional>

#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/models/scene.h>

namespace nanobragg {

// Amplitudes between the integer Miller indices: that of the nearest index, or cubic interpolation.
enum class Interpolation { nearest, tricubic };

// Checks the input of both engines.  Throws std::invalid_argument if the image does not have the detector's pixels, or
// a source has a channel that the structure factors lack.
void check_spots(const Image& image, const Scene& scene);

// Returns whether a shape gives no light, or almost none, beyond some distance from its reflections.
bool ends(Shape shape);

// Returns the tolerance of the reflection-driven engine; throws as add_spots_reflection_driven.
double checked_tolerance(std::optional<double> tolerance, Shape shape);

// Adds the spots of the crystal to the image pixel by pixel: it evaluates every sub-pixel, sensor layer, source,
// rotation step and mosaic block for every pixel.  Exact for every shape; the reference for faster engines.
void add_spots_pixel_driven(Workspace& workspace, Image& image, const Scene& scene, Interpolation interpolation);

// Adds the spots reflection by reflection: it finds the pixels that each block and reflection can reach, so the work
// grows with the lit pixels and not with the number of pixels.
// tolerance: no pixel loses more than this share of the brightest pixel of these spots (reach.h); 1e-15 to 0.1. Without
// it the engine is exact, to 3e-13 of the brightest pixel, for shapes that end (gauss_argchk, tophat) or fall off fast
// (gauss). Throws std::invalid_argument if another shape has no tolerance, the tolerance is out of range, or there are
// more than 2^31 - 1 patches of pixels.
void add_spots_reflection_driven(Workspace& workspace, Image& image, const Scene& scene, Interpolation interpolation,
                                 std::optional<double> tolerance = {});

}  // namespace nanobragg
#endif
