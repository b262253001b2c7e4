// The patches of an image and their lists by tile: what the reflection-driven engine notes down on the device.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOT_NOTES_H
#define NANOBRAGG_KOKKOS_CORE_SPOT_NOTES_H

#include "patches.h"

namespace nanobragg {

template <class T>
using Array = Kokkos::View<T*, DeviceSpace>;

struct SpotNotes {
  struct Counters {
    std::int64_t patches, entries;       // found, whether or not there was room for them
    int lit_tiles, next_tile;
  };
  Array<Patch> patches;
  Array<int> list;                       // numbers of patches, those of a tile together, in any order
  Array<int> ends;                       // of each tile's part of the list; it starts where that of the tile before ends
  Array<int> lit_tiles;
  Kokkos::View<Counters, DeviceSpace> counters;
  Kokkos::View<double, DeviceSpace> brightest;

  KOKKOS_INLINE_FUNCTION int begin(int tile) const { return tile > 0 ? ends(tile - 1) : 0; }
  KOKKOS_INLINE_FUNCTION bool complete() const {
    return counters().patches <= std::int64_t(patches.extent(0)) && counters().entries <= std::int64_t(list.extent(0));
  }
};

}  // namespace nanobragg
#endif
