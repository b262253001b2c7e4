// The engine in three stages:
//   patches  each block, direction and row of reflections finds the reflections between the Ewald spheres of the
//   shortest
//            and the longest wavelength, and each of these, for each panel, the strip of pixels that it can light
//   lists    the panels are cut into tiles of 16 x 16 pixels; each tile lists the patches that touch it
//   gather   each pixel of a tile sums over the list, in an order that does not depend on the number of threads
// Threads note down what they find in whatever order; if there is not room for all of it, more is made and all done
// again.
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/runtime/value_on_host.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>
#include <nanobragg_kokkos/core/spots/gather_cpu.h>
#include <nanobragg_kokkos/core/spots/gather_gpu.h>
#include <nanobragg_kokkos/core/spots/spots.h>

namespace nanobragg {
namespace {

constexpr double exact = 3e-13;  // of the brightest pixel, left out where no tolerance is asked for

using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>;

// Notes of a detector, for one image at a time.
class BorrowedNotes {
 public:
  explicit BorrowedNotes(const Detector& detector) : detector_(detector), notes_(detector.on_device().take_notes()) {
    if (notes_) return;
    notes_ = std::make_shared<SpotNotes>();
    const int n_tiles = detector.on_device().table.n_tiles;
    notes_->ends = Array<int>("nanobragg::spots::ends", n_tiles);
    notes_->lit_tiles = Array<int>("nanobragg::spots::lit_tiles", n_tiles);
    notes_->counters = decltype(notes_->counters)("nanobragg::spots::counters");
    notes_->brightest = decltype(notes_->brightest)("nanobragg::spots::brightest");
    std::vector<double> powers;
    for (int i = 0; i < powers_in_table; ++i) powers.push_back(std::exp2(double(i) / powers_in_table));
    notes_->powers = to_device("nanobragg::spots::powers", powers);
    make_room({1 << 14, 1 << 14, 1 << 16, 1 << 20, 0, 0});
  }
  ~BorrowedNotes() { detector_.on_device().hand_back(notes_); }
  BorrowedNotes(const BorrowedNotes&) = delete;
  BorrowedNotes& operator=(const BorrowedNotes&) = delete;

  const SpotNotes& notes() const { return *notes_; }

  // Nothing noted yet.
  const SpotNotes& fresh() const {
    const ExecutionSpace space;
    Kokkos::deep_copy(space, notes_->ends, 0);
    Kokkos::deep_copy(space, notes_->counters, SpotNotes::Counters{});
    return *notes_;
  }

  // Returns false if there was room for what has been found; else makes it.
  bool grown(const SpotNotes::Counters& found) {
    const std::int64_t most = std::max({found.candidates, found.patches, found.entries, found.pixels});
    if (most > std::numeric_limits<int>::max())
      throw std::invalid_argument("the reflection-driven engine finds " + std::to_string(most) +
                                  " patches of pixels, too many: the pixel-driven engine suits this experiment");
    if (notes_->has_room(found)) return false;
    make_room(found);
    return true;
  }

 private:
  // And somewhat more than is asked for.
  void make_room(const SpotNotes::Counters& counts) {
    const auto room = [](auto& array, const std::string& name, std::int64_t n) {
      if (n <= std::int64_t(array.extent(0))) return;
      using Kind = std::decay_t<decltype(array)>;
      array = Kind();  // before the new one is there: both need not fit
      array = Kind(Kokkos::view_alloc(name, Kokkos::WithoutInitializing), n + n / 8);
    };
    room(notes_->candidates, "nanobragg::spots::candidates", counts.candidates);
    room(notes_->patches, "nanobragg::spots::patches", counts.patches);
    room(notes_->list, "nanobragg::spots::list", counts.entries);
    if (!host_is_device) room(notes_->patch_pixels, "nanobragg::spots::light", counts.pixels);
  }

  const Detector& detector_;
  std::shared_ptr<SpotNotes> notes_;
};

template <Shape shape, Interpolation interpolation>
class PatchPipeline {
 public:
  PatchPipeline(const Scene& scene, double tolerance, const SpotNotes& notes, const Array<double>& image)
      : image_(image),
        light_(scene, notes.powers),
        notes_(notes),
        search_(patch_search<shape>(scene, interpolation == Interpolation::tricubic,
                                    {notes.brightest, log_loss(scene, tolerance)})) {}

  std::int64_t n_rows() const { return search_.count(); }

  // Of every stride-th row.
  void find_candidates(int stride) const {
    const auto search = search_;
    const auto notes = notes_;
    const std::int64_t n = (search.count() + stride - 1) / stride;
    Kokkos::parallel_for(
        "nanobragg::spots::find_candidates", at_once(Policy(0, n)), KOKKOS_LAMBDA(const std::int64_t i) {
          search.for_each_candidate(i * stride, [&](const Candidate& candidate) {
            const std::int64_t at = Kokkos::atomic_fetch_add(&notes.counters().candidates, std::int64_t(1));
            if (at < std::int64_t(notes.candidates.extent(0))) notes.candidates(at) = candidate;
          });
        });
  }

