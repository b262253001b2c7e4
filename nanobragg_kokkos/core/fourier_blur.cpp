#include "fourier_blur.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace nanobragg {
namespace {

using Policy = Kokkos::TeamPolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>>;
using Team = Policy::member_type;
using Array = Kokkos::View<double*, DeviceSpace>;

constexpr int most_threads = 256;
constexpr int least_length = 16;                                // a bundle's lanes on a CPU
constexpr std::size_t most_work = host_is_device ? std::size_t(1) << 25 : std::size_t(1) << 28;   // bytes, unless one pair of tiles takes more

// Measured.
constexpr double seconds_per_point = 1e-9, seconds_per_halving = 0.3e-9;

// Between the passes along rows and along columns: bundles of columns as FourierBundle has them, but without gaps.
struct Work {
  Array numbers;
  int rows, columns, lanes;
  KOKKOS_FORCEINLINE_FUNCTION double* bundle(int pair, int bundle) const {
    return &numbers(2 * (std::int64_t(pair) * columns + std::int64_t(bundle) * lanes) * rows);
  }
  KOKKOS_FORCEINLINE_FUNCTION double* point(int pair, int row, int column) const {
    return bundle(pair, column / lanes) + std::int64_t(row) * 2 * lanes + column % lanes;
  }
};

// One of the two tiles of a pair.
struct PairedTile {
  bool exists;
  int panel;
  TiledSide::Range fast_pixels, slow_pixels, fast_results, slow_results;
  std::int64_t first;                  // where a pixel at the tile's first point would be in the image
};

struct Pairs {
  AlikePanels panels;
  TiledSide fast, slow;
  int first_pair;                      // of those at work

  KOKKOS_INLINE_FUNCTION PairedTile tile(int pair, int which) const {
    const int of_panel = fast.tiles * slow.tiles, number = 2 * (first_pair + pair) + which;
    if (number >= of_panel * panels.size()) return {false, 0, {0, 0}, {0, 0}, {0, 0}, {0, 0}, 0};
    const int panel = number / of_panel, i = number % of_panel % fast.tiles, j = number % of_panel / fast.tiles;
    return {true, panel, fast.pixels(i), slow.pixels(j), fast.results(i), slow.results(j),
            panels.first_pixel(panel) + std::int64_t(slow.first_pixel(j)) * panels.n_fast + fast.first_pixel(i)};
  }
  // The rows that either tile has.
  KOKKOS_INLINE_FUNCTION static TiledSide::Range both(bool two, TiledSide::Range a, TiledSide::Range b) {
    return two ? TiledSide::Range{Kokkos::min(a.begin, b.begin), Kokkos::max(a.end, b.end)} : a;
  }
  KOKKOS_INLINE_FUNCTION TiledSide::Range rows_with_pixels(int pair) const {
    const PairedTile a = tile(pair, 0), b = tile(pair, 1);
    return both(b.exists, a.slow_pixels, b.slow_pixels);
  }
  KOKKOS_INLINE_FUNCTION TiledSide::Range rows_with_results(int pair) const {
    const PairedTile a = tile(pair, 0), b = tile(pair, 1);
    return both(b.exists, a.slow_results, b.slow_results);
  }
};

KOKKOS_FORCEINLINE_FUNCTION bool within(int i, TiledSide::Range range) { return i >= range.begin && i < range.end; }

struct TransformRows {
  Pairs pairs;
  FourierBundle bundle;
  Work work;
  Kokkos::View<const double*, DeviceSpace> photons;

  KOKKOS_FUNCTION void operator()(const Team& team) const {
    const int lanes = bundle.lanes(), of_pair = work.rows / lanes;
    const int pair = team.league_rank() / of_pair, first_row = team.league_rank() % of_pair * lanes;
    const TiledSide::Range rows = pairs.rows_with_pixels(pair);
    if (first_row >= rows.end || first_row + lanes <= rows.begin) return;
    auto* const line = static_cast<double*>(team.team_scratch(bundle.scratch_level()).get_shmem_aligned(bundle.bytes(), 64));
    for (int which = 0; which < 2; ++which) {
      const PairedTile tile = pairs.tile(pair, which);
      bundle.for_each_point(team, [&](int point, int lane) {
        const int row = first_row + lane;
        double* const to = line + bundle.at(point) + which * lanes + lane;
        *to = tile.exists && within(row, tile.slow_pixels) && within(point, tile.fast_pixels)
                  ? photons(tile.first + std::int64_t(row) * pairs.panels.n_fast + point) : 0.0;
      });
    }
    team.team_barrier();
    bundle.forward(team, line);
    bundle.for_each_point(team, [&](int point, int lane) {
      const double* const from = line + bundle.at(point) + lane;
      double* const to = work.point(pair, first_row + lane, point);
      to[0] = from[0], to[work.lanes] = from[lanes];
    });
  }
};

// Multiplies the transform with the kernel's, or, where that is not known yet, stores it as such.
template <bool of_kernel>
struct FilterColumns {
  Pairs pairs;
  FourierBundle bundle;
  int row_lanes;
  Work work;
  Array spectrum;
  double scale;

