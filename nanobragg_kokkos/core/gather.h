// The light of all patches of a tile, added up pixel by pixel in an order that depends on the models alone.
#ifndef NANOBRAGG_KOKKOS_CORE_GATHER_H
#define NANOBRAGG_KOKKOS_CORE_GATHER_H

#include <algorithm>

#include "exponential.h"
#include "near_run.h"
#include "spot_notes.h"
#include "spot_terms.h"

namespace nanobragg {

// A pixel of a tile and the sources that it may need from a patch.
struct Task {
  int patch;                         // number in the tile's list
  int begin, end;
  int pixel;                         // slow × tile_side + fast
};

template <Shape shape, Interpolation interpolation>
struct Gather {
  static constexpr int pixels_of_tile = tile_side * tile_side;
  static constexpr bool gaussian = shape == Shape::gauss || shape == Shape::gauss_argchk;
  using Index = typename SpotTerms<shape, interpolation>::Index;

  Array<double> image;
  PixelTable rays;
  SpotTerms<shape, interpolation> term;
  float largest_wavenumber;
  SpotNotes notes;

  // Where a tile lies.
  struct Tile {
    const DevicePanel& panel;
    int fast, slow;                  // its first pixel
    KOKKOS_INLINE_FUNCTION Tile(const PixelTable& rays, int number) : panel(rays.panels(rays.panel_of_tile(number))) {
      const int in_panel = number - panel.first_tile;
      fast = in_panel % panel.tiles_fast * tile_side, slow = in_panel / panel.tiles_fast * tile_side;
    }
    KOKKOS_INLINE_FUNCTION std::int64_t pixel(int in_tile) const {
      return panel.first_pixel + std::int64_t(slow + in_tile / tile_side) * panel.n_fast + fast + in_tile % tile_side;
    }
  };

  KOKKOS_INLINE_FUNCTION NearRun near_run(const Patch& patch, float unsteadiness) const {
    return NearRun(term.blocks(patch.block), term.cells, patch, to_float(term.sources.directions(patch.direction).incident),
                   largest_wavenumber, unsteadiness);
  }

  // What a ray receives from some of the sources.  `check`: some may be too far from the reflection, or nearer to another.
  KOKKOS_INLINE_FUNCTION double light(Vec3 index, const Patch& patch, int begin, int end, bool check) const {
    double sum = 0;
    if (gaussian && interpolation == Interpolation::nearest && !check) {
      const double* const f = term.amplitude.at(patch.h, patch.k, patch.l);
      for (int i = begin; i < end; ++i) {
        const double amplitude = f ? f[term.sources.channel(i)] : term.amplitude.default_amplitude;
        sum += term.sources.weight(i) * amplitude * amplitude * gaussian_at(index, patch, term.sources.wavenumber(i));
      }
      return term.cells.volume() * term.cells.volume() * sum;
    }
    for (int i = begin; i < end; ++i) {
      const double x = term.sources.wavenumber(i);
      const Index h(index.x, x), k(index.y, x), l(index.z, x);
      if (h.nearest == patch.h && k.nearest == patch.k && l.nearest == patch.l) sum += term(h, k, l, i);
    }
    return sum;
  }

  KOKKOS_INLINE_FUNCTION double gaussian_at(Vec3 index, const Patch& patch, double x) const {
    const double dh = Kokkos::fma(index.x, x, -double(patch.h)), dk = Kokkos::fma(index.y, x, -double(patch.k)),
                 dl = Kokkos::fma(index.z, x, -double(patch.l));
    return vectorizable_exp(-2 / 0.63 * Kokkos::min(reduced_distance2(dh, dk, dl, term.cells), 220.0));
  }

  // The same for the Gaussians in vector code: as many sums as a vector has lanes, added up in the end.
  double light_in_lanes(Vec3 index, const Patch& patch, int begin, int end, bool in_order) const {
    const double* const x = term.sources.wavenumber.data();
    const double* const weight = term.sources.weight.data();
    const int* const channel = term.sources.channel.data();
    const double* const f = term.amplitude.at(patch.h, patch.k, patch.l);
    double sums[vector_lanes] = {};
    for (int i = begin; i < end; i += vector_lanes) {
      double amplitude[vector_lanes];
      if (!f)
        for (int j = 0; j < vector_lanes; ++j) amplitude[j] = term.amplitude.default_amplitude;
      else if (in_order)
        for (int j = 0; j < vector_lanes; ++j) amplitude[j] = f[channel[i] + j];
      else
        for (int j = 0; j < vector_lanes; ++j) amplitude[j] = f[channel[i + j]];
      for (int j = 0; j < vector_lanes; ++j) {
        const double share = j < end - i ? weight[i + j] : 0;
        sums[j] += share * amplitude[j] * amplitude[j] * gaussian_at(index, patch, x[i + j]);
      }
    }
    double sum = 0;
    for (int j = 0; j < vector_lanes; ++j) sum += sums[j];
    return term.cells.volume() * term.cells.volume() * sum;
  }

