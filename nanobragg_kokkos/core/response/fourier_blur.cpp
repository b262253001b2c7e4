#include <nanobragg_kokkos/core/response/fourier_blur.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace nanobragg {
namespace {

constexpr int most_threads = 256;
using Policy =
    Kokkos::TeamPolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::LaunchBounds<most_threads, 2>>;
using Team = Policy::member_type;

constexpr int least_length =
    host_is_device ? 32 : 128;  // FourierBundle asks for no less; shorter ones do not fill a GPU

// What the intermediate results of several pairs of tiles may take, bytes: on a CPU what its caches hold.
std::size_t most_work() {
  return host_is_device ? (std::size_t(2) << 20) * std::max(4, ExecutionSpace().concurrency()) : std::size_t(256) << 20;
}

// Time for a point of a column that is transformed forward or backward, for one of a row, which goes both ways, in all
// of these for each halving of the line, and for a line, s.  Measured on a core of an AMD EPYC (Zen 4), and on an H100.
constexpr double seconds_per_column_point = host_is_device ? 1.2e-9 : 2.3e-11,
                 seconds_per_row_point = host_is_device ? 3e-9 : 3.7e-11;
constexpr double seconds_per_halving = host_is_device ? 0.23e-9 : 1.4e-12, seconds_per_line = host_is_device ? 1e-7 : 0;
constexpr double slower_in_memory = 3;  // lines that do not fit into the scratch memory of a GPU

double seconds_for_halvings(int length) {
  return seconds_per_halving * std::log2(double(length)) *
         (!host_is_device && length > FourierBundle::most_on_gpu ? slower_in_memory : 1);
}

// Between the transforms of columns and of rows: bundles of columns as FourierBundle has them, but without gaps.
struct Work {
  DeviceBuffer<double> numbers;
  int rows, columns, lane_bits_on_gpu;
  KOKKOS_FORCEINLINE_FUNCTION int lane_bits() const {
    return host_is_device ? FourierBundle::lane_bits_on_host : lane_bits_on_gpu;
  }
  KOKKOS_FORCEINLINE_FUNCTION int lanes() const { return 1 << lane_bits(); }
  KOKKOS_FORCEINLINE_FUNCTION double* bundle(int pair, int bundle) const {
    return &numbers(2 * (std::int64_t(pair) * columns + bundle * lanes()) * rows);
  }
  KOKKOS_FORCEINLINE_FUNCTION double* point(int pair, int row, int column) const {
    return bundle(pair, column >> lane_bits()) + std::int64_t(row) * 2 * lanes() + (column & (lanes() - 1));
  }
};

// Bundles of columns are transformed if something of a range is in them.
KOKKOS_FORCEINLINE_FUNCTION bool touches(int first, int n, Range range) {
  return first < range.end && first + n > range.begin;
}
KOKKOS_FORCEINLINE_FUNCTION Range in_bundles(Range range, int lanes) {
  return {range.begin / lanes * lanes, (range.end + lanes - 1) / lanes * lanes};
}

// One of the two tiles of a pair.
struct PairedTile {
  bool exists;
  int panel;
  Range fast_pixels, slow_pixels, fast_results, slow_results;
  std::int64_t first;  // where a pixel at the tile's first point would be in the image
};

struct Pairs {
  AlikePanels panels;
  TiledSide fast, slow;
  int first_pair;  // of those at work

  KOKKOS_INLINE_FUNCTION PairedTile tile(int pair, int which) const {
    const int of_panel = fast.tiles * slow.tiles, number = 2 * (first_pair + pair) + which;
    if (number >= of_panel * panels.size()) return {false, 0, {0, 0}, {0, 0}, {0, 0}, {0, 0}, 0};
    const int panel = number / of_panel, i = number % of_panel % fast.tiles, j = number % of_panel / fast.tiles;
    return {true,
            panel,
            fast.pixels(i),
            slow.pixels(j),
            fast.results(i),
            slow.results(j),
            panels.first_pixel(panel) + std::int64_t(slow.first_pixel(j)) * panels.n_fast + fast.first_pixel(i)};
  }
  // The columns of either tile.
  KOKKOS_INLINE_FUNCTION Range columns_with_pixels(int pair) const {
    const PairedTile a = tile(pair, 0), b = tile(pair, 1);
    return b.exists ? both(a.fast_pixels, b.fast_pixels) : a.fast_pixels;
  }
  KOKKOS_INLINE_FUNCTION Range columns_with_results(int pair) const {
    const PairedTile a = tile(pair, 0), b = tile(pair, 1);
    return b.exists ? both(a.fast_results, b.fast_results) : a.fast_results;
  }
  KOKKOS_INLINE_FUNCTION static Range both(Range a, Range b) {
    return {Kokkos::min(a.begin, b.begin), Kokkos::max(a.end, b.end)};
  }
};

struct TransformColumns {
  Pairs pairs;
  FourierBundle bundle;
  Work work;
  DeviceBuffer<const double> photons;

