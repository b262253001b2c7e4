// The engine in three stages:
//   patches  each block, direction and row of reflections finds the reflections between the Ewald spheres of the shortest
//            and the longest wavelength, and for each of them and each panel the strip of pixels that it can light
//   lists    the panels are cut into tiles of 16 x 16 pixels; each tile lists the patches that touch it
//   gather   each pixel of a tile sums over the list, in an order that does not depend on the number of threads
#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

#include "arithmetic.h"
#include "gather.h"
#include "image_on_device.h"
#include "spots.h"

namespace nanobragg {
namespace {

constexpr bool host_is_device = std::is_same<DeviceSpace, Kokkos::HostSpace>::value;
constexpr double exact = 1e-13;      // of the brightest pixel, left out where no tolerance is asked for

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
    make_room(1 << 14, 1 << 16);
  }
  ~BorrowedNotes() { detector_.on_device().hand_back(notes_); }
  BorrowedNotes(const BorrowedNotes&) = delete;
  BorrowedNotes& operator=(const BorrowedNotes&) = delete;

  SpotNotes& operator*() { return *notes_; }

  // Returns false if there was room for what has been found; else makes it.
  bool grown(const SpotNotes::Counters& found) {
    const std::int64_t most = std::max(found.patches, found.entries);
    if (most > std::numeric_limits<int>::max())
      throw std::invalid_argument("the reflection-driven engine finds " + std::to_string(most) +
                                  " patches of pixels, too many: the pixel-driven engine suits this experiment");
    if (found.patches <= std::int64_t(notes_->patches.extent(0)) && found.entries <= std::int64_t(notes_->list.extent(0)))
      return false;
    make_room(found.patches + found.patches / 8, found.entries + found.entries / 8);
    return true;
  }

 private:
  void make_room(std::int64_t patches, std::int64_t entries) {
    const auto room = [](auto& array, const std::string& name, std::int64_t n) {
      if (n <= std::int64_t(array.extent(0))) return;
      using Kind = std::decay_t<decltype(array)>;
      array = Kind();                                // before the new one is there: both need not fit
      array = Kind(Kokkos::view_alloc(name, Kokkos::WithoutInitializing), n);
    };
    room(notes_->patches, "nanobragg::spots::patches", patches);
    room(notes_->list, "nanobragg::spots::list", entries);
  }

  const Detector& detector_;
  std::shared_ptr<SpotNotes> notes_;
};

template <Shape shape, Interpolation interpolation>
class Engine {
 public:
  Engine(const Detector& detector, const Sources& sources, const Crystal& crystal, const StructureFactors& structure_factors,
         double tolerance, const SpotNotes& notes, const Array<double>& image)
      : gather_{image, detector.on_device().table, {sources, crystal, structure_factors}, float(sources.largest_wavenumber()), notes},
        search_(patch_search<shape>(detector, sources, crystal, structure_factors, interpolation == Interpolation::tricubic,
                                    {notes.brightest, log_loss(detector, crystal, tolerance)})) {}

  // The brightest of some rays, in blocks evenly chosen from all.
  void find_brightest() const {
    const auto search = with_full_reach();
    const auto gather = gather_;
    const Sample sample(search);
    Kokkos::parallel_reduce("nanobragg::spots::find_brightest", Policy(0, sample.size()),
                            KOKKOS_LAMBDA(const std::int64_t i, double& most) {
                              most = Kokkos::max(most, 0.0);
                              search.for_each_patch(sample.row(i), [&](const Patch& patch) {
                                most = Kokkos::max(most, gather.light_in_the_middle(patch));
                              });
                            },
                            Kokkos::Max<double, DeviceSpace>(gather_.notes.brightest));
  }

