// Wall-clock times of something that is run several times, and what is in the image then.
#ifndef NANOBRAGG_KOKKOS_BENCHMARKS_MEASUREMENT_H
#define NANOBRAGG_KOKKOS_BENCHMARKS_MEASUREMENT_H

#include <algorithm>
#include <cstddef>
#include <functional>

namespace nanobragg {

struct Timing {
  int runs = 0;
  double first = 0, median = 0, least = 0, most = 0;  // seconds
};

// Runs once to warm up, then `runs` times or until `limit` seconds are over.  If the first run alone takes as long, it
// is the measurement.  prepare: before each run, not timed.  images: that each run makes; the times are of one of them.
Timing measure(const std::function<void()>& prepare, const std::function<void()>& run, int runs, double limit,
               int images);

// What images of two machines are compared by.
struct Contents {
  double photons = 0;    // of all pixels together; or counts
  double brightest = 0;  // pixel
  double checksum = 0;   // the sum of pixel i times i modulo 1009, so that photons in a wrong place are noticed
};

template <class Pixel>
Contents contents(const Pixel* pixels, std::size_t n) {
  Contents all;
  for (std::size_t i = 0; i < n; ++i) {
    const double value = pixels[i];
    all.photons += value;
    all.brightest = std::max(all.brightest, value);
    all.checksum += value * double(i % 1009);
  }
  return all;
}

}  // namespace nanobragg
#endif
