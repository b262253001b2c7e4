// A few parameters at a time, for which a thread keeps the sums of a pixel.
#ifndef NANOBRAGG_KOKKOS_CORE_GRADIENTS_JACOBIAN_COLUMNS_H
#define NANOBRAGG_KOKKOS_CORE_GRADIENTS_JACOBIAN_COLUMNS_H

#include <algorithm>
#include <stdexcept>
#include <string>

#include <nanobragg_kokkos/core/gradients/jacobian.h>
#include <nanobragg_kokkos/core/gradients/tangents_on_device.h>
#include <nanobragg_kokkos/core/models/image_on_device.h>

namespace nanobragg {

constexpr int columns_together = 8;

enum class Amount { spots, background };

struct ColumnSums {
  double by[columns_together] = {};
};

struct JacobianColumns {
  Kokkos::View<double*, DeviceSpace> image, derivatives;
  TangentTable tangents;
  int first, n;  // parameters
  bool with_image;

  KOKKOS_INLINE_FUNCTION void add_weight(int source, double per_weight, ColumnSums& sums) const {
    for (int i = 0; i < n; ++i)
      sums.by[i] = Kokkos::fma(per_weight, tangents.weights(source * tangents.n + first + i), sums.by[i]);
  }

  // by_index: of the photons before solid angle and polarization, at wavenumber 1; weight: these and the scale.
  KOKKOS_INLINE_FUNCTION void add_block(int block, double weight, Vec3 by_index, Vec3 scattering,
                                        ColumnSums& sums) const {
    const Vec3 by = weight * by_index;
    for (int i = 0; i < n; ++i) sums.by[i] += dot(by, tangents.blocks(block * tangents.n + first + i) * scattering);
  }

  // rest: to what is neither of a block nor a weight.  amount: the logarithm of all that scatters.
  template <Amount amount>
  KOKKOS_INLINE_FUNCTION void add(std::int64_t pixel, int panel, const Responses& rest, const ColumnSums& sums) const {
    if (with_image && rest.photons != 0) image(pixel) += rest.photons;
    for (int i = 0; i < n; ++i) {
      const double change = sums.by[i] + tangents.along_tangent(rest, panel, first + i) +
                            dot(rest.by_cells, tangents.common(first + i).cells) +
                            rest.photons * (amount == Amount::spots ? tangents.common(first + i).log_spots
                                                                    : tangents.common(first + i).log_background);
      if (change != 0) derivatives(std::int64_t(first + i) * std::int64_t(image.extent(0)) + pixel) += change;
    }
  }
};

inline void check_columns(const Jacobian& jacobian, const Tangents& tangents) {
  if (tangents.size() != jacobian.n_parameters())
    throw std::invalid_argument("the Jacobian must have as many parameters as there are tangents");
}

inline void check_columns(const Jacobian& jacobian, const Tangents& tangents, const Crystal& crystal) {
  check_columns(jacobian, tangents);
  if (tangents.n_blocks() != 0 && tangents.n_blocks() != crystal.n_blocks())
    throw std::invalid_argument("the tangents are those of " + std::to_string(tangents.n_blocks()) +
                                " blocks, but the crystal has " + std::to_string(crystal.n_blocks()));
}

template <class Act>
void for_each_group_of_columns(Jacobian& jacobian, const Tangents& tangents, const Act& act) {
  for (int first = 0; first < int(tangents.size()); first += columns_together)
    act(JacobianColumns{jacobian.image().on_device().pixels, jacobian.derivatives().on_device().pixels,
                        tangents.on_device().table, first, std::min(columns_together, int(tangents.size()) - first),
                        first == 0});
}

}  // namespace nanobragg
#endif
