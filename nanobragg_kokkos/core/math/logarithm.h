// vectorizable_log: the natural logarithm of a positive normal number without branches or calls, the same bits on every
// device.
//
// x = 2^n m with sqrt(1/2) <= m < sqrt(2) and s = (m - 1)/(m + 1): log x = n ln 2 + 2 atanh(s), by the series of atanh
// to s^21 / 21, which leaves less than 1e-17 of it.  What is left is rounding, 2e-16 of the result.
#ifndef NANOBRAGG_KOKKOS_CORE_MATH_LOGARITHM_H
#define NANOBRAGG_KOKKOS_CORE_MATH_LOGARITHM_H

#include <Kokkos_Core.hpp>

#include <cstdint>
#include <cstring>

namespace nanobragg {

// log(1 + f) for sqrt(1/2) <= 1 + f <= sqrt(2)
KOKKOS_FORCEINLINE_FUNCTION double log_of_1_plus(double f) {
  const double s = f / (2.0 + f), z = s * s;
  double p = 1.0 / 21;
  p = Kokkos::fma(p, z, 1.0 / 19);
  p = Kokkos::fma(p, z, 1.0 / 17);
  p = Kokkos::fma(p, z, 1.0 / 15);
  p = Kokkos::fma(p, z, 1.0 / 13);
  p = Kokkos::fma(p, z, 1.0 / 11);
  p = Kokkos::fma(p, z, 1.0 / 9);
  p = Kokkos::fma(p, z, 1.0 / 7);
  p = Kokkos::fma(p, z, 1.0 / 5);
  p = Kokkos::fma(p, z, 1.0 / 3);
  // 2 s + 2 s z p, where 2 s = f - s f without the rounding of s
  return f - s * Kokkos::fma(-2.0 * z, p, f);
}

KOKKOS_FORCEINLINE_FUNCTION double vectorizable_log(double x) {
  std::uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  // Moves the boundary between powers of two from 1 to sqrt(1/2), of which these are the bits.
  const std::uint64_t from_root = bits - 0x3FE6A09E667F3BCDu;
  const double n = double(std::int64_t(from_root) >> 52);
  bits -= from_root & 0xFFF0000000000000u;
  double m;
  memcpy(&m, &bits, sizeof m);
  return Kokkos::fma(n, 0.693147180369123816490, Kokkos::fma(n, 1.90821492927058770002e-10, log_of_1_plus(m - 1.0)));
}

}  // namespace nanobragg
#endif
