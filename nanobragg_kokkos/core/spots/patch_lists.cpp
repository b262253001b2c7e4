#include <nanobragg_kokkos/core/spots/patch_lists.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include <nanobragg_kokkos/core/runtime/value_on_host.h>

namespace nanobragg {
namespace {

void allocate(PatchLists& lists, const ExecutionSpace& space, const PatchLists::Counters& n) {
  make_room_for(space, lists.candidates, "nanobragg::spots::candidates", n.candidates);
  make_room_for(space, lists.patches, "nanobragg::spots::patches", n.patches);
  make_room_for(space, lists.list, "nanobragg::spots::list", n.entries);
}

}  // namespace

void PatchLists::clear(const ExecutionSpace& space, int n_tiles) {
  if (!counters.data()) {
    counters = decltype(counters)(Kokkos::view_alloc(space, "nanobragg::spots::counters"));
    brightest = decltype(brightest)(Kokkos::view_alloc(space, "nanobragg::spots::brightest"));
    allocate(*this, space, {1 << 14, 1 << 14, 1 << 16, 0, 0});
  }
  if (int(ends.extent(0)) != n_tiles) {
    ends = lit_tiles = DeviceBuffer<int>();
    ends = DeviceBuffer<int>(Kokkos::view_alloc(space, "nanobragg::spots::ends", Kokkos::WithoutInitializing), n_tiles);
    lit_tiles = DeviceBuffer<int>(Kokkos::view_alloc(space, "nanobragg::spots::lit_tiles", Kokkos::WithoutInitializing),
                                  n_tiles);
  }
  Kokkos::deep_copy(space, ends, 0);
  Kokkos::deep_copy(space, counters, Counters{});
}

bool PatchLists::make_room(const ExecutionSpace& space) {
  found = value_on_host(space, counters);
  const std::int64_t most = std::max({found.candidates, found.patches, found.entries, found.pixels});
  if (most > std::numeric_limits<int>::max())
    throw std::invalid_argument("the reflection-driven engine finds " + std::to_string(most) +
                                " patches of pixels, too many: the pixel-driven engine suits this experiment");
  if (has_room(found)) return false;
  allocate(*this, space, found);
  return true;
}

}  // namespace nanobragg
