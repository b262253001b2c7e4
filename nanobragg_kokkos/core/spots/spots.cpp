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

}  // namespace nanobragg
