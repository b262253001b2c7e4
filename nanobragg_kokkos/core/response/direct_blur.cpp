#include <nanobragg_kokkos/core/response/direct_blur.h>

#include <algorithm>

namespace nanobragg {
namespace {

// What one thread computes at a time: on a CPU vectors of pixels side by side.
constexpr int rows_at_once = host_is_device ? 4 : 8, lanes_at_once = host_is_device ? 32 : 1;
// What a team computes: on a GPU a warp in each thread's rows.
constexpr int tile_fast = host_is_device ? 128 : 32, most_tile_slow = 64;

// Time for a pixel, s: what does not depend on the kernel, and what each row of each column takes.  Measured on a core
// of an AMD EPYC (Zen 4), and on an H100.
constexpr double seconds_per_pixel = host_is_device ? 2.8e-9 : 1.7e-11,
                 seconds_per_step = host_is_device ? 0.0435e-9 : 1.3e-13;

using Team = Kokkos::TeamPolicy<ExecutionSpace>::member_type;

// The photons of a tile and as far around it as the kernel reaches, 0 beyond the panel.
struct CopiedPhotons {
  const double* origin;  // of the tile
  int stride;
  KOKKOS_FORCEINLINE_FUNCTION const double* from(int fast, int slow) const {
    return origin + std::int64_t(slow) * stride + fast;
  }
  KOKKOS_FORCEINLINE_FUNCTION double operator()(int fast, int slow) const { return *from(fast, slow); }
};

// The same, from the panel itself, for kernels that are too large to copy this into the scratch memory of a GPU.
struct PhotonsInPlace {
  const double* panel;
  int n_fast, n_slow, tile_fast, tile_slow;
  KOKKOS_FORCEINLINE_FUNCTION double operator()(int fast, int slow) const {
    const int x = tile_fast + fast, y = tile_slow + slow;
    return x >= 0 && x < n_fast && y >= 0 && y < n_slow ? panel[std::int64_t(y) * n_fast + x] : 0.0;
  }
};

struct SumOverCircle {
  AlikePanels panels;
  double added_to_pixel;
  DeviceTable<int> heights;
  DeviceTable<std::int64_t> tops;
  DeviceTable<double> values;
  int around_fast, around_slow;  // how far the kernel reaches
  int tile_slow, tiles_fast, tiles_slow;
  int scratch_level;  // -1: the photons are not copied
  DeviceBuffer<const double> photons;
  DeviceBuffer<const PanelTotal> totals;
  DeviceBuffer<double> blurred;

  KOKKOS_FUNCTION int stride() const { return tile_fast + 2 * around_fast; }
  KOKKOS_FUNCTION int copied() const { return (tile_slow + 2 * around_slow) * stride(); }
  int bytes() const { return int(TeamBuffer<double>::shmem_size(copied())); }

  KOKKOS_FUNCTION void operator()(const Team& team) const {
    const int tile = team.league_rank() % (tiles_fast * tiles_slow),
              panel = team.league_rank() / (tiles_fast * tiles_slow);
    const int fast = tile % tiles_fast * tile_fast, slow = tile / tiles_fast * tile_slow;
    const double* const first = &photons(panels.first_pixel(panel));
    double* const out = &blurred(panels.first_pixel(panel));
    const double added = added_to_pixel * totals(panel).photons;
    if (scratch_level >= 0) {
      const TeamBuffer<double> scratch(team.team_scratch(scratch_level), copied());
      double* const copy = scratch.data();
      copy_photons(team, first, fast - around_fast, slow - around_slow, copy);
      team.team_barrier();
      sum_tile(team, CopiedPhotons{copy + around_slow * stride() + around_fast, stride()}, fast, slow, added, out);
    } else if constexpr (!host_is_device) {
      sum_tile(team, PhotonsInPlace{first, panels.n_fast, panels.n_slow, fast, slow}, fast, slow, added, out);
    }
  }

