// A pass over the lists of patches on a GPU (gather.h): warps calculate what each pixel of a patch receives, and teams
// add it up tile by tile.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_GATHER_GPU_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_GATHER_GPU_H

#include <nanobragg_kokkos/core/models/tile.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>
#include <nanobragg_kokkos/core/spots/patch_light.h>
#include <nanobragg_kokkos/core/spots/patch_lists.h>

namespace nanobragg {

// What each pixel of each patch receives, and the next patch that waits for a warp: 0 between passes.
template <class Value>
struct PatchPixels {
  DeviceBuffer<Value> values;
  Kokkos::View<int, DeviceSpace> next_patch;
};

template <class Light, class Sink>
class GatherGpu {
 public:
  using Value = typename Light::Value;
  struct Kernels;  // public, because nvcc names them outside

  GatherGpu(Workspace::OnDevice& workspace, const Light& light, const Sink& sink)
      : light_(light), sink_(sink), pixels_(workspace.scratch<PatchPixels<Value>>()) {
    if (pixels_.next_patch.data()) return;
    pixels_.next_patch =
        decltype(pixels_.next_patch)(Kokkos::view_alloc(workspace.space(), "nanobragg::spots::next_patch"));
    make_room(workspace.space(), {0, 0, 0, 1 << 20, 0});
  }

  void queue(const ExecutionSpace& space, const PatchLists& lists) const {
    Kernels{lists, pixels_, light_, sink_}.queue(space);
  }

  // Returns false if there is room for what the patches' pixels receive; else makes it.
  bool make_room(const ExecutionSpace& space, const PatchLists::Counters& found) {
    const auto before = pixels_.values.extent(0);
    make_room_for(space, pixels_.values, "nanobragg::spots::patch_pixels", found.pixels);
    return pixels_.values.extent(0) != before;
  }

 private:
  Light light_;
  Sink sink_;
  PatchPixels<Value>& pixels_;
};

template <class Light, class Sink>
struct GatherGpu<Light, Sink>::Kernels {
  using Team = typename Kokkos::TeamPolicy<ExecutionSpace>::member_type;
  static constexpr int warps = 4, lanes = 32;

  PatchLists lists;
  PatchPixels<Value> pixels;
  Light light;
  Sink sink;

  struct CalculateLight {};
  struct AddUp {};

  void queue(const ExecutionSpace& space) const {
    const int most = space.concurrency() / (warps * lanes);
    Kokkos::TeamPolicy<ExecutionSpace, CalculateLight, Kokkos::LaunchBounds<warps * lanes, 3>> by_patch(space, most / 4,
                                                                                                        warps, lanes);
    by_patch.set_scratch_size(0, Kokkos::PerTeam(int(TeamBuffer<Stack>::shmem_size(warps))));
    Kokkos::parallel_for("nanobragg::spots::calculate_light", light_weight(by_patch), *this);
    Kokkos::TeamPolicy<ExecutionSpace, AddUp> by_tile(space, std::min(most, light.rays.n_tiles), pixels_of_tile);
    by_tile.set_scratch_size(0, Kokkos::PerTeam(2 * int(TeamBuffer<Piece>::shmem_size(pixels_of_tile))));
    Kokkos::parallel_for("nanobragg::spots::add_up", light_weight(by_tile), *this);
  }

  KOKKOS_INLINE_FUNCTION bool complete() const {
    return lists.complete() && lists.counters().pixels <= std::int64_t(pixels.values.extent(0));
  }

  // A pixel that a patch lights, by its number in the patch, and the sources that its only ray may need.
  struct LitPixel {
    int patch, pixel;
    Range range;
    bool check;
  };

  // The lit pixels that a warp has found: whenever there is one for each lane, these are calculated.
  struct Stack {
    int size;
    LitPixel lit[2 * lanes];
  };

