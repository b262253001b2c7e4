// A point-spread function integrated over the pixels around the one that a photon arrives in.
#ifndef NANOBRAGG_KOKKOS_CORE_RESPONSE_SPREAD_KERNEL_H
#define NANOBRAGG_KOKKOS_CORE_RESPONSE_SPREAD_KERNEL_H

#include <cstddef>
#include <vector>

#include <nanobragg_kokkos/core/response/point_spread.h>

namespace nanobragg {

// The same on either side of both axes: what is kept is a quarter, column by column.
struct SpreadKernel {
  struct Column {
    int height;         // values for slow = 0 … height, 0 beyond
    std::size_t first;  // of its values
  };
  std::vector<Column> columns;  // for fast = 0, 1, …; 0 beyond
  std::vector<double> values;
  int tallest = 0;        // height of a column
  double added_back = 0;  // share of a panel's photons

  int widest() const { return int(columns.size()) - 1; }
  double at(int fast, int slow) const {
    return fast > widest() || slow > columns[fast].height ? 0.0 : values[columns[fast].first + slow];
  }
};

// For pixels of these sides, as far as from one end of a panel of n_fast × n_slow pixels to the other.
// What is below 1e-61 of the kernel's largest value is 0: next to anything brighter it vanishes in the digits of a
// double.
SpreadKernel spread_kernel(const PointSpread& psf, double pixel_fast, double pixel_slow, int n_fast, int n_slow);

}  // namespace nanobragg
#endif