  KOKKOS_FUNCTION void operator()(const Team& team) const {
    const int lanes = bundle.lanes(), of_pair = work.columns / lanes;
    const int pair = team.league_rank() / of_pair, number = team.league_rank() % of_pair;
    const TiledSide::Range pixels = pairs.rows_with_pixels(pair), results = pairs.rows_with_results(pair);
    // Whole bundles of rows have been written.
    const int begin = pixels.begin / row_lanes * row_lanes, end = (pixels.end + row_lanes - 1) / row_lanes * row_lanes;
    auto* const line = static_cast<double*>(team.team_scratch(bundle.scratch_level()).get_shmem_aligned(bundle.bytes(), 64));
    double* const numbers = work.bundle(pair, number);
    double* const kernel = &spectrum(std::int64_t(number) * lanes * work.rows);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, bundle.length), [&](int row) {
      const double* const from = numbers + std::int64_t(row) * 2 * lanes;
      double* const to = line + bundle.at(row);
      if (row >= begin && row < end)
        bundle.for_each_lane(team, [&](int lane) { to[lane] = from[lane], to[lanes + lane] = from[lanes + lane]; });
      else
        bundle.for_each_lane(team, [&](int lane) { to[lane] = to[lanes + lane] = 0; });
    });
    team.team_barrier();
    bundle.forward(team, line);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, bundle.length), [&](int row) {
      double* const here = line + bundle.at(row);
      double* const factor = kernel + std::int64_t(row) * lanes;
      bundle.for_each_lane(team, [&](int lane) {
        if (of_kernel) factor[lane] = scale * here[lane];
        else here[lane] *= factor[lane], here[lanes + lane] *= factor[lane];
      });
    });
    if (of_kernel) return;
    team.team_barrier();
    bundle.backward(team, line);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, results.begin, results.end), [&](int row) {
      const double* const from = line + bundle.at(row);
      double* const to = numbers + std::int64_t(row) * 2 * lanes;
      bundle.for_each_lane(team, [&](int lane) { to[lane] = from[lane], to[lanes + lane] = from[lanes + lane]; });
    });
  }
};

struct RestoreRows {
  Pairs pairs;
  FourierBundle bundle;
  Work work;
  double added_to_pixel;
  Kokkos::View<const PanelTotal*, DeviceSpace> totals;
  Array blurred;

  KOKKOS_FUNCTION void operator()(const Team& team) const {
    const int lanes = bundle.lanes(), of_pair = work.rows / lanes;
    const int pair = team.league_rank() / of_pair, first_row = team.league_rank() % of_pair * lanes;
    const TiledSide::Range rows = pairs.rows_with_results(pair);
    if (first_row >= rows.end || first_row + lanes <= rows.begin) return;
    auto* const line = static_cast<double*>(team.team_scratch(bundle.scratch_level()).get_shmem_aligned(bundle.bytes(), 64));
    bundle.for_each_point(team, [&](int point, int lane) {
      const double* const from = work.point(pair, first_row + lane, point);
      double* const to = line + bundle.at(point) + lane;
      to[0] = from[0], to[lanes] = from[work.lanes];
    });
    team.team_barrier();
    bundle.backward(team, line);
    for (int which = 0; which < 2; ++which) {
      const PairedTile tile = pairs.tile(pair, which);
      if (!tile.exists) break;
      const double added = added_to_pixel * totals(tile.panel).photons, darkest = Kokkos::min(0.0, totals(tile.panel).darkest);
      bundle.for_each_point(team, [&](int point, int lane) {
        const int row = first_row + lane;
        if (!within(row, tile.slow_results) || !within(point, tile.fast_results)) return;
        const double value = line[bundle.at(point) + which * lanes + lane];
        blurred(tile.first + std::int64_t(row) * pairs.panels.n_fast + point) = (value < darkest ? darkest : value) + added;
      });
    }
  }
};

template <class Kernel>
void run(const char* name, int n_bundles, const Kernel& kernel) {
  const FourierBundle& bundle = kernel.bundle;
  const int threads = std::clamp(bundle.length * bundle.lanes() / 8, 32, most_threads);
  Policy policy(n_bundles, host_is_device ? 1 : threads / bundle.lanes(), host_is_device ? 1 : bundle.lanes());
  policy.set_scratch_size(bundle.scratch_level(), Kokkos::PerTeam(bundle.bytes() + 64));
  Kokkos::parallel_for(name, at_once(policy), kernel);
}

}  // namespace

