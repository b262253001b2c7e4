// For shapes that end: which terms may differ from zero, decided in single precision.  Nearly all do not, and the few
// that pass are then computed in double precision, which decides.  The filter never stops a term that is not zero.
//
// Its error: let u = 2^-24 be the rounding of a float, a one of the cell vectors, q = d - s0 as the double-precision
// term has it, x the wavenumber.  A Miller index h = x a.q comes out of rounding a, q and x to floats, three roundings
// of the scalar product and one of the product with x, each of them at most u of |x| |a| |q|; 8 u leaves one to spare
// for the second order and for what the term itself rounds.  With |q| <= 2,
//   |error of h| <= e = 16 u |x| |a|.
// The distance from the nearest integer changes by at most as much as h does, also where another integer becomes the
// nearest, and taking away the nearest integer is exact (or off by less than e, for indices beyond 2^22).  So each axis
// of the reduced distance is off by at most N e, and by the triangle inequality the length by at most
//   margin = 16 u |x| sqrt(|N_a a|^2 + |N_b b|^2 + |N_c c|^2).
// Squares and their sum are good to 6 u, for which the limit leaves 2e-6.
//
// The margin is 0.008 for 57 cells of 67 x 60 x 47 angstrom at 1.3 angstrom, against a reach of 4.7 for gauss_argchk.
// Where it gets larger than the reach more terms pass than need be, in the end all.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_REACH_FILTER_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_REACH_FILTER_H

#include <Kokkos_Core.hpp>

#include <cmath>

#include <nanobragg_kokkos/core/models/crystal_on_device.h>
#include <nanobragg_kokkos/core/models/lattice_shapes.h>

namespace nanobragg {

// In units of N_c, which saves a product.
class ReachFilter {
 public:
  ReachFilter(double reach2, const Cells& cells, double largest_extent, double largest_wavenumber)
      : weight_h_(float(cells.a / cells.c * (cells.a / cells.c))),
        weight_k_(float(cells.b / cells.c * (cells.b / cells.c))) {
    const double margin = 16 * std::ldexp(1.0, -24) * largest_wavenumber * largest_extent;
    const double reach = (std::sqrt(reach2) + margin) / cells.c;
    limit_ = float((1 + 2e-6) * reach * reach);
  }

  // The squared distance from the nearest reflection, of Miller indices in single precision.
  KOKKOS_FORCEINLINE_FUNCTION float distance2(float h, float k, float l) const {
    const float dh = h - nearest(h), dk = k - nearest(k), dl = l - nearest(l);
    return Kokkos::fma(weight_h_, dh * dh, Kokkos::fma(weight_k_, dk * dk, dl * dl));
  }

  KOKKOS_FORCEINLINE_FUNCTION bool passes(float distance2) const { return distance2 < limit_; }

 private:
  KOKKOS_FORCEINLINE_FUNCTION static float nearest(float x) {
    const float round = 12582912;  // 1.5 * 2^23: adding it leaves the integer in the last bits
    return (x + round) - round;
  }

  float weight_h_, weight_k_, limit_;
};

}  // namespace nanobragg
#endif
