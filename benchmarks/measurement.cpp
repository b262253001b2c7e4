#include "measurement.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

namespace nanobragg {

Timing measure(const std::function<void()>& prepare, const std::function<void()>& run, int runs, double limit) {
  const auto seconds = [&] {
    prepare();
    const auto begin = std::chrono::steady_clock::now();
    run();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
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

Contents contents(const Image& image) {
  const std::shared_ptr<double> pixels = image.on_host();
  Contents all;
  for (std::size_t i = 0; i < image.size(); ++i) {
    const double value = pixels.get()[i];
    all.photons += value;
    all.brightest = std::max(all.brightest, value);
    all.checksum += value * double(i % 1009);
  }
  return all;
}

}  // namespace nanobragg