  // The brightest of some rays: of candidates chosen by what they are, because nobody knows where in the list they
  // stand.
  void find_brightest() const {
    const auto search = with_full_reach();
    const auto light = light_;
    const auto notes = notes_;
    Kokkos::parallel_reduce(
        "nanobragg::spots::find_brightest", at_once(Policy(0, std::int64_t(notes.candidates.extent(0)))),
        KOKKOS_LAMBDA(const std::int64_t i, double& most) {
          most = Kokkos::max(most, 0.0);
          if (i >= notes.counters().candidates) return;
          const Candidate& candidate = notes.candidates(i);
          if ((candidate.row + candidate.l) % 8 != 0) return;
          search.for_each_patch(
              candidate, [&](const Patch& patch) { most = Kokkos::max(most, light.light_in_the_middle(patch)); });
        },
        Kokkos::Max<double, DeviceSpace>(notes_.brightest));
  }

  void find_patches() const {
    const auto search = search_;
    const auto notes = notes_;
    const std::int64_t room = std::int64_t(notes.candidates.extent(0));
    Kokkos::parallel_for(
        "nanobragg::spots::find_patches", at_once(Policy(0, room)), KOKKOS_LAMBDA(const std::int64_t i) {
          if (i >= notes.counters().candidates) return;
          search.for_each_patch(notes.candidates(i), [&](const Patch& patch) {
            const std::int64_t at = Kokkos::atomic_fetch_add(&notes.counters().patches, std::int64_t(1));
            if (at < std::int64_t(notes.patches.extent(0))) notes.patches(at) = patch;
            for_each_tile(patch, search.pixels.panels(patch.panel),
                          [&](int tile) { Kokkos::atomic_inc(&notes.ends(tile)); });
          });
        });
  }

  void list_patches() const {
    const auto notes = notes_;
    const auto pixels = light_.rays;
    const int room = int(notes.patches.extent(0));
    // From the numbers of patches to the places where the lists start; filling a list moves that on to where it ends.
    Kokkos::parallel_scan(
        "nanobragg::spots::lists", at_once(Kokkos::RangePolicy<ExecutionSpace>(0, pixels.n_tiles)),
        KOKKOS_LAMBDA(const int tile, std::int64_t& sum, const bool final) {
          const int here = notes.ends(tile);
          if (final) notes.ends(tile) = int(sum);
          if (final && here > 0) notes.lit_tiles(Kokkos::atomic_fetch_add(&notes.counters().lit_tiles, 1)) = tile;
          sum += here;
          if (final && tile + 1 == pixels.n_tiles) notes.counters().entries = sum;
        });
    if (!host_is_device)
      Kokkos::parallel_scan(
          "nanobragg::spots::places_of_light", at_once(Kokkos::RangePolicy<ExecutionSpace>(0, room)),
          KOKKOS_LAMBDA(const int i, std::int64_t& sum, const bool final) {
            if (i < notes.counters().patches) {
              if (final) notes.patches(i).first_patch_pixel = sum;
              sum += notes.patches(i).size();
            }
            if (final && i + 1 == room) notes.counters().pixels = sum;
          });
    Kokkos::parallel_for(
        "nanobragg::spots::fill_lists", at_once(Kokkos::RangePolicy<ExecutionSpace>(0, room)),
        KOKKOS_LAMBDA(const int i) {
          if (i >= notes.counters().patches || !notes.complete()) return;
          for_each_tile(notes.patches(i), pixels.panels(notes.patches(i).panel),
                        [&](int tile) { notes.list(Kokkos::atomic_fetch_add(&notes.ends(tile), 1)) = i; });
        });
  }

  void gather() const {
    if constexpr (host_is_device) {
      const GatherCpu<shape, interpolation> gather{image_, light_, notes_};
      if (notes_.complete())
        Kokkos::parallel_for(
            "nanobragg::spots::gather",
            Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>>(0, notes_.counters().lit_tiles),
            gather);
    } else {
      GatherGpu<shape, interpolation>{image_, light_, notes_}.run();
    }
  }

