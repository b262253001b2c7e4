// What the reflection-driven engine keeps in a workspace from one image to the next.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_SPOT_SCRATCH_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_SPOT_SCRATCH_H

#include <cmath>
#include <vector>

#include <nanobragg_kokkos/core/math/exponential.h>
#include <nanobragg_kokkos/core/spots/patch_lists.h>

namespace nanobragg {

class SpotScratch {
 public:
  PatchLists lists;

  // See exp_by_table.
  const DeviceTable<double>& powers() {
    if (powers_.extent(0) == 0) {
      std::vector<double> powers;
      for (int i = 0; i < powers_in_table; ++i) powers.push_back(std::exp2(double(i) / powers_in_table));
      powers_ = to_device("nanobragg::spots::powers", powers);
    }
    return powers_;
  }

 private:
  DeviceTable<double> powers_;
};

}  // namespace nanobragg
#endif