  KOKKOS_FUNCTION void operator()(const Team& team) const {
    const int lanes = bundle.lanes(), of_pair = work.columns / lanes;
    const int pair = team.league_rank() / of_pair, number = team.league_rank() % of_pair, first = number * lanes;
    if (!touches(first, lanes, pairs.columns_with_pixels(pair))) return;
    double* const line = bundle.scratch(team);
    for (int which = 0; which < 2; ++which) {
      const PairedTile tile = pairs.tile(pair, which);
      const bool whole = tile.fast_pixels.contains(first) && tile.fast_pixels.contains(first + lanes - 1);
      bundle.for_each_point(team, 0, bundle.length, [&](int row) {
        double* const to = line + bundle.at(row) + which * lanes;
        const double* const from = photons.data() + tile.first + std::int64_t(row) * pairs.panels.n_fast + first;
        if (!tile.slow_pixels.contains(row))
          bundle.for_each_lane(team, [&](int lane) { to[lane] = 0; });
        else if (whole)
          bundle.for_each_lane(team, [&](int lane) { to[lane] = from[lane]; });
        else
          bundle.for_each_lane(
              team, [&](int lane) { to[lane] = tile.fast_pixels.contains(first + lane) ? from[lane] : 0.0; });
      });
    }
    team.team_barrier();
    bundle.forward(team, line);
    double* const numbers = work.bundle(pair, number);
    bundle.for_each_point(team, 0, bundle.length, [&](int row) {
      const double* const from = line + bundle.at(row);
      double* const to = numbers + std::int64_t(row) * 2 * lanes;
      bundle.for_each_lane(team, [&](int lane) { to[lane] = from[lane], to[lanes + lane] = from[lanes + lane]; });
    });
  }
};

// Multiplies the transform with the kernel's, or, where that is not known yet, stores it as such.
template <bool of_kernel>
struct FilterRows {
  Pairs pairs;
  FourierBundle bundle;
  Work work;
  DeviceBuffer<double> spectrum;
  double scale;

  KOKKOS_FUNCTION void operator()(const Team& team) const {
    const int lanes = bundle.lanes(), of_pair = work.rows / lanes;
    const int pair = team.league_rank() / of_pair, number = team.league_rank() % of_pair, first = number * lanes;
    const Range written = in_bundles(pairs.columns_with_pixels(pair), work.lanes());
    const Range needed = in_bundles(pairs.columns_with_results(pair), work.lanes());
    double* const line = bundle.scratch(team);
    const auto place = [&](int column, int lane) { return work.point(pair, first + lane, column); };
    const auto clear = [&](int column) {
      double* const to = line + bundle.at(column);
      bundle.for_each_lane(team, [&](int lane) { to[lane] = to[lanes + lane] = 0; });
    };
    bundle.for_each_point(team, 0, written.begin, clear);
    bundle.for_each_point(team, written.end, bundle.length, clear);
    bundle.for_each_stretch(team, written.begin, written.end, line, place, [&](const double* from, double* to) {
      for (int k = 0; k < bundle.stretch; ++k)
        to[k * 2 * lanes] = from[k], to[k * 2 * lanes + lanes] = from[k + work.lanes()];
    });
    team.team_barrier();
    bundle.forward(team, line);
    double* const kernel = &spectrum(std::int64_t(first) * work.columns);
    bundle.for_each_point(team, 0, bundle.length, [&](int column) {
      double* const here = line + bundle.at(column);
      double* const factor = kernel + std::int64_t(column) * lanes;
      bundle.for_each_lane(team, [&](int lane) {
        if (of_kernel)
          factor[lane] = scale * here[lane];
        else
          here[lane] *= factor[lane], here[lanes + lane] *= factor[lane];
      });
    });
    if (of_kernel) return;
    team.team_barrier();
    bundle.backward(team, line);
    bundle.for_each_stretch(team, needed.begin, needed.end, line, place, [&](double* to, const double* from) {
      for (int k = 0; k < bundle.stretch; ++k)
        to[k] = from[k * 2 * lanes], to[k + work.lanes()] = from[k * 2 * lanes + lanes];
    });
  }
};

struct RestoreColumns {
  Pairs pairs;
  FourierBundle bundle;
  Work work;
  double added_to_pixel;
  DeviceBuffer<const PanelTotal> totals;
  DeviceBuffer<double> blurred;

