// vectorizable_exp: exp(x) for -708 <= x <= 0 without branches or calls, so that a compiler can compute several at a time.
//
// x = n ln 2 + r with |r| <= ln 2 / 2, exp(r) by its series to r^13 / 13!, which leaves less than 1e-17.  Below
// -708 the result means nothing.
#ifndef NANOBRAGG_KOKKOS_CORE_EXPONENTIAL_H
#define NANOBRAGG_KOKKOS_CORE_EXPONENTIAL_H

#include <cmath>
#include <cstdint>
#include <cstring>

#include <Kokkos_Core.hpp>

namespace nanobragg {

KOKKOS_FORCEINLINE_FUNCTION double vectorizable_exp(double x) {
  const double round = 6755399441055744.0;                 // 1.5 * 2^52: adding it leaves the integer in the last bits
  const double shifted = std::fma(x, 1.4426950408889634074, round), n = shifted - round;
  const double r = std::fma(n, -1.90821492927058770002e-10, std::fma(n, -0.693147180369123816490, x));
  double p = 1.0 / 6227020800;
  p = std::fma(p, r, 1.0 / 479001600);
  p = std::fma(p, r, 1.0 / 39916800);
  p = std::fma(p, r, 1.0 / 3628800);
  p = std::fma(p, r, 1.0 / 362880);
  p = std::fma(p, r, 1.0 / 40320);
  p = std::fma(p, r, 1.0 / 5040);
  p = std::fma(p, r, 1.0 / 720);
  p = std::fma(p, r, 1.0 / 120);
  p = std::fma(p, r, 1.0 / 24);
  p = std::fma(p, r, 1.0 / 6);
  p = std::fma(p, r, 0.5);
  p = std::fma(p, r, 1.0);
  p = std::fma(p, r, 1.0);
  std::uint64_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 1023) << 52;                              // 2^n
  double power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

// exp(x) for all x <= 0; 0 below -708.
KOKKOS_FORCEINLINE_FUNCTION double bounded_exp(double x) { return x < -708 ? 0 : vectorizable_exp(x < -708 ? -708 : x); }

}  // namespace nanobragg
#endif
