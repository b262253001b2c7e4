// The point-spread function as a sum over the pixels of its circle.
#ifndef NANOBRAGG_KOKKOS_CORE_RESPONSE_DIRECT_BLUR_H
#define NANOBRAGG_KOKKOS_CORE_RESPONSE_DIRECT_BLUR_H

#include <nanobragg_kokkos/core/response/panel_totals.h>
#include <nanobragg_kokkos/core/response/spread_kernel.h>

namespace nanobragg {

// The kernel is the same on the left and on the right: pixels in the same distance from a pixel on either side of it
// are added first.  Such a sum of two serves several pixels of a column, each with another value of the kernel.  Every
// pixel takes its columns from the faintest to the middle and each from the top down, on a CPU and on a GPU, where the
// same bits come out.
//
// Rounding errors: at most (n + 3) u of the pixel itself (u = 2^-53), where n is half the number of the circle's pixels
// and no pixel negative: 7e-14 of it for a radius of 20.
class DirectBlur {
 public:
  DirectBlur(const ExecutionSpace& space, const AlikePanels& panels, const SpreadKernel& kernel);

  void apply(const ExecutionSpace& space, const DeviceBuffer<const double>& photons,
             const DeviceBuffer<const PanelTotal>& totals, const DeviceBuffer<double>& blurred) const;

  // Estimated time for n panels, s.
  static double seconds(const SpreadKernel& kernel, int n_fast, int n_slow, double n_panels);

 private:
  AlikePanels panels_;
  double added_to_pixel_;  // of a panel's photons
  int tallest_;
  DeviceTable<int> heights_;        // of the columns for fast = 0, 1, …
  DeviceTable<std::int64_t> tops_;  // where their values for slow = -height are
  DeviceTable<double> values_;
};

}  // namespace nanobragg
#endif