  KOKKOS_FUNCTION void copy_photons(const Team& team, const double* panel, int fast, int slow, double* copy) const {
    const int width = stride();
    const int begin = fast < 0 ? -fast : 0, end = Kokkos::min(width, panels.n_fast - fast);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, tile_slow + 2 * around_slow), [&](int row) {
      double* const to = copy + row * width;
      const bool inside = slow + row >= 0 && slow + row < panels.n_slow;
      const double* const from = panel + std::int64_t(slow + row) * panels.n_fast + fast;
      const int first = inside && begin < end ? begin : width, last = inside && begin < end ? end : width;
      Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, first), [&](int i) { to[i] = 0; });
      Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, first, last), [&](int i) { to[i] = from[i]; });
      Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, last, width), [&](int i) { to[i] = 0; });
    });
  }

  template <class Photons>
  KOKKOS_FORCEINLINE_FUNCTION void sum_tile(const Team& team, const Photons& around, int fast, int slow, double added,
                                            double* out) const {
    const int n_fast = Kokkos::min(int(tile_fast), panels.n_fast - fast),
              n_slow = Kokkos::min(tile_slow, panels.n_slow - slow);
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, (n_slow + rows_at_once - 1) / rows_at_once), [&](int group) {
      Kokkos::parallel_for(
          Kokkos::ThreadVectorRange(team, (n_fast + lanes_at_once - 1) / lanes_at_once), [&](int block) {
            const int x = block * lanes_at_once, y = group * rows_at_once;
            double sums[rows_at_once][lanes_at_once] = {};
            for (int column = int(heights.extent(0)) - 1; column >= 0; --column) add_column(around, x, y, column, sums);
            store(sums, added, Kokkos::min(int(lanes_at_once), n_fast - x), Kokkos::min(int(rows_at_once), n_slow - y),
                  out + std::int64_t(slow + y) * panels.n_fast + fast + x);
          });
    });
  }

  // The first pixels of the first rows.  The loops over the sums have fixed ends, so that compilers keep them in
  // registers.
  KOKKOS_FORCEINLINE_FUNCTION void store(const double (&sums)[rows_at_once][lanes_at_once], double added, int n_fast,
                                         int n_slow, double* out) const {
    if constexpr (host_is_device) {
      double part[rows_at_once * lanes_at_once];
      const bool all = n_fast == lanes_at_once && n_slow == rows_at_once;
      double* const to = all ? out : part;
      const std::int64_t stride = all ? panels.n_fast : lanes_at_once;
      for (int row = 0; row < rows_at_once; ++row)
        for (int l = 0; l < lanes_at_once; ++l) to[row * stride + l] = sums[row][l] + added;
      if (all) return;
      for (int row = 0; row < n_slow; ++row)
        for (int l = 0; l < n_fast; ++l) out[std::int64_t(row) * panels.n_fast + l] = part[row * lanes_at_once + l];
    } else {
      for (int row = 0; row < rows_at_once; ++row)
        if (row < n_slow) out[std::int64_t(row) * panels.n_fast] = sums[row][0] + added;
    }
  }

  // Above the first and below the last of a column's values there are zeros for as many rows as are computed at once.
  template <class Photons, int lanes>
  KOKKOS_FORCEINLINE_FUNCTION void add_column(const Photons& around, int x, int y, int column,
                                              double (&sums)[rows_at_once][lanes]) const {
    const int height = heights(column), steps = 2 * height + rows_at_once;
    const double* const top = &values(tops(column));
    if constexpr (lanes > 1) {
      for (int i = 0; i < steps; ++i) {
        const double *const left = around.from(x - column, y - height + i), *const right =
                                                                                around.from(x + column, y - height + i);
        double both[lanes];
        for (int l = 0; l < lanes; ++l) both[l] = left[l] + right[l];
        for (int row = 0; row < rows_at_once; ++row) {
          const double value = top[i - row];
          for (int l = 0; l < lanes; ++l) sums[row][l] = Kokkos::fma(value, both[l], sums[row][l]);
        }
      }
    } else {  // a value of the kernel is read once and handed from row to row
      double value[rows_at_once] = {};
      const auto step = [&](int i, int slot) {
        value[slot] = top[i];
        const double both = around(x - column, y - height + i) + around(x + column, y - height + i);
        for (int row = 0; row < rows_at_once; ++row)
          sums[row][0] = Kokkos::fma(value[(slot - row + rows_at_once) % rows_at_once], both, sums[row][0]);
      };
      int first = 0;
      for (; first + rows_at_once <= steps; first += rows_at_once)
        for (int i = 0; i < rows_at_once; ++i) step(first + i, i);
      for (int i = 0; i < rows_at_once - 1; ++i)
        if (first + i < steps) step(first + i, i);
    }
  }
};

}  // namespace

