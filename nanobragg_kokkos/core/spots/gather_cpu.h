// A pass over the lists of patches on a CPU (gather.h): a thread takes a tile.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_GATHER_CPU_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_GATHER_CPU_H

#include <algorithm>

#include <nanobragg_kokkos/core/models/tile.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>
#include <nanobragg_kokkos/core/spots/patch_light.h>
#include <nanobragg_kokkos/core/spots/patch_lists.h>

namespace nanobragg {

// A pixel of a tile and the sources that it may need from a patch.
struct Task {
  Range range;
  int pixel;  // slow × tile_side + fast
};

template <class Light, class Sink>
class GatherCpu {
 public:
  using Value = typename Light::Value;

  GatherCpu(Workspace::OnDevice&, const Light& light, const Sink& sink) : light_(light), sink_(sink) {}

  void queue(const ExecutionSpace& space, const PatchLists& lists) const {
    if (!lists.complete()) return;
    Kokkos::parallel_for(
        "nanobragg::spots::gather",
        Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>>(space, 0, lists.counters().lit_tiles),
        AddTile{lists, light_, sink_});
  }

  // No pass needs room of its own.
  bool make_room(const ExecutionSpace&, const PatchLists::Counters&) const { return false; }

 private:
  struct AddTile;
  Light light_;
  Sink sink_;
};

template <class Light, class Sink>
struct GatherCpu<Light, Sink>::AddTile {
  PatchLists lists;
  Light light;
  Sink sink;

  void operator()(const int i) const {
    const int number = lists.lit_tiles(i);
    const Tile tile(light.rays, number);
    int* const list = &lists.list(lists.begin(number));
    const int n = lists.ends(number) - lists.begin(number);
    std::sort(list, list + n, [&](int a, int b) { return lists.patches(a).order < lists.patches(b).order; });
    Value sums[pixels_of_tile] = {};
    for (int ray = 0; ray < tile.panel.rays_of_pixel; ++ray) {
      const NeighbourRays tile_rays(light.rays, tile.panel, tile.fast, tile.slow, tile_side, tile_side, ray);
      for (int j = 0; j < n; ++j) add_patch(lists.patches(list[j]), tile, tile_rays, ray, sums);
    }
    for (int slow = 0; slow < std::min(int(tile_side), tile.n_slow); ++slow)
      for (int fast = 0; fast < std::min(int(tile_side), tile.n_fast); ++fast)
        sink(tile.pixel(fast, slow), sums[slow * tile_side + fast]);
  }

  void add_patch(const Patch& patch, const Tile& tile, const NeighbourRays& tile_rays, int ray,
                 Value (&sums)[pixels_of_tile]) const {
    const Direction& direction = light.term.sources.directions(patch.direction);
    const WavelengthWindow window = light.wavelength_window(patch, tile_rays.unsteadiness);
    const bool check = light.must_check(patch, window);
    Task tasks[pixels_of_tile];
    int n_tasks = 0;
    const int last = std::min(tile.slow + tile_side, patch.slow.end);
    for (int slow = std::max(tile.slow, patch.slow.begin); slow < last; ++slow) {
      const Range row = strip_in_row(patch, slow, {tile.fast, tile.fast + tile_side});
      if (row.empty()) continue;
      float low[tile_side], high[tile_side];
      for (int fast = 0; fast < tile_side; ++fast)
        window(tile_rays.direction(fast, slow - tile.slow), low[fast], high[fast]);
      for (int fast = row.begin - tile.fast; fast < row.end - tile.fast; ++fast) {
        if (!(low[fast] <= high[fast])) continue;
        const Range range = sources_between(low[fast], high[fast], direction, light.term.sources.wavenumber);
        const int pixel = (slow - tile.slow) * tile_side + fast;
        if (!range.empty() && light.rays.active(tile.pixel(pixel % tile_side, pixel / tile_side)))
          tasks[n_tasks++] = {range, pixel};
      }
    }
    for (int first = 0; first < n_tasks; first += vector_lanes)
      add_tasks(tasks + first, std::min(vector_lanes, n_tasks - first), patch, tile, ray, check, sums);
  }

  // Of up to vector_lanes pixels.
  void add_tasks(const Task* tasks, int n, const Patch& patch, const Tile& tile, int ray_number, bool check,
                 Value (&sums)[pixels_of_tile]) const {
    PixelLanes lanes;
    lanes.n = n;
    for (int j = 0; j < vector_lanes; ++j) {
      const Task& task = tasks[j < n ? j : 0];
      lanes.fast[j] = tile.fast + task.pixel % tile_side, lanes.slow[j] = tile.slow + task.pixel / tile_side;
      lanes.range[j] = task.range;
    }
    Value values[vector_lanes];
    light.light_of_lanes(lanes, patch, tile.panel, ray_number, check, values);
    for (int j = 0; j < n; ++j) sums[tasks[j].pixel] += values[j];
  }
};

}  // namespace nanobragg
#endif
