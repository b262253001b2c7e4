// vectorizable_exp: exp(x) for -708 <= x <= 0 without branches or calls, so that a compiler can compute several at a
// time.
//
// x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by its series to r^13 / 13!, which leaves less than 1e-17.  Below
// -708 the result means nothing.
#ifndef NANOBRAGG_KOKKOS_CORE_MATH_EXPONENTIAL_H
#define NANOBRAGG_KOKKOS_CORE_MATH_EXPONENTIAL_H

#include <Kokkos_Core.hpp>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace nanobragg {

// memcpy without std::, which is for the host alone under HIP.
KOKKOS_FORCEINLINE_FUNCTION double vectorizable_exp(double x) {
  const double round = 6755399441055744.0;  // 1.5 * 2^52: adding it leaves the integer in the last bits
  const double shifted = Kokkos::fma(x, 1.4426950408889634074, round), n = shifted - round;
  const double r = Kokkos::fma(n, -1.90821492927058770002e-10, Kokkos::fma(n, -0.693147180369123816490, x));
  double p = 1.0 / 6227020800;
  p = Kokkos::fma(p, r, 1.0 / 479001600);
  p = Kokkos::fma(p, r, 1.0 / 39916800);
  p = Kokkos::fma(p, r, 1.0 / 3628800);
  p = Kokkos::fma(p, r, 1.0 / 362880);
  p = Kokkos::fma(p, r, 1.0 / 40320);
  p = Kokkos::fma(p, r, 1.0 / 5040);
  p = Kokkos::fma(p, r, 1.0 / 720);
  p = Kokkos::fma(p, r, 1.0 / 120);
  p = Kokkos::fma(p, r, 1.0 / 24);
  p = Kokkos::fma(p, r, 1.0 / 6);
  p = Kokkos::fma(p, r, 0.5);
  p = Kokkos::fma(p, r, 1.0);
  p = Kokkos::fma(p, r, 1.0);
  std::uint64_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023) << 52;  // 2^n
  double power;
  memcpy(&power, &bits, sizeof power);
  return p * power;
}

// exp(x) for -700 <= x <= 0 on GPUs, which would spend much of their time on fetching the coefficients of a long
// series: x = (n / 32) ln 2 + r with |r| <= ln 2 / 64, 2^(n mod 32 / 32) from a table, exp(r) by its series to r^5 /
// 5!.  That leaves less than 3e-15, and the rounding of n ln 2 less than 1.2e-16 |x|.
constexpr int powers_in_table = 32;  // 2^(i / 32)

KOKKOS_INLINE_FUNCTION double exp_by_table(double x, const double* powers) {
  const double round = 6755399441055744.0, shifted = Kokkos::fma(x, 46.166241308446828384, round);
  const double r = Kokkos::fma(shifted - round, -0.021660849392498290196, x);
  double p = 1.0 / 120;
  p = Kokkos::fma(p, r, 1.0 / 24);
  p = Kokkos::fma(p, r, 1.0 / 6);
  p = Kokkos::fma(p, r, 0.5);
  p = Kokkos::fma(p, r, 1.0);
  p = Kokkos::fma(p, r, 1.0);
  std::int64_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  const std::int32_t n = std::int32_t(bits);
  double value = p * powers[n & (powers_in_table - 1)];
  memcpy(&bits, &value, sizeof bits);
  bits += std::int64_t(n >> 5) * (std::int64_t(1) << 52);
  memcpy(&value, &bits, sizeof bits);
  return value;
}

// exp(x) for all x <= 0; 0 below -708.
KOKKOS_FORCEINLINE_FUNCTION double bounded_exp(double x) {
  return x < -708 ? 0 : vectorizable_exp(x < -708 ? -708 : x);
}

}  // namespace nanobragg
#endif
