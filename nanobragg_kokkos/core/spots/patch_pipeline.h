// The stages that lead to the lists of patches:
//   candidates  each block, direction and row of reflections finds the reflections between the Ewald spheres of the
//               shortest and the longest wavelength
//   brightest   some of them say how bright the image is at least (reach.h)
//   patches     each candidate finds, for each panel, the strip of pixels that it can light
//   lists       the panels are cut into tiles of 16 x 16 pixels; each tile lists the patches that touch it
// Threads note down what they find in whatever order; if there is not room for all of it, more is made and all done
// again.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_PATCH_PIPELINE_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_PATCH_PIPELINE_H

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <cmath>
#include <limits>

#include <nanobragg_kokkos/core/spots/patch_lists.h>

namespace nanobragg {

// Queues the stages in an execution space instance.
template <class Light>
class PatchPipeline {
 public:
  using Policy =
      Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>;
  using Search = PatchSearch<typename Light::Envelope>;

  PatchPipeline(const ExecutionSpace& space, const Scene& scene, const Light& light, double tolerance,
                const PatchLists& lists)
      : space_(space),
        light_(light),
        lists_(lists),
        search_(patch_search<typename Light::Envelope>(scene, Light::interpolated,
                                                       {lists.brightest, log_loss(scene, tolerance)})) {}

  const Search& search() const { return search_; }

  // Of every stride-th row.
  void find_candidates(int stride) const {
    const auto search = search_;
    const auto lists = lists_;
    const std::int64_t n = (search.count() + stride - 1) / stride;
    Kokkos::parallel_for(
        "nanobragg::spots::find_candidates", light_weight(Policy(space_, 0, n)), KOKKOS_LAMBDA(const std::int64_t i) {
          search.for_each_candidate(i * stride, [&](const Candidate& candidate) {
            const std::int64_t at = Kokkos::atomic_fetch_add(&lists.counters().candidates, std::int64_t(1));
            if (at < std::int64_t(lists.candidates.extent(0))) lists.candidates(at) = candidate;
          });
        });
  }

  // The brightest of some rays: of candidates chosen by what they are, because nobody knows where in the list they
  // stand.
  void find_brightest() const {
    auto search = search_;
    search.reach.log_loss = std::numeric_limits<double>::infinity();  // as far as the shape reaches
    const auto light = light_;
    const auto lists = lists_;
    Kokkos::parallel_reduce(
        "nanobragg::spots::find_brightest", light_weight(Policy(space_, 0, std::int64_t(lists.candidates.extent(0)))),
        KOKKOS_LAMBDA(const std::int64_t i, double& most) {
          most = Kokkos::max(most, 0.0);
          if (i >= lists.counters().candidates) return;
          const Candidate& candidate = lists.candidates(i);
          if ((candidate.row + candidate.l) % 8 != 0) return;
          search.for_each_patch(
              candidate, [&](const Patch& patch) { most = Kokkos::max(most, light.light_in_the_middle(patch)); });
        },
        Kokkos::Max<double, DeviceSpace>(lists_.brightest));
  }

  void find_patches() const {
    const auto search = search_;
    const auto lists = lists_;
    const std::int64_t room = std::int64_t(lists.candidates.extent(0));
    Kokkos::parallel_for(
        "nanobragg::spots::find_patches", light_weight(Policy(space_, 0, room)), KOKKOS_LAMBDA(const std::int64_t i) {
          if (i >= lists.counters().candidates) return;
          search.for_each_patch(lists.candidates(i), [&](const Patch& patch) {
            const std::int64_t at = Kokkos::atomic_fetch_add(&lists.counters().patches, std::int64_t(1));
            if (at < std::int64_t(lists.patches.extent(0))) lists.patches(at) = patch;
            for_each_tile(patch, search.pixels.panels(patch.panel),
                          [&](int tile) { Kokkos::atomic_inc(&lists.ends(tile)); });
          });
        });
  }

  void list_patches() const {
    const auto lists = lists_;
    const auto pixels = search_.pixels;
    const int room = int(lists.patches.extent(0));
    // From the numbers of patches to the places where the lists start; filling a list moves that on to where it ends.
    Kokkos::parallel_scan(
        "nanobragg::spots::lists", light_weight(Kokkos::RangePolicy<ExecutionSpace>(space_, 0, pixels.n_tiles)),
        KOKKOS_LAMBDA(const int tile, std::int64_t& sum, const bool final) {
          const int here = lists.ends(tile);
          if (final) lists.ends(tile) = int(sum);
          if (final && here > 0) lists.lit_tiles(Kokkos::atomic_fetch_add(&lists.counters().lit_tiles, 1)) = tile;
          sum += here;
          if (final && tile + 1 == pixels.n_tiles) lists.counters().entries = sum;
        });
    if (!host_is_device)
      Kokkos::parallel_scan(
          "nanobragg::spots::places_of_pixels", light_weight(Kokkos::RangePolicy<ExecutionSpace>(space_, 0, room)),
          KOKKOS_LAMBDA(const int i, std::int64_t& sum, const bool final) {
            if (i < lists.counters().patches) {
              if (final) lists.patches(i).first_patch_pixel = sum;
              sum += lists.patches(i).size();
            }
            if (final && i + 1 == room) lists.counters().pixels = sum;
          });
    Kokkos::parallel_for(
        "nanobragg::spots::fill_lists", light_weight(Kokkos::RangePolicy<ExecutionSpace>(space_, 0, room)),
        KOKKOS_LAMBDA(const int i) {
          if (i >= lists.counters().patches || !lists.complete()) return;
          for_each_tile(lists.patches(i), pixels.panels(lists.patches(i).panel),
                        [&](int tile) { lists.list(Kokkos::atomic_fetch_add(&lists.ends(tile), 1)) = i; });
        });
  }

 private:
  static double log_loss(const Scene& scene, double tolerance) {
    double volume = 1;
    for (double n : scene.crystal.cells()) volume *= n;
    return std::log(double(scene.crystal.n_blocks()) * volume * volume *
                    scene.detector.on_device().table.largest_weight / tolerance);
  }

  ExecutionSpace space_;
  Light light_;
  PatchLists lists_;
  Search search_;
};

// Finds the lists for what Light asks for, and makes the first pass over them.  The pass is queued before the host
// knows whether there was room for all patches, so that the device need not wait for the host; it does nothing if there
// was not.
template <class Light, class Pass>
void find_patch_lists(const ExecutionSpace& space, const Scene& scene, const Light& light, double tolerance,
                      PatchLists& lists, Pass& first_pass) {
  const Kokkos::Profiling::ScopedRegion region("nanobragg::spots::find_patch_lists");
  bool again;
  do {
    lists.clear(space, scene.detector.on_device().table.n_tiles);
    const PatchPipeline<Light> pipeline(space, scene, light, tolerance, lists);
    pipeline.find_candidates(1);
    pipeline.find_brightest();
    pipeline.find_patches();
    pipeline.list_patches();
    first_pass.queue(space, lists);
    again = lists.make_room(space);
    again = first_pass.make_room(space, lists.found) || again;
  } while (again);
}

}  // namespace nanobragg
#endif