FourierPlan fourier_plan(const SpreadKernel& kernel, int n_fast, int n_slow, double n_panels) {
  // The powers of two from the least that one tile takes for itself to the one that takes the whole panel.
  const auto ways = [](int n, int reach) {
    std::vector<TiledSide> sides;
    for (int length = least_length; sides.empty() || sides.back().tiles > 1; length *= 2) {
      if (length >= n + reach) sides.push_back({n, reach, length, 1});
      else if (length > 2 * reach) sides.push_back({n, reach, length, (n - 1) / (length - 2 * reach) + 1});
    }
    return sides;
  };
  FourierPlan best{};
  for (const TiledSide& slow : ways(n_slow, kernel.tallest))
    for (const TiledSide& fast : ways(n_fast, kernel.widest())) {
      const double points = double(fast.length) * slow.length, pairs = std::ceil(n_panels * fast.tiles * slow.tiles / 2);
      const double seconds = pairs * points * (seconds_per_point + seconds_per_halving * std::log2(points));
      if (best.seconds == 0 || seconds < best.seconds) best = {fast, slow, seconds};
    }
  return best;
}

FourierBlur::FourierBlur(const AlikePanels& panels, const SpreadKernel& kernel, const FourierPlan& plan)
    : panels_(panels), plan_(plan), rows_(plan.fast.length), columns_(plan.slow.length),
      added_to_pixel_(kernel.added_back / double(panels.n_pixels())) {
  const std::size_t points = std::size_t(plan.fast.length) * plan.slow.length;
  n_pairs_ = (panels.size() * plan.fast.tiles * plan.slow.tiles + 1) / 2;
  pairs_at_once_ = int(std::clamp(most_work / (points * sizeof(Complex)), std::size_t(1), std::size_t(n_pairs_)));
  work_ = Array(Kokkos::view_alloc("nanobragg::psf::work", Kokkos::WithoutInitializing), 2 * points * pairs_at_once_);
  spectrum_ = Array(Kokkos::view_alloc("nanobragg::psf::spectrum", Kokkos::WithoutInitializing), points);

  // The kernel around point 0, as if it were a panel: what lies before that is at the other end.
  const TiledSide fast{plan.fast.length, 0, plan.fast.length, 1}, slow{plan.slow.length, 0, plan.slow.length, 1};
  std::vector<double> image(points);
  for (int j = 0; j < slow.n; ++j)
    for (int i = 0; i < fast.n; ++i) image[std::size_t(j) * fast.n + i] = kernel.at(std::min(i, fast.n - i), std::min(j, slow.n - j));
  const AlikePanels one{fast.n, slow.n, to_device("nanobragg::psf::kernel", std::vector<std::int64_t>{0})};
  const Pairs pairs{one, fast, slow, 0};
  const Work work{work_, slow.length, fast.length, columns_.lanes()};
  const auto photons = to_device("nanobragg::psf::kernel", image);
  run("nanobragg::psf::transform_kernel_rows", slow.length / rows_.lanes(), TransformRows{pairs, rows_, work, photons});
  run("nanobragg::psf::transform_kernel_columns", fast.length / columns_.lanes(),
      FilterColumns<true>{pairs, columns_, rows_.lanes(), work, spectrum_, 1 / double(points)});
  ExecutionSpace().fence("nanobragg::psf::transform_kernel");
}

void FourierBlur::operator()(const Kokkos::View<const double*, DeviceSpace>& photons,
                             const Kokkos::View<const PanelTotal*, DeviceSpace>& totals,
                             const Kokkos::View<double*, DeviceSpace>& blurred) const {
  const Work work{work_, plan_.slow.length, plan_.fast.length, columns_.lanes()};
  for (int first = 0; first < n_pairs_; first += pairs_at_once_) {
    const Pairs pairs{panels_, plan_.fast, plan_.slow, first};
    const int n = std::min(pairs_at_once_, n_pairs_ - first);
    run("nanobragg::psf::transform_rows", n * (work.rows / rows_.lanes()), TransformRows{pairs, rows_, work, photons});
    run("nanobragg::psf::filter_columns", n * (work.columns / columns_.lanes()),
        FilterColumns<false>{pairs, columns_, rows_.lanes(), work, spectrum_, 0});
    run("nanobragg::psf::restore_rows", n * (work.rows / rows_.lanes()),
        RestoreRows{pairs, rows_, work, added_to_pixel_, totals, blurred});
  }
}

}  // namespace nanobragg