  KOKKOS_FUNCTION void operator()(const Team& team) const {
    const int lanes = bundle.lanes(), of_pair = work.columns / lanes;
    const int pair = team.league_rank() / of_pair, number = team.league_rank() % of_pair, first = number * lanes;
    if (!touches(first, lanes, pairs.columns_with_results(pair))) return;
    double* const line = bundle.scratch(team);
    const double* const numbers = work.bundle(pair, number);
    bundle.for_each_point(team, 0, bundle.length, [&](int row) {
      const double* const from = numbers + std::int64_t(row) * 2 * lanes;
      double* const to = line + bundle.at(row);
      bundle.for_each_lane(team, [&](int lane) { to[lane] = from[lane], to[lanes + lane] = from[lanes + lane]; });
    });
    team.team_barrier();
    bundle.backward(team, line);
    for (int which = 0; which < 2; ++which) {
      const PairedTile tile = pairs.tile(pair, which);
      if (!tile.exists) break;
      const double added = added_to_pixel * totals(tile.panel).photons,
                   darkest = Kokkos::min(0.0, totals(tile.panel).darkest);
      const bool whole = tile.fast_results.contains(first) && tile.fast_results.contains(first + lanes - 1);
      bundle.for_each_point(team, tile.slow_results.begin, tile.slow_results.end, [&](int row) {
        const double* const from = line + bundle.at(row) + which * lanes;
        double* const to = blurred.data() + tile.first + std::int64_t(row) * pairs.panels.n_fast + first;
        const auto store = [&](int lane) { to[lane] = (from[lane] < darkest ? darkest : from[lane]) + added; };
        if (whole)
          bundle.for_each_lane(team, store);
        else
          bundle.for_each_lane(team, [&](int lane) {
            if (tile.fast_results.contains(first + lane)) store(lane);
          });
      });
    }
  }
};

// The kernel as if it were a panel, its middle at the first pixel: what lies before that is at the other end.
struct KernelAroundOrigin {
  int n_fast, n_slow;
  DeviceTable<SpreadKernel::Column> columns;
  DeviceTable<double> values;
  DeviceBuffer<double> image;
  KOKKOS_FUNCTION void operator()(const std::int64_t i) const {
    const int x = int(i % n_fast), y = int(i / n_fast), fast = Kokkos::min(x, n_fast - x),
              slow = Kokkos::min(y, n_slow - y);
    image(i) = fast < int(columns.extent(0)) && slow <= columns(fast).height ? values(columns(fast).first + slow) : 0.0;
  }
};

template <class Kernel>
void run(const ExecutionSpace& space, const char* name, int n_bundles, const Kernel& kernel) {
  const FourierBundle& bundle = kernel.bundle;
  const int threads = std::clamp(bundle.length * bundle.lanes() / 8, 32, most_threads);
  Policy policy(space, n_bundles, host_is_device ? 1 : threads / bundle.lanes(), host_is_device ? 1 : bundle.lanes());
  policy.set_scratch_size(bundle.scratch_level(), Kokkos::PerTeam(bundle.bytes() + 64));
  Kokkos::parallel_for(name, light_weight(policy), kernel);
}

}  // namespace

