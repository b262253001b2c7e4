// The patches of pixels that the reflections of a scene may light, and for each tile of the detector the list of those
// that touch it.  They depend on the models and on how far what is asked for reaches, and serve any number of passes
// (gather.h): copies share the memory.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_PATCH_LISTS_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_PATCH_LISTS_H

#include <string>

#include <nanobragg_kokkos/core/spots/patches.h>

namespace nanobragg {

// Makes the array longer, by somewhat more than is asked for, if it is shorter than n.  What it held is lost.
template <class T>
void make_room_for(const ExecutionSpace& space, DeviceBuffer<T>& array, const char* name, std::int64_t n) {
  if (n <= std::int64_t(array.extent(0))) return;
  array = DeviceBuffer<T>();  // before the new one is there: both need not fit
  array = DeviceBuffer<T>(Kokkos::view_alloc(space, std::string(name), Kokkos::WithoutInitializing), n + n / 8);
}

struct PatchLists {
  struct Counters {
    std::int64_t candidates, patches, entries, pixels;  // found, whether or not there was room for them
    int lit_tiles;
  };
  DeviceBuffer<Candidate> candidates;
  DeviceBuffer<Patch> patches;
  DeviceBuffer<int> list;  // numbers of patches, those of a tile together, in any order
  DeviceBuffer<int> ends;  // of each tile's part of the list; it starts where that of the tile before ends
  DeviceBuffer<int> lit_tiles;
  Kokkos::View<Counters, DeviceSpace> counters;
  Kokkos::View<double, DeviceSpace> brightest;  // see reach.h
  Counters found{};                             // the counters as the host has read them last

  KOKKOS_INLINE_FUNCTION int begin(int tile) const { return tile > 0 ? ends(tile - 1) : 0; }
  KOKKOS_INLINE_FUNCTION bool has_room(const Counters& n) const {
    return n.candidates <= std::int64_t(candidates.extent(0)) && n.patches <= std::int64_t(patches.extent(0)) &&
           n.entries <= std::int64_t(list.extent(0));
  }
  KOKKOS_INLINE_FUNCTION bool complete() const { return has_room(counters()); }

  // Forgets what has been noted, if anything, and gets ready for a detector of n_tiles tiles.
  void clear(const ExecutionSpace& space, int n_tiles);
  // Reads what has been found.  Returns false if there was room for it; else makes it: all is to be done again.
  // Throws std::invalid_argument for more than 2^31 - 1 of anything.
  bool make_room(const ExecutionSpace& space);
};

}  // namespace nanobragg
#endif