  // Of the patches of every stride-th row; see reflection_driven_work.
  double work(const Scene& scene, int stride) const {
    // Measured with one core of a recent x86 processor.
    constexpr double a_row = 30e-9, a_patch = 350e-9, a_ray = 23e-9;
    constexpr double a_wavelength = interpolation == Interpolation::tricubic ? 6e-9 : 0.1e-9;
    const auto search = search_;
    const auto notes = notes_;
    double patches = 0, pixels = 0;
    Kokkos::parallel_reduce(
        "nanobragg::spots::sample_patches", at_once(Policy(0, std::int64_t(notes.candidates.extent(0)))),
        KOKKOS_LAMBDA(const std::int64_t i, double& patches_here, double& pixels_here) {
          if (i >= notes.counters().candidates) return;
          search.for_each_patch(notes.candidates(i), [&](const Patch& p) {
            const double fast = p.fast.end - p.fast.begin, slow = p.slow.end - p.slow.begin;
            patches_here += 1;
            pixels_here += Kokkos::min(fast * slow, 2.0 * p.half_width * (fast + slow));
          });
        },
        patches, pixels);
    double rays = 1;  // of a pixel
    for (const Panel& panel : scene.detector.panels())
      rays = std::max(rays, double(scene.detector.sampling().rays_of_pixel(panel)));
    const double wavelengths = double(scene.sources.size()) / double(scene.sources.n_directions());
    // Where nearly everything is lit, the patches would need more memory than the image.
    const double bytes = stride * (patches * sizeof(Patch) + (host_is_device ? 0 : pixels * sizeof(double)));
    if (bytes > (host_is_device ? 8.0 : 32.0) * double(scene.detector.n_pixels()) + 64e6)
      return std::numeric_limits<double>::infinity();
    return double(search.count()) * a_row +
           stride * (patches * a_patch + pixels * rays * (a_ray + a_wavelength * wavelengths));
  }

 private:
  static double log_loss(const Scene& scene, double tolerance) {
    double volume = 1;
    for (double n : scene.crystal.cells()) volume *= n;
    return std::log(double(scene.crystal.n_blocks()) * volume * volume *
                    scene.detector.on_device().table.largest_weight / tolerance);
  }

  PatchSearch<shape> with_full_reach() const {
    PatchSearch<shape> search = search_;
    search.reach.log_loss = std::numeric_limits<double>::infinity();
    return search;
  }

  Array<double> image_;
  PatchLight<shape, interpolation> light_;
  SpotNotes notes_;
  PatchSearch<shape> search_;
};

template <Shape shape, Interpolation interpolation>
void run(Image& image, const Scene& scene, double tolerance) {
  BorrowedNotes borrowed(scene.detector);
  SpotNotes::Counters found;
  do {
    const SpotNotes& notes = borrowed.fresh();
    const PatchPipeline<shape, interpolation> engine(scene, tolerance, notes, image.on_device().pixels);
    engine.find_candidates(1);
    engine.find_brightest();
    engine.find_patches();
    engine.list_patches();
    engine.gather();
    found = value_on_host(ExecutionSpace(), notes.counters);
  } while (borrowed.grown(found));
}

// Which tolerance the engine works with; see add_spots_reflection_driven.
double checked(std::optional<double> tolerance, Shape shape) {
  if (tolerance && !(*tolerance >= 1e-15 && *tolerance <= 0.1))
    throw std::invalid_argument("the tolerance of the spots must lie between 1e-15 and 0.1");
  if (!tolerance && (shape == Shape::square || shape == Shape::round))
    throw std::invalid_argument(
        "the reflection-driven engine needs a shape that ends (gauss, gauss_argchk or tophat), or a tolerance");
  return tolerance.value_or(exact);
}

}  // namespace

void add_spots_reflection_driven(Workspace& workspace, Image& image, const Scene& scene, Interpolation interpolation,
                                 std::optional<double> tolerance) {
  const Calculation calculation(workspace, "nanobragg::spots::add_reflection_driven");
  check_spots(image, scene);
  const double allowed = checked(tolerance, scene.crystal.shape());
  with_shape(scene.crystal.shape(), interpolation,
             [&](auto shape, auto how) { run<shape(), how()>(image, scene, allowed); });
}

double reflection_driven_work(Workspace& workspace, const Scene& scene, Interpolation interpolation,
                              std::optional<double> tolerance) {
  const Calculation calculation(workspace, "nanobragg::spots::reflection_driven_work");
  if (!tolerance && (scene.crystal.shape() == Shape::square || scene.crystal.shape() == Shape::round))
    return std::numeric_limits<double>::infinity();
  const double allowed = checked(tolerance, scene.crystal.shape());
  double result = 0;
  with_shape(scene.crystal.shape(), interpolation, [&](auto shape, auto how) {
    BorrowedNotes borrowed(scene.detector);
    SpotNotes::Counters found;
    do {
      const PatchPipeline<shape(), how()> engine(scene, allowed, borrowed.fresh(), {});
      // Rows are chosen such that neither h nor k are always even.
      const int stride = int(std::clamp<std::int64_t>(engine.n_rows() / 16384, 1, 1000)) | 1;
      engine.find_candidates(stride);
      engine.find_brightest();
      result = engine.work(scene, stride);
      found = value_on_host(ExecutionSpace(), borrowed.notes().counters);
    } while (borrowed.grown(found));
  });
  return result;
}

}  // namespace nanobragg
