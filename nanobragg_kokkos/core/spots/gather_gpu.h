// On a GPU: warps calculate what each pixel of a patch receives, and teams add it up tile by tile, in an order that
// depends on the models alone.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_GATHER_GPU_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_GATHER_GPU_H

#include <nanobragg_kokkos/core/models/tile.h>
#include <nanobragg_kokkos/core/spots/patch_light.h>
#include <nanobragg_kokkos/core/spots/spot_notes.h>

namespace nanobragg {

template <Shape shape, Interpolation interpolation>
struct GatherGpu {
  using Team = typename Kokkos::TeamPolicy<ExecutionSpace>::member_type;
  static constexpr int warps = 4, lanes = 32;

  Array<double> image;
  PatchLight<shape, interpolation> light;
  SpotNotes notes;

  struct CalculateLight {};
  struct AddToImage {};

  void run() const {
    const int most = ExecutionSpace().concurrency() / (warps * lanes);
    Kokkos::TeamPolicy<ExecutionSpace, CalculateLight, Kokkos::LaunchBounds<warps * lanes, 3>> by_patch(most / 4, warps,
                                                                                                        lanes);
    by_patch.set_scratch_size(0, Kokkos::PerTeam(warps * int(sizeof(Stack))));
    Kokkos::parallel_for("nanobragg::spots::calculate_light", at_once(by_patch), *this);
    Kokkos::TeamPolicy<ExecutionSpace, AddToImage> by_tile(std::min(most, light.rays.n_tiles), pixels_of_tile);
    by_tile.set_scratch_size(0, Kokkos::PerTeam(int(sizeof(Pieces))));
    Kokkos::parallel_for("nanobragg::spots::add_to_image", at_once(by_tile), *this);
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
    if (!notes.complete()) return;
    Stack& stack = static_cast<Stack*>(team.team_scratch(0).get_shmem(warps * int(sizeof(Stack))))[team.team_rank()];
    Kokkos::single(Kokkos::PerThread(team), [&]() { stack.size = 0; });
    for (;;) {
      int number = 0;
      Kokkos::single(
          Kokkos::PerThread(team), [&](int& next) { next = Kokkos::atomic_fetch_add(&notes.counters().next_patch, 1); },
          number);
      if (number >= notes.counters().patches) break;
      const Patch& patch = notes.patches(number);
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
      notes.patch_pixels(patch.first_patch_pixel + pixel) = 0;
  }

  // The n topmost of the stack, one a lane.
  KOKKOS_INLINE_FUNCTION void calculate(const Team& team, int n, Stack& stack) const {
    const int rest = stack.size - n;
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, n), [&](int lane) {
      const LitPixel lit = stack.lit[rest + lane];
      const Patch& patch = notes.patches(lit.patch);
      const int slow = patch.slow.begin + lit.pixel / patch.n_fast(),
                fast = patch.fast.begin + lit.pixel % patch.n_fast();
      notes.patch_pixels(patch.first_patch_pixel + lit.pixel) =
          light.rays.panels(patch.panel).rays_of_pixel == 1
              ? light.light_of_ray(patch, fast, slow, 0, lit.range, lit.check)
              : light.light_of_pixel(patch, fast, slow, [](Range range) { return range; });
    });
    Kokkos::single(Kokkos::PerThread(team), [&]() { stack.size = rest; });
  }

  // The patches of a tile, or some of them.
  struct Pieces {
    struct Piece {
      std::int64_t order;
      Range fast, slow;
      std::int64_t first_patch_pixel;
    };
    Piece found[pixels_of_tile], sorted[pixels_of_tile];
  };

  KOKKOS_FUNCTION void operator()(AddToImage, const Team& team) const {
    if (!notes.complete()) return;
    Pieces& pieces = *static_cast<Pieces*>(team.team_scratch(0).get_shmem(int(sizeof(Pieces))));
    for (int i = team.league_rank(); i < notes.counters().lit_tiles; i += team.league_size())
      add_tile(team, notes.lit_tiles(i), pieces);
  }

  // Each thread has a pixel.
  KOKKOS_INLINE_FUNCTION void add_tile(const Team& team, int number, Pieces& pieces) const {
    const Tile tile(light.rays, number);
    int* const list = &notes.list(notes.begin(number));
    const int n = notes.ends(number) - notes.begin(number), rank = team.team_rank();
    if (n > pixels_of_tile) sort(team, list, n);
    const int fast = tile.fast + rank % tile_side, slow = tile.slow + rank / tile_side;
    double sum = 0;
    for (int first = 0; first < n; first += pixels_of_tile) {
      const int n_here = n - first < pixels_of_tile ? n - first : pixels_of_tile;
      if (rank < n_here) {
        const Patch& p = notes.patches(list[first + rank]);
        pieces.found[rank] = {p.order, p.fast, p.slow, p.first_patch_pixel};
      }
      team.team_barrier();
      if (rank < n_here) {  // each counts how many come before it
        int before = 0;
        for (int j = 0; j < n_here; ++j) before += pieces.found[j].order < pieces.found[rank].order;
        pieces.sorted[before] = pieces.found[rank];
      }
      team.team_barrier();
      for (int j = 0; j < n_here; ++j) {
        const auto& p = pieces.sorted[j];
        if (p.fast.contains(fast) && p.slow.contains(slow))
          sum += notes.patch_pixels(p.first_patch_pixel + (slow - p.slow.begin) * p.fast.size() + fast - p.fast.begin);
      }
      team.team_barrier();
    }
    if (sum != 0) image(tile.pixel(rank % tile_side, rank / tile_side)) += light.term.scale * sum;
  }

  // A long list in the order of the patches, by exchanges at growing distances (bitonic, for any length).
  KOKKOS_INLINE_FUNCTION void sort(const Team& team, int* list, int n) const {
    const auto exchange = [&](int low, int high) {
      if (high >= n || notes.patches(list[low]).order < notes.patches(list[high]).order) return;
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
