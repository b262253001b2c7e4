// The profile of a reflection (lattice_shapes.h) with its derivatives by the fractional indices and by the number of
// cells along each axis, a real number here also for the shape square.
//
// A derivative is that of the piece in which the index lies: the nearest reflection and the cut-off stay.
#ifndef NANOBRAGG_KOKKOS_CORE_GRADIENTS_SHAPE_DERIVATIVES_H
#define NANOBRAGG_KOKKOS_CORE_GRADIENTS_SHAPE_DERIVATIVES_H

#include <nanobragg_kokkos/core/models/lattice_shapes.h>

namespace nanobragg {

struct ProfileDerivatives {
  double intensity = 0;
  Vec3 by_index, by_cells;
};

struct GratingDerivatives {
  double amplitude, by_index, by_cells;
};

// sin(n pi d) / sin(pi d), up to the sign of all three, for |d| <= 1/2.
KOKKOS_INLINE_FUNCTION GratingDerivatives grating_derivatives(double d, double n) {
  constexpr double pi = Kokkos::numbers::pi;
  const double x = Kokkos::abs(d) < 1e-20 ? 1e-20 : Kokkos::abs(d), sign = d < 0 ? -1 : 1;
  const double rest = Kokkos::fma(n, x, -nearest_whole(n * x));
  const double below = sine_of_half_turns(x), cosine = sine_of_half_turns(0.5 - x);
  const double sine_n = sine_of_half_turns(rest), cosine_n = sine_of_half_turns(0.5 - Kokkos::abs(rest));
  const double amplitude = sine_n / below, m = n * n - 1, y = pi * x;
  // Next to a reflection the two terms of the derivative cancel; there its series is good to the last digits.
  const double series = -pi * n * m * y / 3 * (1 - (3 * n * n - 7) * y * y / 30);
  const double by_index = n * y < 2e-3 ? series : pi * (n * cosine_n - amplitude * cosine) / below;
  return {amplitude, sign * by_index, pi * x * cosine_n / below};
}

// The derivative of (3 (sin x - x cos x) / x^3)^2 by r2, for x^2 = pi^2 r2, and that function itself.
KOKKOS_INLINE_FUNCTION void ball2_derivative(double r2, double& value, double& derivative) {
  constexpr double pi = Kokkos::numbers::pi;
  const double y = pi * pi * r2;
  double amplitude, slope;  // slope: by y
  if (y < 0.25) {
    amplitude = 1.0 / 31135104000, slope = 6.0 / 31135104000;
    const double c[] = {-1.0 / 172972800, 1.0 / 1330560, -1.0 / 15120, 1.0 / 280, -1.0 / 10};
    for (int i = 0; i < 5; ++i) {
      amplitude = Kokkos::fma(amplitude, y, c[i]);
      slope = Kokkos::fma(slope, y, (5 - i) * c[i]);
    }
    amplitude = Kokkos::fma(amplitude, y, 1.0);
  } else {
    const double r = Kokkos::sqrt(r2), x = pi * r, rest = r - nearest_whole(r);
    // Whole half turns change the sign of sine and cosine together, which the product forgets.
    const double sine = sine_of_half_turns(rest), cosine = sine_of_half_turns(0.5 - Kokkos::abs(rest));
    amplitude = 3 * (sine - x * cosine) / (y * x);
    slope = 1.5 * (sine / x - amplitude) / y;
  }
  value = amplitude * amplitude, derivative = 2 * amplitude * slope * pi * pi;
}

// For fractional indices (dh, dk, dl) relative to the nearest reflection.
template <Shape shape>
KOKKOS_INLINE_FUNCTION ProfileDerivatives profile_derivatives(double dh, double dk, double dl, const Cells& n) {
  ProfileDerivatives result;
  if constexpr (shape == Shape::square) {
    const GratingDerivatives a = grating_derivatives(dh, n.a), b = grating_derivatives(dk, n.b),
                             c = grating_derivatives(dl, n.c);
    const double bc = b.amplitude * c.amplitude, ac = a.amplitude * c.amplitude, ab = a.amplitude * b.amplitude;
    const double twice = 2 * ab * c.amplitude;
    result.intensity = 0.5 * twice * ab * c.amplitude;
    result.by_index = {twice * bc * a.by_index, twice * ac * b.by_index, twice * ab * c.by_index};
    result.by_cells = {twice * bc * a.by_cells, twice * ac * b.by_cells, twice * ab * c.by_cells};
    return result;
  }
  // A function of the reduced distance, times the square of the number of cells.
  const double r2 = reduced_distance2(dh, dk, dl, n), peak = n.volume() * n.volume();
  double slope = 0;  // of the intensity, by r2
  if constexpr (shape == Shape::round) {
    ball2_derivative(r2, result.intensity, slope);
    const double scale = 0.723601254558268 * 0.723601254558268 * peak;
    result.intensity *= scale, slope *= scale;
  } else {
    result.intensity = lattice_intensity<shape>(dh, dk, dl, n);
    if constexpr (shape != Shape::tophat) slope = -2 / 0.63 * result.intensity;
  }
  const double twice = 2 * result.intensity;
  result.by_index = 2 * slope * Vec3{n.a * n.a * dh, n.b * n.b * dk, n.c * n.c * dl};
  result.by_cells = {twice / n.a + 2 * slope * n.a * dh * dh, twice / n.b + 2 * slope * n.b * dk * dk,
                     twice / n.c + 2 * slope * n.c * dl * dl};
  return result;
}

}  // namespace nanobragg
#endif