  void find_patches() const {
    const auto search = search_;
    const auto notes = gather_.notes;
    Kokkos::parallel_for("nanobragg::spots::find_patches", Policy(0, search.count()), KOKKOS_LAMBDA(const std::int64_t row) {
      search.for_each_patch(row, [&](const Patch& patch) {
        const std::int64_t at = Kokkos::atomic_fetch_add(&notes.counters().patches, std::int64_t(1));
        if (at < std::int64_t(notes.patches.extent(0))) notes.patches(at) = patch;
        int tiles = 0;
        for_each_tile(patch, search.pixels.panels(patch.panel), [&](int tile) {
          Kokkos::atomic_inc(&notes.ends(tile));
          ++tiles;
        });
        Kokkos::atomic_add(&notes.counters().entries, std::int64_t(tiles));
      });
    });
  }

  void list_patches() const {
    const auto notes = gather_.notes;
    const auto pixels = gather_.rays;
    // From the numbers of patches to the places where the lists start; filling a list moves that on to where it ends.
    Kokkos::parallel_scan("nanobragg::spots::lists", Kokkos::RangePolicy<ExecutionSpace>(0, pixels.n_tiles),
                          KOKKOS_LAMBDA(const int tile, int& sum, const bool final) {
                            const int here = notes.ends(tile);
                            if (final) {
                              notes.ends(tile) = sum;
                              if (here > 0) notes.lit_tiles(Kokkos::atomic_fetch_add(&notes.counters().lit_tiles, 1)) = tile;
                            }
                            sum += here;
                          });
    Kokkos::parallel_for("nanobragg::spots::fill_lists", Kokkos::RangePolicy<ExecutionSpace>(0, int(notes.patches.extent(0))),
                         KOKKOS_LAMBDA(const int i) {
                           if (i >= notes.counters().patches || !notes.complete()) return;
                           for_each_tile(notes.patches(i), pixels.panels(notes.patches(i).panel),
                                         [&](int tile) { notes.list(Kokkos::atomic_fetch_add(&notes.ends(tile), 1)) = i; });
                         });
  }

  void gather() const {
    using Kernel = Gather<shape, interpolation>;
    if constexpr (host_is_device) {
      if (gather_.notes.complete())
        Kokkos::parallel_for("nanobragg::spots::gather",
                             Kokkos::RangePolicy<ExecutionSpace, typename Kernel::ByTile, Kokkos::Schedule<Kokkos::Dynamic>>(
                                 0, gather_.notes.counters().lit_tiles), gather_);
    } else {
      const int n_teams = std::min(gather_.rays.n_tiles, 2 * ExecutionSpace().concurrency() / Kernel::team_size);
      Kokkos::parallel_for("nanobragg::spots::gather",
                           Kokkos::TeamPolicy<ExecutionSpace, typename Kernel::ByTeam>(n_teams, Kernel::team_size)
                               .set_scratch_size(0, Kokkos::PerTeam(Kernel::shared_bytes())), gather_);
    }
  }

  // See reflection_driven_work.
  double work(const Detector& detector, const Sources& sources) const {
    // Measured with one core of a recent x86 processor.
    constexpr double a_row = 20e-9, a_patch = 300e-9, a_ray = 10e-9, a_wavelength = 0.3e-9;
    const auto search = search_;
    const Sample sample(search);
    double patches = 0, pixels = 0;
    Kokkos::parallel_reduce("nanobragg::spots::sample_patches", Policy(0, sample.size()),
                            KOKKOS_LAMBDA(const std::int64_t i, double& patches_here, double& pixels_here) {
                              search.for_each_patch(sample.row(i), [&](const Patch& p) {
                                const double fast = p.fast_end - p.fast_begin, slow = p.slow_end - p.slow_begin;
                                patches_here += 1;
                                pixels_here += Kokkos::min(fast * slow, 2.0 * p.half_width * (fast + slow));
                              });
                            },
                            patches, pixels);
    const double all = double(search.count()), share = all / double(sample.size());
    double rays = double(detector.sampling().oversample) * detector.sampling().oversample;
    for (const Panel& panel : detector.panels())
      if (panel.sensor_thickness > 0) {
        rays *= detector.sampling().sensor_layers;
        break;
      }
    const double wavelengths = double(sources.size()) / double(sources.n_directions());
    // Where nearly everything is lit, the patches would need more memory than the image.
    if (patches * share * sizeof(Patch) > 8.0 * double(detector.n_pixels()) + 64e6) return std::numeric_limits<double>::infinity();
    return all * a_row + share * (patches * a_patch + pixels * rays * (a_ray + a_wavelength * wavelengths));
  }

