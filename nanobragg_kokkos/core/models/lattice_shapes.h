// The intensity of a reflection around its reciprocal-lattice point: the squared lattice sum of a block of
// N_a × N_b × N_c cells, or a function that approximates it.
//
//   square        sin^2(N pi h) / sin^2(pi h) along each axis: the exact sum over a parallelepiped
//   round         the Fourier transform of a ball, with the volume and peak of an ellipsoidal block
//   gauss         a Gaussian of about the same width and, integrated, the same intensity
//   gauss_argchk  a Gaussian like gauss, cut off where its argument exceeds 35
//   tophat        constant inside a sphere of about the same volume
// as in nanoBragg (Holton, Classen, Frankel & Tainer, FEBS J. 281, 4046 (2014)).
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_LATTICE_SHAPES_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_LATTICE_SHAPES_H

#include <Kokkos_Core.hpp>

#include <nanobragg_kokkos/core/math/exponential.h>
#include <nanobragg_kokkos/core/math/sine.h>
#include <nanobragg_kokkos/core/models/crystal.h>

namespace nanobragg {

struct Cells {
  double a, b, c;
  KOKKOS_INLINE_FUNCTION double volume() const { return a * b * c; }
};

// The reflection nearest to a fractional Miller index; a half belongs to the lower one.
KOKKOS_FORCEINLINE_FUNCTION double nearest_index(double h) { return Kokkos::ceil(h - 0.5); }

// The square of the distance from the nearest reflection, in units of the width 1/N along each axis.
KOKKOS_FORCEINLINE_FUNCTION double reduced_distance2(double dh, double dk, double dl, const Cells& n) {
  const double x = dh * n.a, y = dk * n.b, z = dl * n.c;
  return Kokkos::fma(x, x, Kokkos::fma(y, y, z * z));
}

// The largest squared reduced distance at which a shape is not zero.  A Gaussian without a cut-off ends at exp(-140),
// 1e-61, of the reflection's peak: one photon from beyond would take a peak of 1e61 photons, and next to any visible
// spot the rounding of doubles, 1e-16 of it, hides it.
template <Shape shape>
KOKKOS_FORCEINLINE_FUNCTION constexpr double reach2() {
  switch (shape) {
    case Shape::gauss: return 140.0 / 2 * 0.63;
    case Shape::gauss_argchk: return 35 * 0.63;
    case Shape::tophat: return 0.3969;
    default: return -1;  // reaches everywhere
  }
}

// A quotient before its division, so that a product of several takes one division.
struct Quotient {
  double above, below;
};

// sin(n pi d) / sin(pi d), up to the sign, for a whole n and |d| <= 1/2.  Both sines keep their relative accuracy: fma
// leaves n d less its nearest integer without an error to speak of.  Below 1e-20 the quotient no longer changes; not
// going there needs no case for d = 0, and no product of denominators gets too small for a double.
KOKKOS_FORCEINLINE_FUNCTION Quotient grating(double d, double n) {
  const double x = Kokkos::abs(d) < 1e-20 ? 1e-20 : Kokkos::abs(d);
  return {sine_of_half_turns(Kokkos::fma(n, x, -nearest_whole(n * x))), sine_of_half_turns(x)};
}

// (3 (sin x - x cos x) / x^3)^2 for x = pi r.
KOKKOS_FORCEINLINE_FUNCTION double ball2(double r2) {
  const double y = Kokkos::numbers::pi * Kokkos::numbers::pi * r2, r = Kokkos::sqrt(r2), x = Kokkos::numbers::pi * r;
  // The closed form loses digits near 0, where the first terms of the series suffice.
  double series = 1.0 / 31135104000;
  series = Kokkos::fma(series, y, -1.0 / 172972800);
  series = Kokkos::fma(series, y, 1.0 / 1330560);
  series = Kokkos::fma(series, y, -1.0 / 15120);
  series = Kokkos::fma(series, y, 1.0 / 280);
  series = Kokkos::fma(series, y, -1.0 / 10);
  series = Kokkos::fma(series, y, 1.0);
  // Whole half turns change the signs of sine and cosine together, which the square cancels.
  const double rest = r - nearest_whole(r);
  const double sine = sine_of_half_turns(rest), cosine = sine_of_half_turns(0.5 - Kokkos::abs(rest));
  const double closed = 3 * (sine - x * cosine) / (y * x);
  const double amplitude = y < 0.25 ? series : closed;
  return amplitude * amplitude;
}

// Squared lattice amplitude for fractional indices (dh, dk, dl) relative to the nearest reflection.
template <Shape shape>
KOKKOS_FORCEINLINE_FUNCTION double lattice_intensity(double dh, double dk, double dl, const Cells& n) {
  if constexpr (shape == Shape::square) {
    const Quotient a = grating(dh, n.a), b = grating(dk, n.b), c = grating(dl, n.c);
    const double amplitude = a.above * b.above * c.above / (a.below * b.below * c.below);
    return amplitude * amplitude;
  } else {
    const double r2 = reduced_distance2(dh, dk, dl, n), peak = n.volume() * n.volume();
    if constexpr (shape == Shape::round) return 0.723601254558268 * 0.723601254558268 * peak * ball2(r2);
    if constexpr (shape == Shape::tophat) return r2 < reach2<shape>() ? peak : 0;
    return r2 < reach2<shape>() ? peak * vectorizable_exp(-2 / 0.63 * r2) : 0;
  }
}

}  // namespace nanobragg
#endif