DirectBlur::DirectBlur(const ExecutionSpace& space, const AlikePanels& panels, const SpreadKernel& kernel)
    : panels_(panels), added_to_pixel_(kernel.added_back / double(panels.n_pixels())), tallest_(kernel.tallest) {
  std::vector<int> heights;
  std::vector<std::int64_t> tops;
  std::vector<double> values;
  for (int fast = 0; fast <= kernel.widest(); ++fast) {
    const int height = kernel.columns[fast].height;
    values.insert(values.end(), rows_at_once - 1, 0.0);
    heights.push_back(height);
    tops.push_back(std::int64_t(values.size()));
    // The middle column is its own mirror image: each of its pixels is added to itself.
    for (int slow = -height; slow <= height; ++slow)
      values.push_back((fast == 0 ? 0.5 : 1) * kernel.at(fast, std::abs(slow)));
    values.insert(values.end(), rows_at_once - 1, 0.0);
  }
  heights_ = to_device(space, "nanobragg::psf::heights", heights);
  tops_ = to_device(space, "nanobragg::psf::tops", tops);
  values_ = to_device(space, "nanobragg::psf::values", values);
}

double DirectBlur::seconds(const SpreadKernel& kernel, int n_fast, int n_slow, double n_panels) {
  double steps = 0;
  for (const SpreadKernel::Column& column : kernel.columns) steps += 2 * column.height + rows_at_once;
  return n_panels * n_fast * n_slow * (seconds_per_pixel + seconds_per_step * steps);
}

void DirectBlur::apply(const ExecutionSpace& space, const DeviceBuffer<const double>& photons,
                       const DeviceBuffer<const PanelTotal>& totals, const DeviceBuffer<double>& blurred) const {
  SumOverCircle kernel{panels_,
                       added_to_pixel_,
                       heights_,
                       tops_,
                       values_,
                       int(heights_.extent(0)) - 1,
                       tallest_,
                       most_tile_slow,
                       0,
                       0,
                       host_is_device ? 1 : 0,
                       photons,
                       totals,
                       blurred};
  if (!host_is_device) {
    while (kernel.tile_slow > rows_at_once && kernel.bytes() > fast_scratch) kernel.tile_slow /= 2;
    if (kernel.bytes() > fast_scratch) kernel.tile_slow = most_tile_slow, kernel.scratch_level = -1;
  }
  kernel.tiles_fast = (panels_.n_fast + tile_fast - 1) / tile_fast;
  kernel.tiles_slow = (panels_.n_slow + kernel.tile_slow - 1) / kernel.tile_slow;
  Kokkos::TeamPolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>> policy(
      space, panels_.size() * kernel.tiles_fast * kernel.tiles_slow,
      host_is_device ? 1 : kernel.tile_slow / rows_at_once, host_is_device ? 1 : tile_fast);
  if (kernel.scratch_level >= 0) policy.set_scratch_size(kernel.scratch_level, Kokkos::PerTeam(kernel.bytes()));
  Kokkos::parallel_for("nanobragg::psf::direct", light_weight(policy), kernel);
}

}  // namespace nanobragg
