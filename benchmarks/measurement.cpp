#include <algorithm>
#include <chrono>
#include <vector>

#include "measurement.h"

namespace nanobragg {

Timing measure(const std::function<void()>& prepare, const std::function<void()>& run, int runs, double limit,
               int images) {
  limit /= images;
  const auto seconds = [&] {
    prepare();
    const auto begin = std::chrono::steady_clock::now();
    run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / images;
  };
  Timing timing;
  timing.first = seconds();
  std::vector<double> times;
  double all = timing.first;
  if (timing.first >= limit) times = {timing.first};
  while (int(times.size()) < runs && (times.empty() || all < limit)) {
    times.push_back(seconds());
    all += times.back();
  }
  std::sort(times.begin(), times.end());
  const std::size_t n = times.size();
  timing.runs = int(n);
  timing.median = 0.5 * (times[(n - 1) / 2] + times[n / 2]);
  timing.least = times.front();
  timing.most = times.back();
  return timing;
}

}  // namespace nanobragg
