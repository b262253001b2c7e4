// Wall-clock times of something that is run several times, and what the image then holds.
#ifndef NANOBRAGG_KOKKOS_BENCHMARKS_MEASUREMENT_H
#define NANOBRAGG_KOKKOS_BENCHMARKS_MEASUREMENT_H

#include <functional>

#include "../nanobragg_kokkos/core/image.h"

namespace nanobragg {

struct Timing {
  int runs = 0;
  double first = 0, median = 0, least = 0, most = 0;      // seconds
};

// Runs once to warm up, then `runs` times or until `limit` seconds are over.  If the first run alone takes as long, it is
// the measurement.  prepare: before each run, not timed.
Timing measure(const std::function<void()>& prepare, const std::function<void()>& run, int runs, double limit);

// What images of two machines are compared by.
struct Contents {
  double photons = 0;             // of all pixels together
  double brightest = 0;           // pixel
  double checksum = 0;            // the sum of pixel i times i modulo 1009, so that photons in a wrong place are noticed
};

Contents contents(const Image& image);

}  // namespace nanobragg
#endif