 private:
  // The rows of one or two blocks.
  struct Sample {
    std::int64_t rows_of_block, blocks, taken;
    explicit Sample(const PatchSearch<shape>& search)
        : rows_of_block(search.rows_of_block()), blocks(std::int64_t(search.blocks.extent(0))), taken(std::min<std::int64_t>(blocks, 2)) {}
    std::int64_t size() const { return taken * rows_of_block; }
    KOKKOS_INLINE_FUNCTION std::int64_t row(std::int64_t i) const {
      return i / rows_of_block * blocks / taken * rows_of_block + i % rows_of_block;
    }
  };

  static double log_loss(const Detector& detector, const Crystal& crystal, double tolerance) {
    double volume = 1;
    for (int n : crystal.cells()) volume *= n;
    return std::log(double(crystal.n_blocks()) * volume * volume * detector.on_device().table.largest_weight / tolerance);
  }

  PatchSearch<shape> with_full_reach() const {
    PatchSearch<shape> search = search_;
    search.reach.log_loss = std::numeric_limits<double>::infinity();
    return search;
  }

  Gather<shape, interpolation> gather_;
  PatchSearch<shape> search_;
};

template <Shape shape, Interpolation interpolation>
void run(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
         const StructureFactors& structure_factors, double tolerance) {
  BorrowedNotes borrowed(detector);
  SpotNotes::Counters found;
  do {
    const SpotNotes& notes = *borrowed;
    const Engine<shape, interpolation> engine(detector, sources, crystal, structure_factors, tolerance, notes, image.on_device().pixels);
    const ExecutionSpace space;
    Kokkos::deep_copy(space, notes.ends, 0);
    Kokkos::deep_copy(space, notes.counters, SpotNotes::Counters{0, 0, 0, 0});
    engine.find_brightest();
    engine.find_patches();
    engine.list_patches();
    engine.gather();
    Kokkos::deep_copy(found, notes.counters);
  } while (borrowed.grown(found));
}

// Which tolerance the engine works with; see add_spots_reflection_driven.
double checked(std::optional<double> tolerance, Shape shape) {
  if (tolerance && !(*tolerance >= 1e-15 && *tolerance <= 0.1))
    throw std::invalid_argument("the tolerance of the spots must lie between 1e-15 and 0.1");
  if (!tolerance && (shape == Shape::square || shape == Shape::round))
    throw std::invalid_argument("the reflection-driven engine needs a shape that ends (gauss, gauss_argchk or tophat), or a tolerance");
  return tolerance.value_or(exact);
}

}  // namespace

void add_spots_reflection_driven(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
                                 const StructureFactors& structure_factors, Interpolation interpolation,
                                 std::optional<double> tolerance) {
  start();
  const StandardArithmetic standard;
  check_spots(image, detector, sources, structure_factors);
  const double allowed = checked(tolerance, crystal.shape());
  with_shape(crystal.shape(), interpolation, [&](auto shape, auto how) {
    run<shape(), how()>(image, detector, sources, crystal, structure_factors, allowed);
  });
}

double reflection_driven_work(const Detector& detector, const Sources& sources, const Crystal& crystal,
                              const StructureFactors& structure_factors, Interpolation interpolation,
                              std::optional<double> tolerance) {
  start();
  const StandardArithmetic standard;
  if (!tolerance && (crystal.shape() == Shape::square || crystal.shape() == Shape::round))
    return std::numeric_limits<double>::infinity();
  const double allowed = checked(tolerance, crystal.shape());
  double result = 0;
  with_shape(crystal.shape(), interpolation, [&](auto shape, auto how) {
    BorrowedNotes notes(detector);
    const Engine<shape(), how()> engine(detector, sources, crystal, structure_factors, allowed, *notes, {});
    engine.find_brightest();
    result = engine.work(detector, sources);
  });
  return result;
}

}  // namespace nanobragg