  KOKKOS_FUNCTION void operator()(CalculateLight, const Team& team) const {
    if (!complete()) return;
    const TeamBuffer<Stack> stacks(team.team_scratch(0), warps);
    Stack& stack = stacks(team.team_rank());
    Kokkos::single(Kokkos::PerThread(team), [&]() { stack.size = 0; });
    for (;;) {
      int number = 0;
      Kokkos::single(
          Kokkos::PerThread(team), [&](int& next) { next = Kokkos::atomic_fetch_add(&pixels.next_patch(), 1); },
          number);
      if (number >= lists.counters().patches) break;
      const Patch& patch = lists.patches(number);
      const DevicePanel& panel = light.rays.panels(patch.panel);
      const NeighbourRays rays(light.rays, panel, patch.fast.begin, patch.slow.begin, patch.n_fast(), patch.n_slow(),
                               0);
      const WavelengthWindow window = light.wavelength_window(patch, rays.unsteadiness);
      const bool check = light.must_check(patch, window);
      for (int start = 0; start < patch.size(); start += lanes) {
        const int left = patch.size() - start;
        Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, left < lanes ? left : lanes), [&](int lane) {
          find_lit(number, patch, panel, rays, window, check, start + lane, stack);
        });
        if (stack.size >= lanes) calculate(team, lanes, stack);
      }
    }
    calculate(team, stack.size, stack);
  }

  KOKKOS_INLINE_FUNCTION void find_lit(int number, const Patch& patch, const DevicePanel& panel,
                                       const NeighbourRays& first_rays, const WavelengthWindow& window, bool check,
                                       int pixel, Stack& stack) const {
    const int slow = pixel / patch.n_fast(), fast = pixel - slow * patch.n_fast();
    Range range{0, 0};
    bool lit = false;
    if (strip_reaches(patch, patch.fast.begin + fast + 0.5f, patch.slow.begin + slow + 0.5f, 0) &&
        light.rays.active(panel.first_pixel + std::int64_t(patch.slow.begin + slow) * panel.n_fast + patch.fast.begin +
                          fast)) {
      range = light.sources_of_ray(patch, window, first_rays.direction(fast, slow));
      lit = !range.empty() || panel.rays_of_pixel > 1;
    }
    if (lit)
      stack.lit[Kokkos::atomic_fetch_add(&stack.size, 1)] = {number, pixel, range, check};
    else
      pixels.values(patch.first_patch_pixel + pixel) = Value{};
  }

  // The n topmost of the stack, one a lane.
  KOKKOS_INLINE_FUNCTION void calculate(const Team& team, int n, Stack& stack) const {
    const int rest = stack.size - n;
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, n), [&](int lane) {
      const LitPixel lit = stack.lit[rest + lane];
      const Patch& patch = lists.patches(lit.patch);
      const int slow = patch.slow.begin + lit.pixel / patch.n_fast(),
                fast = patch.fast.begin + lit.pixel % patch.n_fast();
      pixels.values(patch.first_patch_pixel + lit.pixel) =
          light.rays.panels(patch.panel).rays_of_pixel == 1
              ? light.light_of_ray(patch, fast, slow, 0, lit.range, lit.check)
              : light.light_of_pixel(patch, fast, slow, [](Range range) { return range; });
    });
    Kokkos::single(Kokkos::PerThread(team), [&]() { stack.size = rest; });
  }

  // Of a patch, what a tile needs to know.
  struct Piece {
    std::int64_t order;
    Range fast, slow;
    std::int64_t first_patch_pixel;
  };

  KOKKOS_FUNCTION void operator()(AddUp, const Team& team) const {
    if (!complete()) return;
    const TeamBuffer<Piece> found(team.team_scratch(0), pixels_of_tile), sorted(team.team_scratch(0), pixels_of_tile);
    for (int i = team.league_rank(); i < lists.counters().lit_tiles; i += team.league_size())
      add_tile(team, lists.lit_tiles(i), found, sorted);
    if (team.league_rank() == 0) Kokkos::single(Kokkos::PerTeam(team), [&]() { pixels.next_patch() = 0; });
  }

  // Each thread has a pixel.
  KOKKOS_INLINE_FUNCTION void add_tile(const Team& team, int number, const TeamBuffer<Piece>& found,
                                       const TeamBuffer<Piece>& sorted) const {
    const Tile tile(light.rays, number);
    int* const list = &lists.list(lists.begin(number));
    const int n = lists.ends(number) - lists.begin(number), rank = team.team_rank();
    if (n > pixels_of_tile) sort(team, list, n);
    const int fast = tile.fast + rank % tile_side, slow = tile.slow + rank / tile_side;
    Value sum{};
    for (int first = 0; first < n; first += pixels_of_tile) {
      const int n_here = n - first < pixels_of_tile ? n - first : pixels_of_tile;
      if (rank < n_here) {
        const Patch& p = lists.patches(list[first + rank]);
        found(rank) = {p.order, p.fast, p.slow, p.first_patch_pixel};
      }
      team.team_barrier();
      if (rank < n_here) {  // each counts how many come before it
        int before = 0;
        for (int j = 0; j < n_here; ++j) before += found(j).order < found(rank).order;
        sorted(before) = found(rank);
      }
      team.team_barrier();
      for (int j = 0; j < n_here; ++j) {
        const auto& p = sorted(j);
        if (p.fast.contains(fast) && p.slow.contains(slow))
          sum += pixels.values(p.first_patch_pixel + (slow - p.slow.begin) * p.fast.size() + fast - p.fast.begin);
      }
      team.team_barrier();
    }
    if (rank % tile_side < tile.n_fast && rank / tile_side < tile.n_slow)
      sink(tile.pixel(rank % tile_side, rank / tile_side), sum);
  }

  // A long list in the order of the patches, by exchanges at growing distances (bitonic, for any length).
  KOKKOS_INLINE_FUNCTION void sort(const Team& team, int* list, int n) const {
    const auto exchange = [&](int low, int high) {
      if (high >= n || lists.patches(list[low]).order < lists.patches(list[high]).order) return;
      const int other = list[low];
      list[low] = list[high];
      list[high] = other;
    };
    int padded = 2;
    while (padded < n) padded *= 2;
    for (int width = 2; width <= padded; width *= 2)
      for (int step = width / 2; step > 0; step /= 2) {
        for (int i = team.team_rank(); i < padded / 2; i += pixels_of_tile) {
          const int block = i / step * 2 * step, at = i % step;
          // The first pass of a width mirrors its upper half: that way missing elements count as the largest.
          exchange(block + at, step == width / 2 ? block + 2 * step - 1 - at : block + at + step);
        }
        team.team_barrier();
      }
  }
};

}  // namespace nanobragg
#endif