  // Whether every term is to be checked one by one.
  KOKKOS_INLINE_FUNCTION bool must_check(const Patch& patch, const NearRun& near) const {
    return !gaussian || interpolation != Interpolation::nearest || near.leaves_cell(term.cells) ||
           double(patch.reach) * patch.reach > 0.9 * reach2<shape>();
  }

  // The light of one patch along one ray of a pixel.
  KOKKOS_INLINE_FUNCTION double light_of_task(const Task& task, const Patch& patch, const Tile& tile, int ray_number, bool check) const {
    const Ray ray = rays.ray_of_pixel(tile.panel, tile.fast + task.pixel % tile_side, tile.slow + task.pixel / tile_side, ray_number);
    const Direction& direction = term.sources.directions(patch.direction);
    const double sum = light(term.blocks(patch.block) * (ray.direction - direction.incident), patch, task.begin, task.end, check);
    return sum == 0 ? 0 : sum * ray.weight * term.sources.polarization(direction, ray.direction);
  }

  // One ray of a pixel in the middle of a patch: less than that pixel will have.
  KOKKOS_INLINE_FUNCTION double light_in_the_middle(const Patch& patch) const {
    const DevicePanel& panel = rays.panels(patch.panel);
    const int fast = (patch.fast_begin + patch.fast_end) / 2, slow = (patch.slow_begin + patch.slow_end) / 2;
    if (!rays.active(panel.first_pixel + std::int64_t(slow) * panel.n_fast + fast)) return 0;
    const Tile tile(rays, panel.first_tile + slow / tile_side * panel.tiles_fast + fast / tile_side);
    const TileRays tile_rays(rays, panel, fast, slow, 0);
    float low, high;
    near_run(patch, tile_rays.unsteadiness)(tile_rays.direction(0, 0), low, high);
    if (!(low <= high)) return 0;
    const Run run = sources_between(low, high, term.sources.directions(patch.direction), term.sources.wavenumber);
    return light_of_task({0, run.begin, run.end, (slow - tile.slow) * tile_side + fast - tile.fast}, patch, tile, 0, true);
  }

  // On a CPU: a whole tile, patch by patch.
  struct ByTile {};
  void operator()(ByTile, const std::int64_t i) const {
    const int number = notes.lit_tiles(i);
    const Tile tile(rays, number);
    int* const list = &notes.list(notes.begin(number));
    const int n = notes.ends(number) - notes.begin(number);
    std::sort(list, list + n, [&](int a, int b) { return before(notes.patches(a), notes.patches(b)); });
    double sums[pixels_of_tile] = {};
    for (int ray = 0; ray < rays.n_rays(tile.panel); ++ray) {
      const TileRays tile_rays(rays, tile.panel, tile.fast, tile.slow, ray);
      for (int j = 0; j < n; ++j) add_patch(notes.patches(list[j]), tile, tile_rays, ray, sums);
    }
    add_to_image(tile, sums);
  }

  void add_to_image(const Tile& tile, const double (&sums)[pixels_of_tile]) const {
    for (int pixel = 0; pixel < pixels_of_tile; ++pixel)
      if (sums[pixel] != 0) image(tile.pixel(pixel)) += term.scale * sums[pixel];
  }

  void add_patch(const Patch& patch, const Tile& tile, const TileRays& tile_rays, int ray, double (&sums)[pixels_of_tile]) const {
    const Direction& direction = term.sources.directions(patch.direction);
    const NearRun near = near_run(patch, tile_rays.unsteadiness);
    Task tasks[pixels_of_tile];
    int n_tasks = 0;
    const int last = std::min(tile.slow + tile_side, patch.slow_end);
    for (int slow = std::max(tile.slow, patch.slow_begin); slow < last; ++slow) {
      const Span row = span(patch, slow, tile.fast, tile.fast + tile_side);
      if (row.begin >= row.end) continue;
      float low[tile_side], high[tile_side];
      for (int fast = 0; fast < tile_side; ++fast) near(tile_rays.direction(fast, slow - tile.slow), low[fast], high[fast]);
      for (int fast = row.begin - tile.fast; fast < row.end - tile.fast; ++fast) {
        if (!(low[fast] <= high[fast])) continue;
        const Run run = sources_between(low[fast], high[fast], direction, term.sources.wavenumber);
        const int pixel = (slow - tile.slow) * tile_side + fast;
        if (run.begin < run.end && rays.active(tile.pixel(pixel))) tasks[n_tasks++] = {0, run.begin, run.end, pixel};
      }
    }
    const bool check = must_check(patch, near);
    for (int first = 0; first < n_tasks; first += vector_lanes)
      add_tasks(tasks + first, std::min(vector_lanes, n_tasks - first), patch, tile, ray, check, sums);
  }

