// Counts: the steps one by one, and that images on their way do not get into each other's.
#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include <nanobragg_kokkos/core/response/readout.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

// Panels whose pixels are no whole number of groups or blocks.
Detector small_detector() {
  Panel wide, narrow;
  wide.origin = {-0.02, -0.02, 0.1}, wide.fast = {1, 0, 0}, wide.slow = {0, 1, 0};
  wide.pixel_fast = wide.pixel_slow = 1e-4, wide.n_fast = 131, wide.n_slow = 37;
  narrow = wide;
  narrow.origin.y += 0.03, narrow.n_fast = 7, narrow.n_slow = 5;
  return Detector({wide, narrow}, {});
}

std::vector<double> even(const Detector& detector, double mean) {
  return std::vector<double>(detector.n_pixels(), mean);
}

// Faint and bright pixels side by side, up to a mean of 1e7.
std::vector<double> uneven(const Detector& detector) {
  std::vector<double> mean;
  for (std::size_t i = 0; i < detector.n_pixels(); ++i)
    mean.push_back(0.125 * double((i * i) % 1009) + (i % 97 == 0 ? 1e4 * double(i % 1013) : 0));
  return mean;
}

template <class Count = std::int32_t>
std::vector<double> counts_of(const Counts& counts, std::size_t n) {
  const std::shared_ptr<const void> memory = counts.on_host();
  const auto* values = static_cast<const Count*>(memory.get());
  return std::vector<double>(values, values + n);
}

std::vector<double> read_out(const Detector& detector, const DetectorResponse& response,
                             const std::vector<double>& mean, std::uint64_t seed = 1, std::uint32_t number = 0) {
  Image image(workspace(), detector.n_pixels());
  image.add(workspace(), mean);
  Readout readout(workspace(), detector, response, {CountType::int32, 2e9});
  return counts_of(readout.start(workspace(), image, seed, number), detector.n_pixels());
}

DetectorResponse noiseless() {
  DetectorResponse response;
  response.photon_noise = false;
  return response;
}

double checksum(const std::vector<double>& counts) {
  double sum = 0;
  for (std::size_t i = 0; i < counts.size(); ++i) sum += counts[i] * double(i % 1009 + 1);
  return sum;
}

}  // namespace

TEST(counts_are_rounded_and_bounded) {
  const Detector detector = small_detector();
  const std::size_t n = detector.n_pixels();
  std::vector<double> mean(n, 3.4);
  mean[0] = 3.6, mean[1] = -1e-15, mean[2] = 99.4, mean[3] = 99.6, mean[4] = 1e300, mean[n - 1] = 0.5001;
  mean[5] = std::numeric_limits<double>::quiet_NaN();
  std::vector<std::uint8_t> mask(n, 1);
  mask[6] = mask[n - 2] = 0;
  Image image(workspace(), n);
  image.add(workspace(), mean);
  DetectorResponse response = noiseless();
  response.quantum_gain = 2, response.adc_offset = 7;
  Readout wide(workspace(), detector, response, {CountType::int32, 205}, mask),
      narrow(workspace(), detector, response, {CountType::uint16, 205}, mask);
  for (const auto& [counts, masked] :
       {std::pair(counts_of(wide.start(workspace(), image, 1, 0), n), -1.0),
        std::pair(counts_of<std::uint16_t>(narrow.start(workspace(), image, 1, 0), n), 65535.0)}) {
    const std::vector<double> expected{14, 7, 206, 206, 206, 7, masked, 14, 14};
    for (std::size_t i = 0; i < expected.size(); ++i) CHECK_CLOSE(counts[i], expected[i], 0);
    CHECK_CLOSE(counts[n - 3], 14, 0);
    CHECK_CLOSE(counts[n - 2], masked, 0);
    CHECK_CLOSE(counts[n - 1], 8, 0);
  }
}

// The same on every device and for any number of threads: this is what they are.
TEST(counts_are_those_of_their_seed) {
  const Detector detector = small_detector();
  DetectorResponse response;
  CHECK_CLOSE(checksum(read_out(detector, response, uneven(detector))), 161378282798, 0);
  response.flicker = 0.1, response.calibration_noise = 0.03, response.quantum_gain = 0.7, response.readout_noise = 2.5,
  response.adc_offset = 40;
  CHECK_CLOSE(checksum(read_out(detector, response, uneven(detector), 123456789012345, 7)), 108976855593, 0);
}