FourierPlan fourier_plan(const SpreadKernel& kernel, int n_fast, int n_slow, double n_panels) {
  // The powers of two from the least that one tile takes for itself to the one that takes the whole panel.
  const auto ways = [](int n, int reach) {
    std::vector<TiledSide> sides;
    for (int length = least_length; sides.empty() || sides.back().tiles > 1; length *= 2) {
      if (length >= n + reach)
        sides.push_back({n, reach, length, 1});
      else if (length > 2 * reach)
        sides.push_back({n, reach, length, (n - 1) / (length - 2 * reach) + 1});
    }
    return sides;
  };
  FourierPlan best{};
  for (const TiledSide& slow : ways(n_slow, kernel.tallest))
    for (const TiledSide& fast : ways(n_fast, kernel.widest())) {
      // Columns without pixels are not transformed forward, and those without results not backward.
      const double columns = fast.tiles == 1 ? 2.0 * n_fast : 2.0 * (fast.length - fast.reach);
      const double for_row = columns * (seconds_per_column_point + seconds_for_halvings(slow.length)) +
                             fast.length * (seconds_per_row_point + 2 * seconds_for_halvings(fast.length));
      const double for_pair = slow.length * for_row + (columns + slow.length) * seconds_per_line;
      const double seconds = std::ceil(n_panels * fast.tiles * slow.tiles / 2) * for_pair;
      if (best.seconds == 0 || seconds < best.seconds) best = {fast, slow, seconds};
    }
  return best;
}

FourierBlur::FourierBlur(const ExecutionSpace& space, const AlikePanels& panels, const SpreadKernel& kernel,
                         const FourierPlan& plan)
    : panels_(panels),
      plan_(plan),
      rows_(space, plan.fast.length),
      columns_(space, plan.slow.length),
      added_to_pixel_(kernel.added_back / double(panels.n_pixels())) {
  const std::size_t points = std::size_t(plan.fast.length) * plan.slow.length;
  n_pairs_ = (panels.size() * plan.fast.tiles * plan.slow.tiles + 1) / 2;
  pairs_at_once_ = int(std::clamp(most_work() / (points * sizeof(Complex)), std::size_t(1), std::size_t(n_pairs_)));
  work_ = DeviceBuffer<double>(Kokkos::view_alloc(space, "nanobragg::psf::work", Kokkos::WithoutInitializing),
                               2 * points * pairs_at_once_);
  spectrum_ =
      DeviceBuffer<double>(Kokkos::view_alloc(space, "nanobragg::psf::spectrum", Kokkos::WithoutInitializing), points);

  const TiledSide fast{plan.fast.length, 0, plan.fast.length, 1}, slow{plan.slow.length, 0, plan.slow.length, 1};
  const AlikePanels one{fast.n, slow.n, to_device(space, "nanobragg::psf::kernel", std::vector<std::int64_t>{0})};
  const Pairs pairs{one, fast, slow, 0};
  const Work work{work_, slow.length, fast.length, columns_.lane_bits_on_gpu};
  using AllPoints = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::int64_t>>;
  Kokkos::parallel_for("nanobragg::psf::arrange_kernel", AllPoints(space, 0, std::int64_t(points)),
                       KernelAroundOrigin{fast.n, slow.n, to_device(space, "nanobragg::psf::columns", kernel.columns),
                                          to_device(space, "nanobragg::psf::values", kernel.values), spectrum_});
  run(space, "nanobragg::psf::transform_kernel_columns", fast.length / columns_.lanes(),
      TransformColumns{pairs, columns_, work, spectrum_});
  run(space, "nanobragg::psf::transform_kernel_rows", slow.length / rows_.lanes(),
      FilterRows<true>{pairs, rows_, work, spectrum_, 1 / double(points)});
  space.fence("nanobragg::psf::transform_kernel");
}

void FourierBlur::apply(const ExecutionSpace& space, const DeviceBuffer<const double>& photons,
                        const DeviceBuffer<const PanelTotal>& totals, const DeviceBuffer<double>& blurred) const {
  const Work work{work_, plan_.slow.length, plan_.fast.length, columns_.lane_bits_on_gpu};
  for (int first = 0; first < n_pairs_; first += pairs_at_once_) {
    const Pairs pairs{panels_, plan_.fast, plan_.slow, first};
    const int n = std::min(pairs_at_once_, n_pairs_ - first);
    run(space, "nanobragg::psf::transform_columns", n * (work.columns / columns_.lanes()),
        TransformColumns{pairs, columns_, work, photons});
    run(space, "nanobragg::psf::filter_rows", n * (work.rows / rows_.lanes()),
        FilterRows<false>{pairs, rows_, work, spectrum_, 0});
    run(space, "nanobragg::psf::restore_columns", n * (work.columns / columns_.lanes()),
        RestoreColumns{pairs, columns_, work, added_to_pixel_, totals, blurred});
  }
}

}  // namespace nanobragg