  // Of up to vector_lanes pixels.
  void add_tasks(const Task* tasks, int n, const Patch& patch, const Tile& tile, int ray_number, bool check,
                 double (&sums)[pixels_of_tile]) const {
    const Direction& direction = term.sources.directions(patch.direction);
    const Mat3& block = term.blocks(patch.block);
    const bool in_order = direction.channels_in_order;
    double h[vector_lanes], k[vector_lanes], l[vector_lanes], factor[vector_lanes];
    int fast[vector_lanes], slow[vector_lanes];
    for (int j = 0; j < vector_lanes; ++j) {
      const int pixel = tasks[j < n ? j : 0].pixel;
      fast[j] = tile.fast + pixel % tile_side, slow[j] = tile.slow + pixel / tile_side;
    }
    for (int j = 0; j < vector_lanes; ++j) {
      const Ray ray = rays.ray_of_pixel(tile.panel, fast[j], slow[j], ray_number);
      const Vec3 index = block * (ray.direction - direction.incident);
      h[j] = index.x, k[j] = index.y, l[j] = index.z;
      factor[j] = ray.weight * term.sources.polarization(direction, ray.direction);
    }
    for (int j = 0; j < n; ++j) {
      const Vec3 index{h[j], k[j], l[j]};
      const double sum = check ? light(index, patch, tasks[j].begin, tasks[j].end, true)
                               : light_in_lanes(index, patch, tasks[j].begin, tasks[j].end, in_order);
      sums[tasks[j].pixel] += sum * factor[j];
    }
  }

  // On a GPU: a team takes one lit tile after the other.  Its threads share out the pixels of all patches, set aside those which
  // receive something, and calculate the light of as many of them at a time as there are threads.
  using Team = typename Kokkos::TeamPolicy<ExecutionSpace>::member_type;
  static constexpr int team_size = 128, patches_at_once = 16, rows_at_once = patches_at_once * tile_side;

  struct Shared {
    double sums[pixels_of_tile];
    Task tasks[2 * team_size];
    int first_candidate[rows_at_once + 1];      // of each row of each patch
    short fast[rows_at_once];                   // where its span begins
    int n_tasks;
  };
  static std::size_t shared_bytes() { return Kokkos::View<Shared, typename ExecutionSpace::scratch_memory_space>::shmem_size(); }

  struct ByTeam {};
  KOKKOS_FUNCTION void operator()(ByTeam, const Team& team) const {
    if (!notes.complete()) return;
    Shared& shared = *Kokkos::View<Shared, typename ExecutionSpace::scratch_memory_space>(team.team_scratch(0)).data();
    for (;;) {
      int next = 0;
      Kokkos::single(Kokkos::PerTeam(team), [&](int& value) { value = Kokkos::atomic_fetch_add(&notes.counters().next_tile, 1); }, next);
      if (next >= notes.counters().lit_tiles) return;
      add_tile(team, notes.lit_tiles(next), shared);
      team.team_barrier();
    }
  }

  KOKKOS_FUNCTION void add_tile(const Team& team, int number, Shared& shared) const {
    const Tile tile(rays, number);
    int* const list = &notes.list(notes.begin(number));
    const int n = notes.ends(number) - notes.begin(number), rank = team.team_rank();
    sort(team, list, n);
    for (int pixel = rank; pixel < pixels_of_tile; pixel += team_size) shared.sums[pixel] = 0;
    for (int ray = 0; ray < rays.n_rays(tile.panel); ++ray) {
      const TileRays tile_rays(rays, tile.panel, tile.fast, tile.slow, ray);
      int n_tasks = 0;
      for (int first = 0; first < n; first += patches_at_once) {
        const int n_candidates = list_candidates(team, tile, list, first, n, shared);
        for (int start = 0; start < n_candidates; start += team_size) {
          n_tasks = add_candidates(team, tile, tile_rays, list, first, start + rank, n_candidates, n_tasks, shared);
          if (n_tasks >= team_size) n_tasks = do_tasks(team, tile, ray, list, n_tasks, tile_rays.unsteadiness, shared);
        }
      }
      if (n_tasks > 0) do_tasks(team, tile, ray, list, n_tasks, tile_rays.unsteadiness, shared);
    }
    team.team_barrier();
    for (int pixel = rank; pixel < pixels_of_tile; pixel += team_size)
      if (shared.sums[pixel] != 0) image(tile.pixel(pixel)) += term.scale * shared.sums[pixel];
  }

