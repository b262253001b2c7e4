#include <nanobragg_kokkos/core/spots/spots.h>

#include <stdexcept>
#include <string>

namespace nanobragg {

void check_spots(const Image& image, const Scene& scene) {
  if (image.size() != scene.detector.n_pixels())
    throw std::invalid_argument("the image does not have the detector's pixels");
  if (scene.sources.n_channels() > scene.structure_factors.n_channels())
    throw std::invalid_argument("a source uses channel " + std::to_string(scene.sources.n_channels() - 1) +
                                " but there are only " + std::to_string(scene.structure_factors.n_channels()) +
                                " channels of structure factors");
}

bool ends(Shape shape) { return shape != Shape::square && shape != Shape::round; }

double checked_tolerance(std::optional<double> tolerance, Shape shape) {
  constexpr double exact = 3e-13;  // of the brightest pixel, left out where no tolerance is asked for
  if (tolerance && !(*tolerance >= 1e-15 && *tolerance <= 0.1))
    throw std::invalid_argument("the tolerance of the spots must lie between 1e-15 and 0.1");
  if (!tolerance && !ends(shape))
    throw std::invalid_argument(
        "the reflection-driven engine needs a shape that ends (gauss, gauss_argchk or tophat), or a tolerance");
  return tolerance.value_or(exact);
}

}  // namespace nanobragg
