// Numbers of the Poisson distribution, for any mean.  Probabilities are right to the rounding of doubles: 1e-17 for
// each number of the table, 4e-16 times the mean for the rest, which is 1 at most.
//
// Below 128: the sum of two draws, of the Poisson distributions of the mean's whole part and of the rest.  The first is
// one look into a table (Walker's alias method, ACM Trans. Math. Software 3, 253 (1977)), the second counts how many of
// the probabilities of at least 1, 2, … events a random number lies below.  From 128 on: Hörmann's transformed
// rejection (PTRS; Insurance: Mathematics and Economics 12, 39 (1993)).
//
// No mathematical library is called: the same bits on every device.
#ifndef NANOBRAGG_KOKKOS_CORE_MATH_POISSON_H
#define NANOBRAGG_KOKKOS_CORE_MATH_POISSON_H

#include <nanobragg_kokkos/core/math/logarithm.h>
#include <nanobragg_kokkos/core/math/philox.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

// Cell k of a mean's 256 stands for k events or for another number of them: its lowest 8 bits say which, the 56 above
// in how many of 2^56 cases it is k.  The probability of more than 255 events is 3e-23 at most.
struct PoissonTable {
  static constexpr int means = 128, cells_of_mean = 256;

  DeviceTable<std::uint64_t> cells;

  KOKKOS_FORCEINLINE_FUNCTION std::int64_t draw(std::int64_t mean, std::uint64_t bits) const {
    const std::int64_t own = std::int64_t(bits >> 56);
    const std::uint64_t cell = cells(mean * 256 + own);
    return (bits & 0xFFFFFFFFFFFFFFu) < cell >> 8 ? own : std::int64_t(cell & 255);
  }
};

PoissonTable poisson_table(const ExecutionSpace& space);

// 1 - exp(-x) for 0 <= x <= 1: x times a polynomial with an error of 3e-19 at most, before rounding.
KOKKOS_FORCEINLINE_FUNCTION double probability_of_any(double x) {
  double p = 1.0139109651721785e-10;
  p = Kokkos::fma(p, x, -1.9309460924429584e-09);
  p = Kokkos::fma(p, x, 2.4800370395064755e-08);
  p = Kokkos::fma(p, x, -2.7530797703605593e-07);
  p = Kokkos::fma(p, x, 2.7555417304955275e-06);
  p = Kokkos::fma(p, x, -2.480149323714812e-05);
  p = Kokkos::fma(p, x, 0.00019841266648210382);
  p = Kokkos::fma(p, x, -0.001388888881612628);
  p = Kokkos::fma(p, x, 0.008333333332267658);
  p = Kokkos::fma(p, x, -0.04166666666657369);
  p = Kokkos::fma(p, x, 0.16666666666666244);
  p = Kokkos::fma(p, x, -0.5);
  return Kokkos::fma(p * x, x, x);
}

// A Poisson number of a mean from 0 to 1, by inversion of the distribution: branch-free as far as it mostly goes.
struct FewEvents {
  double mean, uniform;
  double at_least, exactly;  // the probabilities of more than `events`, and of just one more
  double events = 0;

  KOKKOS_FORCEINLINE_FUNCTION FewEvents(double mean_, double uniform_)
      : mean(mean_), uniform(uniform_), at_least(probability_of_any(mean_)), exactly(mean_ * (1.0 - at_least)) {
    next(1.0 / 2);
    next(1.0 / 3);
    next(1.0 / 4);
    next(1.0 / 5);
    next(1.0 / 6);
  }
  KOKKOS_FORCEINLINE_FUNCTION bool more() const { return uniform < at_least; }
  KOKKOS_FORCEINLINE_FUNCTION void next(double factor) {
    events += uniform < at_least ? 1.0 : 0.0;
    at_least -= exactly;
    exactly *= mean * factor;
  }
  // The probability of more than 20 is 2e-20 at most, where what is left of `at_least` is the rounding of other
  // numbers.
  KOKKOS_INLINE_FUNCTION void finish() {
    while (more() && events < 20) next(1.0 / (events + 2.0));
  }
};

// A mean above the range of tables, one of attempt 0, 1, …; -1: rejected.
//
// As published, the envelope lies up to 0.15 % below the distribution at means of 128 to 2000, next to mean + 1.7
// sqrt(mean), and one number of events comes too rarely, by 7e-6 of its probability.  An envelope 0.2 % higher covers
// every mean.
KOKKOS_INLINE_FUNCTION double many_events(double mean, const RandomBits& bits) {
  const double b = Kokkos::fma(2.53, Kokkos::sqrt(mean), 0.931), a = Kokkos::fma(0.02483, b, -0.059);
  const double u = uniform(bits.low()) - 0.5, v = 1.002 * uniform(bits.high()), from_edge = 0.5 - Kokkos::abs(u);
  const double n = Kokkos::floor(Kokkos::fma(2.0 * a / from_edge + b, u, mean + 0.43));
  if (from_edge >= 0.07 && v <= 0.9277 - 3.6224 / (b - 2.0)) return n;
  if (!(n >= 1.0) || (from_edge < 0.013 && v > from_edge)) return -1.0;  // no event: 3e-56 or less
  // log of mean^n exp(-mean) / n!, by Stirling's series; n log(mean / n) + n - mean loses no digits next to the peak.
  const double shift = (mean - n) / n;
  const double deviance = Kokkos::abs(shift) < 0.25 ? log_of_1_plus(shift) - shift : vectorizable_log(mean / n) - shift;
  const double inverse = 1.0 / n, square = inverse * inverse;
  const double stirling = inverse * Kokkos::fma(square, Kokkos::fma(square, -1.0 / 1260, 1.0 / 360), -1.0 / 12);
  const double log_probability = n * deviance + stirling - 0.5 * vectorizable_log(6.283185307179586477 * n);
  const double inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
  return vectorizable_log(v * inverse_alpha / (a / (from_edge * from_edge) + b)) <= log_probability ? n : -1.0;
}

}  // namespace nanobragg
#endif