  // Sorts the list by exchanging neighbours at growing distances (bitonic, for any length).
  KOKKOS_FUNCTION void sort(const Team& team, int* list, int n) const {
    team.team_barrier();
    const auto order = [&](int low, int high) {
      if (high < n && before(notes.patches(list[high]), notes.patches(list[low]))) {
        const int other = list[low];
        list[low] = list[high];
        list[high] = other;
      }
    };
    for (int width = 2; width / 2 < n; width *= 2)
      for (int step = width / 2; step > 0; step /= 2) {
        for (int i = team.team_rank(); i / step * 2 * step < n; i += team_size) {
          const int block = i / step * 2 * step, at = i % step;
          // The first pass of a width mirrors its upper half: that way missing elements count as the largest.
          order(block + at, step == width / 2 ? block + 2 * step - 1 - at : block + at + step);
        }
        team.team_barrier();
      }
  }

  // Numbers the pixels in the spans of some patches; returns how many there are.
  KOKKOS_FUNCTION int list_candidates(const Team& team, const Tile& tile, const int* list, int first, int n, Shared& shared) const {
    constexpr int rows_of_thread = rows_at_once / team_size;
    int lengths[rows_of_thread], sum = 0;
    for (int i = 0; i < rows_of_thread; ++i) {
      const int row = team.team_rank() * rows_of_thread + i, patch = first + row / tile_side, slow = tile.slow + row % tile_side;
      lengths[i] = 0;
      if (patch < n) {
        const Patch& p = notes.patches(list[patch]);
        if (slow >= p.slow_begin && slow < p.slow_end) {
          const Span here = span(p, slow, tile.fast, tile.fast + tile_side);
          lengths[i] = Kokkos::max(0, here.end - here.begin);
          shared.fast[row] = short(here.begin - tile.fast);
        }
      }
      sum += lengths[i];
    }
    int at = team.team_scan(sum);
    for (int i = 0; i < rows_of_thread; ++i) {
      shared.first_candidate[team.team_rank() * rows_of_thread + i] = at;
      at += lengths[i];
    }
    if (team.team_rank() == team_size - 1) shared.first_candidate[rows_at_once] = at;
    team.team_barrier();
    return shared.first_candidate[rows_at_once];
  }

  // Adds those of the candidates to the tasks that receive something; returns the number of tasks.
  KOKKOS_FUNCTION int add_candidates(const Team& team, const Tile& tile, const TileRays& tile_rays, const int* list, int first,
                                     int candidate, int n_candidates, int n_tasks, Shared& shared) const {
    Task task{0, 0, 0, 0};
    if (candidate < n_candidates) {
      int row = 0;                       // the last that starts at or before the candidate
      for (int step = rows_at_once / 2; step > 0; step /= 2)
        if (shared.first_candidate[row + step] <= candidate) row += step;
      const int fast = shared.fast[row] + candidate - shared.first_candidate[row], slow = row % tile_side;
      task.patch = first + row / tile_side, task.pixel = slow * tile_side + fast;
      const Patch& patch = notes.patches(list[task.patch]);
      float low, high;
      near_run(patch, tile_rays.unsteadiness)(tile_rays.direction(fast, slow), low, high);
      if (low <= high) {
        const Run run = sources_between(low, high, term.sources.directions(patch.direction), term.sources.wavenumber);
        task.begin = run.begin, task.end = run.end;
        if (!rays.active(tile.pixel(task.pixel))) task.end = task.begin;
      }
    }
    const int counts = task.begin < task.end, at = n_tasks + team.team_scan(counts);
    if (counts) shared.tasks[at] = task;
    if (team.team_rank() == team_size - 1) shared.n_tasks = at + counts;
    team.team_barrier();
    const int result = shared.n_tasks;
    team.team_barrier();
    return result;
  }

  // Does the first team_size tasks, or all; returns how many remain.
  KOKKOS_FUNCTION int do_tasks(const Team& team, const Tile& tile, int ray, const int* list, int n_tasks, float unsteadiness,
                               Shared& shared) const {
    const int rank = team.team_rank(), n = Kokkos::min(n_tasks, team_size);
    Task task{-1, 0, 0, 0};
    double value = 0;
    if (rank < n) {
      task = shared.tasks[rank];
      const Patch& patch = notes.patches(list[task.patch]);
      value = light_of_task(task, patch, tile, ray, must_check(patch, near_run(patch, unsteadiness)));
    }
    // Tasks of one patch lie in different pixels.
    const int last = shared.tasks[n - 1].patch;
    for (int patch = shared.tasks[0].patch; patch <= last; ++patch) {
      if (task.patch == patch) shared.sums[task.pixel] += value;
      team.team_barrier();
    }
    const int rest = n_tasks - n;
    if (rank < rest) task = shared.tasks[n + rank];
    team.team_barrier();
    if (rank < rest) shared.tasks[rank] = task;
    team.team_barrier();
    return rest;
  }
};

}  // namespace nanobragg
#endif
