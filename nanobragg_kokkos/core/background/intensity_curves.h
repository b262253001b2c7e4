// What the sources of one direction make of an amorphous sample, as a function of q = sin(theta) alone:
//   B(q) = Σ weight × F(q x) |F(q x)|,  x = 1 / wavelength.
//
// F is a cubic polynomial between two points of its table, so B is one of degree 6 between two values of q at which a
// source passes such a point, or F its zero.  These polynomials are tabulated; nothing is approximated.  Each is in
// powers of the distance from the middle of its piece, where none of its terms is much larger than the sum.  A piece is
// found through a uniform grid over q.
#ifndef NANOBRAGG_KOKKOS_CORE_BACKGROUND_INTENSITY_CURVES_H
#define NANOBRAGG_KOKKOS_CORE_BACKGROUND_INTENSITY_CURVES_H

#include <utility>
#include <vector>

#include <nanobragg_kokkos/core/models/sources_on_device.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

// The amplitude F between two points of its table: a polynomial in s - start that does not change its sign.
struct AmplitudePiece {
  double start;  // 1/m
  double coefficient[4];
  double sign = 1;  // of F

  KOKKOS_INLINE_FUNCTION double operator()(double s) const {
    const double t = s - start;
    return Kokkos::fma(Kokkos::fma(Kokkos::fma(coefficient[3], t, coefficient[2]), t, coefficient[1]), t,
                       coefficient[0]);
  }
};

// F for 0 <= s < infinity.
struct AmplitudeCurve {
  std::vector<double> knots;           // ascending, 1/m
  std::vector<AmplitudePiece> pieces;  // one more: piece i ends at knot i, the last one nowhere

  AmplitudeCurve() = default;
  // table: (s, F) with s ascending.
  explicit AmplitudeCurve(const std::vector<std::pair<double, double>>& table);
  // The same for 0 <= s <= limit, with knots where F changes its sign.
  AmplitudeCurve up_to(double limit) const;
};

// 64 bytes, so that a GPU reads it in four parts and a CPU in one line.
struct alignas(64) IntensityPiece {
  double middle;
  double coefficient[7];

  KOKKOS_INLINE_FUNCTION double operator()(double q) const {
    const double v = q - middle;
    double b = Kokkos::fma(coefficient[6], v, coefficient[5]);
    b = Kokkos::fma(b, v, coefficient[4]);
    b = Kokkos::fma(b, v, coefficient[3]);
    b = Kokkos::fma(b, v, coefficient[2]);
    b = Kokkos::fma(b, v, coefficient[1]);
    return Kokkos::fma(b, v, coefficient[0]);
  }

  // By q.
  KOKKOS_INLINE_FUNCTION double derivative(double q) const {
    const double v = q - middle;
    double b = 0;
    for (int i = 6; i > 0; --i) b = Kokkos::fma(b, v, i * coefficient[i]);
    return b;
  }
};

struct IntensityCurves {
  DeviceTable<IntensityPiece> pieces;  // of all curves, one curve after the other
  DeviceTable<double> ends;            // of each piece, included; that of a curve's last piece is infinite
  DeviceTable<int> first;     // (curve, cell of its grid): the first piece with a part in the cell, and after the
                              // last cell, the curve's last piece
  int n_cells = 0;            // of each curve
  double cells_per_unit = 0;  // of q

  // The number of the piece that holds q.
  KOKKOS_INLINE_FUNCTION int find(int curve, double q) const {
    const int cell = Kokkos::min(int(q * cells_per_unit), n_cells - 1), entry = curve * (n_cells + 1) + cell;
    int low = first(entry), high = first(entry + 1);
    while (low < high) {
      const int middle = (low + high) / 2;
      if (ends(middle) < q)
        low = middle + 1;
      else
        high = middle;
    }
    return low;
  }
};

// A curve for each direction of the beam, for 0 <= q <= 1; amplitude must reach to the largest wavenumber.
IntensityCurves intensity_curves(const ExecutionSpace& space, const AmplitudeCurve& amplitude,
                                 const SourceTable& sources);

// The curve of a single source of the wavenumber and the weight 1: F|F| for 0 <= s <= limit.
IntensityCurves intensity_curve(const ExecutionSpace& space, const AmplitudeCurve& amplitude, double limit);

}  // namespace nanobragg
#endif
