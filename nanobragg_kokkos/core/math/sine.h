// sine_of_half_turns: sin(pi x) for |x| <= 1/2 without branches or calls, so that a compiler can compute several at a
// time.
//
// x times a polynomial in x^2, whose coefficients minimize the largest relative error, 1.5e-16 before rounding: it
// stays good to the last digits next to 0, and so do quotients of two of them.
#ifndef NANOBRAGG_KOKKOS_CORE_MATH_SINE_H
#define NANOBRAGG_KOKKOS_CORE_MATH_SINE_H

#include <Kokkos_Core.hpp>

namespace nanobragg {

KOKKOS_FORCEINLINE_FUNCTION double sine_of_half_turns(double x) {
  const double y = x * x;
  double p = -2.1122952964745312e-05;
  p = Kokkos::fma(p, y, 0.0004659776170186174);
  p = Kokkos::fma(p, y, -0.0073703610716849555);
  p = Kokkos::fma(p, y, 0.08214587825655341);
  p = Kokkos::fma(p, y, -0.5992645287757098);
  p = Kokkos::fma(p, y, 2.5501640398597765);
  p = Kokkos::fma(p, y, -5.167712780049753);
  p = Kokkos::fma(p, y, 3.1415926535897927);
  return x * p;
}

// What is left of x when the nearest whole number of half turns is taken away, for |x| < 2^51.
KOKKOS_FORCEINLINE_FUNCTION double nearest_whole(double x) {
  const double round = 6755399441055744.0;  // 1.5 * 2^52: adding it leaves the integer in the last bits
  return (x + round) - round;
}

}  // namespace nanobragg
#endif
