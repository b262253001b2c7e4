// The point-spread function through Fourier transforms.
//
// A panel is cut into tiles, each transformed with as much around it as the kernel reaches, or as a whole with as many
// zeros beyond its end.  Two tiles are transformed at a time, one as the real and one as the imaginary part of the same
// numbers: the kernel is the same on either side of both axes, hence its transform real, and what was real stays real.
//
// Rounding errors.  A transform by twos of 2^m points adds to a vector x an error of no more than 6.7 m u |x| (u =
// 2^-53, |x| the root of the sum of the squares, factors rounded correctly; Higham, Accuracy and Stability of Numerical
// Algorithms, 2nd ed., chapter 24); those by fours and eights have fewer roundings.  The kernel's shares sum to 1 at
// most, so that no frequency is amplified, and its own transform errs by no more than 6.7 m u.  There, the kernel, and
// back, with 2^m the points of a tile:
//   root of the mean square of a tile's errors  <=  20.1 m u × that of the pixels of the two tiles,
// 4e-14 of it for 512 × 512 points, and no pixel can be off by more than the root of the number of points times as
// much.  Errors that do not conspire stay far below: the tests find the root of their mean square, and the largest one
// relative to the brightest pixel, to be a few u.  What they would take below the darkest that a pixel can be is raised
// to it, so that no pixel turns negative where none was.
#ifndef NANOBRAGG_KOKKOS_CORE_RESPONSE_FOURIER_BLUR_H
#define NANOBRAGG_KOKKOS_CORE_RESPONSE_FOURIER_BLUR_H

#include <nanobragg_kokkos/core/math/fourier.h>
#include <nanobragg_kokkos/core/math/range.h>
#include <nanobragg_kokkos/core/response/panel_totals.h>
#include <nanobragg_kokkos/core/response/spread_kernel.h>

namespace nanobragg {

// How one side of a panel is cut into tiles.
struct TiledSide {
  int n;       // pixels of the panel
  int reach;   // of the kernel
  int length;  // points of a transform
  int tiles;

  KOKKOS_INLINE_FUNCTION int step() const { return tiles == 1 ? n : length - 2 * reach; }
  // The pixel at a tile's first point.
  KOKKOS_INLINE_FUNCTION int first_pixel(int tile) const { return tiles == 1 ? 0 : tile * step() - reach; }
  // Points that are pixels of the panel, and those where the result is that of the panel.
  KOKKOS_INLINE_FUNCTION Range pixels(int tile) const {
    return {Kokkos::max(0, -first_pixel(tile)), Kokkos::min(length, n - first_pixel(tile))};
  }
  KOKKOS_INLINE_FUNCTION Range results(int tile) const {
    const int begin = tiles == 1 ? 0 : reach;
    return {begin, Kokkos::min(begin + step(), n - first_pixel(tile))};
  }
};

struct FourierPlan {
  TiledSide fast, slow;
  double seconds;  // estimated
};

// The one that is estimated to be the fastest for n panels.
FourierPlan fourier_plan(const SpreadKernel& kernel, int n_fast, int n_slow, double n_panels);

class FourierBlur {
 public:
  FourierBlur(const ExecutionSpace& space, const AlikePanels& panels, const SpreadKernel& kernel,
              const FourierPlan& plan);

  void apply(const ExecutionSpace& space, const DeviceBuffer<const double>& photons,
             const DeviceBuffer<const PanelTotal>& totals, const DeviceBuffer<double>& blurred) const;

 private:
  AlikePanels panels_;
  FourierPlan plan_;
  FourierBundle rows_, columns_;
  double added_to_pixel_;  // of a panel's photons
  int n_pairs_, pairs_at_once_;
  DeviceBuffer<double> work_, spectrum_;  // spectrum: of the kernel, divided by the number of points
};

}  // namespace nanobragg
#endif