TEST(seeds_images_and_panels_have_numbers_of_their_own) {
  const Detector detector = small_detector();
  const std::vector<double> mean = even(detector, 50);
  const std::vector<double> first = read_out(detector, {}, mean, 1, 0);
  CHECK(first == read_out(detector, {}, mean, 1, 0));
  const std::size_t second_panel = detector.first_pixel(1);
  for (const std::vector<double>& other : {read_out(detector, {}, mean, 2, 0), read_out(detector, {}, mean, 1, 1),
                                           read_out(detector, {}, mean, 1ull << 32 | 1, 0)}) {
    int equal = 0;
    for (std::size_t i = 0; i < mean.size(); ++i) equal += first[i] == other[i];
    CHECK_CLOSE(equal / double(mean.size()), 0.04, 0.02);  // of two Poisson numbers: 1 / sqrt(4 pi mean)
  }
  int equal = 0;
  for (std::size_t i = second_panel; i < mean.size(); ++i) equal += first[i] == first[i - second_panel];
  CHECK(equal < 8);
}

TEST(calibration_is_the_same_in_every_image_and_flicker_in_every_pixel) {
  const Detector detector = small_detector();
  const double photons = 1e8;
  const std::vector<double> mean = even(detector, photons);
  DetectorResponse response = noiseless();
  response.calibration_noise = 0.1;
  const std::vector<double> factors = read_out(detector, response, mean, 1, 0);
  CHECK(factors == read_out(detector, response, mean, 2, 5));
  double variance = 0;
  for (double f : factors) variance += (f / photons - 1) * (f / photons - 1) / double(mean.size());
  CHECK_CLOSE(std::sqrt(variance), 0.1, 0.005);
  response.calibration_seed = 1;
  CHECK(factors != read_out(detector, response, mean, 1, 0));

  response.calibration_noise = 0, response.flicker = 0.1;
  for (std::uint32_t number : {0u, 1u}) {
    const std::vector<double> counts = read_out(detector, response, mean, 1, number);
    CHECK(counts == even(detector, counts[0]));
    CHECK(counts[0] != photons);
  }
}

TEST(images_under_way_stay_as_they_are) {
  const Detector detector = small_detector();
  const std::size_t n = detector.n_pixels();
  Image image(workspace(), n);
  Readout readout(workspace(), detector, noiseless(), {CountType::int32, 2e9});
  std::vector<Counts> under_way;
  for (int i = 0; i < 5; ++i) {
    image.add(workspace(), even(detector, 1));
    under_way.push_back(readout.start(workspace(), image, 1, 0));
  }
  image.clear(workspace());
  for (int i = 0; i < 5; ++i) CHECK(counts_of(under_way[std::size_t(i)], n) == even(detector, i + 1));
  // A buffer that nobody needs any more is used again, others are not.
  const void* const last = under_way[4].on_host().get();
  const std::shared_ptr<const void> kept = under_way[3].on_host();
  under_way.clear();
  image.add(workspace(), even(detector, 9));
  bool again = false;
  for (int i = 0; i < 4; ++i) {
    under_way.push_back(readout.start(workspace(), image, 1, 0));
    again |= under_way.back().on_host().get() == last;
  }
  CHECK(again);
  CHECK_CLOSE(static_cast<const std::int32_t*>(kept.get())[0], 4, 0);
}

TEST(responses_that_cannot_be_are_refused) {
  const Detector detector = small_detector();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (double wrong : {-1.0, nan, double(INFINITY)}) {
    DetectorResponse response;
    response.flicker = wrong;
    CHECK_THROWS(Readout(workspace(), detector, response, {}), std::invalid_argument);
    response = {};
    response.calibration_noise = wrong;
    CHECK_THROWS(Readout(workspace(), detector, response, {}), std::invalid_argument);
    response = {};
    response.readout_noise = wrong;
    CHECK_THROWS(Readout(workspace(), detector, response, {}), std::invalid_argument);
    response = {};
    response.adc_offset = wrong;
    CHECK_THROWS(Readout(workspace(), detector, response, {}), std::invalid_argument);
    response = {};
    response.quantum_gain = wrong;
    CHECK_THROWS(Readout(workspace(), detector, response, {}), std::invalid_argument);
    CHECK_THROWS(Readout(workspace(), detector, {}, {CountType::int32, wrong}), std::invalid_argument);
  }
  DetectorResponse dark;
  dark.quantum_gain = 0;
  CHECK_THROWS(Readout(workspace(), detector, dark, {}), std::invalid_argument);
  CHECK_THROWS(Readout(workspace(), detector, {}, {CountType::uint16, 65534}), std::invalid_argument);
  CHECK_THROWS(Readout(workspace(), detector, {}, {}, std::vector<std::uint8_t>(3)), std::invalid_argument);
  Readout readout(workspace(), detector, {}, {});
  CHECK_THROWS(readout.start(workspace(), Image(workspace(), 3), 1, 0), std::invalid_argument);
}
