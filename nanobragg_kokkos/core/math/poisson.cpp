#include <nanobragg_kokkos/core/math/poisson.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace nanobragg {
namespace {

// Walker's table for one mean: numbers of events that are too likely for their cell take the rest of those that are not
// likely enough for theirs.
void tabulate(int mean, std::uint64_t* cells) {
  constexpr int n = PoissonTable::cells_of_mean;
  // By their ratios, the largest first: no power or factorial overflows.
  std::vector<long double> probability(n, 0);
  long double sum = probability[mean] = 1;
  for (int k = mean; k > 0; --k) sum += probability[k - 1] = probability[k] * k / mean;
  for (int k = mean + 1; k < n; ++k) sum += probability[k] = probability[k - 1] * mean / k;
  std::vector<int> small, large;
  std::vector<long double> amount(n);  // in cells
  for (int k = 0; k < n; ++k) {
    amount[k] = probability[k] / sum * n;
    (amount[k] < 1 ? small : large).push_back(k);
  }
  for (int k = 0; k < n; ++k) cells[k] = std::uint64_t(k);
  while (!small.empty() && !large.empty()) {
    const int to = small.back(), from = large.back();
    small.pop_back();
    const long long threshold = std::min(std::llround(amount[to] * 0x1p56L), (1LL << 56) - 1);
    cells[to] = std::uint64_t(threshold) << 8 | std::uint64_t(from);
    amount[from] -= 1 - amount[to];
    if (amount[from] < 1) {
      large.pop_back();
      small.push_back(from);
    }
  }
}

}  // namespace

PoissonTable poisson_table(const ExecutionSpace& space) {
  std::vector<std::uint64_t> cells(std::size_t(PoissonTable::means) * PoissonTable::cells_of_mean);
  for (int mean = 0; mean < PoissonTable::means; ++mean)
    tabulate(mean, &cells[std::size_t(mean) * PoissonTable::cells_of_mean]);
  return {to_device(space, "nanobragg::poisson", cells)};
}

}  // namespace nanobragg
