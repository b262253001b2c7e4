// How the intensity of a reflection falls off around its reciprocal-lattice point: the squared lattice sum of a block of
// N_a × N_b × N_c cells, or a function that stands for it.
//
//   square        sin^2(N pi h) / sin^2(pi h) along each axis: the exact sum over a parallelepiped
//   round         the Fourier transform of a ball, with the volume and peak of an ellipsoidal block
//   gauss         a Gaussian of about the same width and, integrated, the same intensity
//   gauss_argchk  the same, cut off where its argument exceeds 35
//   tophat        constant inside a sphere of about the same volume
// as in nanoBragg (Holton, Classen, Frankel & Tainer, FEBS J. 281, 4046 (2014)).
#ifndef NANOBRAGG_KOKKOS_CORE_LATTICE_SHAPES_H
#define NANOBRAGG_KOKKOS_CORE_LATTICE_SHAPES_H

#include <Kokkos_Core.hpp>

#include "crystal.h"

namespace nanobragg {

struct Cells {
  double a, b, c;
  KOKKOS_INLINE_FUNCTION double volume() const { return a * b * c; }
};

// The reflection nearest to a fractional Miller index; a half belongs to the lower one.
KOKKOS_INLINE_FUNCTION double nearest_index(double h) { return Kokkos::ceil(h - 0.5); }

// The square of the distance from the nearest reflection, in units of the width 1/N along each axis.
KOKKOS_INLINE_FUNCTION double reduced_distance2(double dh, double dk, double dl, const Cells& n) {
  const double x = dh * n.a, y = dk * n.b, z = dl * n.c;
  return Kokkos::fma(x, x, Kokkos::fma(y, y, z * z));
}

// Where a shape is zero, or too small for double precision to tell from zero (below exp(-708) of the peak).
template <Shape shape>
KOKKOS_INLINE_FUNCTION constexpr double reach2() {
  switch (shape) {
    case Shape::gauss: return 708.0 / 2 * 0.63;
    case Shape::gauss_argchk: return 35 * 0.63;
    case Shape::tophat: return 0.3969;
    default: return -1;                                 // reaches everywhere
  }
}

KOKKOS_INLINE_FUNCTION double grating2(double d, double n) {        // (sin(n pi d) / sin(pi d))^2
  if (n <= 1) return 1;
  const double s = Kokkos::sin(Kokkos::numbers::pi * d);
  if (s == 0) return n * n;
  const double ratio = Kokkos::sin(n * Kokkos::numbers::pi * d) / s;
  return ratio * ratio;
}

KOKKOS_INLINE_FUNCTION double ball(double x) {                      // 3 (sin x - x cos x) / x^3
  if (x < 0.05) {                                                   // the closed form loses its digits there
    const double y = x * x;
    return 1 - y / 10 * (1 - y / 28 * (1 - y / 54));
  }
  return 3 * (Kokkos::sin(x) / x - Kokkos::cos(x)) / (x * x);
}

// Squared lattice amplitude for fractional indices (dh, dk, dl) relative to the nearest reflection.
template <Shape shape>
KOKKOS_INLINE_FUNCTION double lattice_intensity(double dh, double dk, double dl, const Cells& n) {
  if constexpr (shape == Shape::square) {
    return grating2(dh, n.a) * grating2(dk, n.b) * grating2(dl, n.c);
  } else {
    const double r2 = reduced_distance2(dh, dk, dl, n), peak = n.volume() * n.volume();
    if constexpr (shape == Shape::round) {
      const double amplitude = 0.723601254558268 * ball(Kokkos::numbers::pi * Kokkos::sqrt(r2));
      return peak * amplitude * amplitude;
    }
    if constexpr (shape == Shape::tophat) return r2 < reach2<shape>() ? peak : 0;
    return r2 < reach2<shape>() ? peak * Kokkos::exp(-2 / 0.63 * r2) : 0;
  }
}

}  // namespace nanobragg
#endif
