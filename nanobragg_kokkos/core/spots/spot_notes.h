// The candidates and patches of an image and the patches' lists by tile: what the reflection-driven engine notes down
// on the device.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_SPOT_NOTES_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_SPOT_NOTES_H

#include <nanobragg_kokkos/core/spots/patches.h>

namespace nanobragg {

template <class T>
using Array = Kokkos::View<T*, DeviceSpace>;

struct SpotNotes {
  struct Counters {
    std::int64_t candidates, patches, entries, pixels;  // found, whether or not there was room for them
    int lit_tiles, next_patch;
  };
  Array<Candidate> candidates;
  Array<Patch> patches;
  Array<int> list;  // numbers of patches, those of a tile together, in any order
  Array<int> ends;  // of each tile's part of the list; it starts where that of the tile before ends
  Array<int> lit_tiles;
  Array<double> patch_pixels;  // that each pixel of each patch receives; on a GPU only
  DeviceArray<double> powers;  // see exp_by_table
  Kokkos::View<Counters, DeviceSpace> counters;
  Kokkos::View<double, DeviceSpace> brightest;

  KOKKOS_INLINE_FUNCTION int begin(int tile) const { return tile > 0 ? ends(tile - 1) : 0; }
  KOKKOS_INLINE_FUNCTION bool has_room(const Counters& found) const {
    return found.candidates <= std::int64_t(candidates.extent(0)) && found.patches <= std::int64_t(patches.extent(0)) &&
           found.entries <= std::int64_t(list.extent(0)) &&
           (host_is_device || found.pixels <= std::int64_t(patch_pixels.extent(0)));
  }
  KOKKOS_INLINE_FUNCTION bool complete() const { return has_room(counters()); }
};

}  // namespace nanobragg
#endif
