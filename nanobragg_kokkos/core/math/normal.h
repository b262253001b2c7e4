// Two numbers of the standard normal distribution from 128 random bits (Box & Muller, Ann. Math. Stat. 29, 610 (1958)):
// no branches or calls, the same bits on every device.
#ifndef NANOBRAGG_KOKKOS_CORE_MATH_NORMAL_H
#define NANOBRAGG_KOKKOS_CORE_MATH_NORMAL_H

#include <nanobragg_kokkos/core/math/logarithm.h>
#include <nanobragg_kokkos/core/math/philox.h>
#include <nanobragg_kokkos/core/math/sine.h>

namespace nanobragg {

struct NormalPair {
  double first, second;
};

KOKKOS_FORCEINLINE_FUNCTION NormalPair normal_pair(const RandomBits& bits) {
  const double radius = Kokkos::sqrt(-2.0 * vectorizable_log(uniform(bits.low())));
  const double turn = Kokkos::fma(uniform(bits.high()), 2.0, -1.0), size = Kokkos::abs(turn);  // half turns, -1 to 1
  const double folded = size > 0.5 ? 1.0 - size : size;
  return {radius * sine_of_half_turns(0.5 - size), radius * Kokkos::copysign(sine_of_half_turns(folded), turn)};
}

}  // namespace nanobragg
#endif
