// The kernel of a detector's response: from expected photons to photons, from photons to counts, or both at once.
#ifndef NANOBRAGG_KOKKOS_CORE_RESPONSE_RESPONSE_KERNEL_H
#define NANOBRAGG_KOKKOS_CORE_RESPONSE_RESPONSE_KERNEL_H

#include <type_traits>

#include <nanobragg_kokkos/core/math/normal.h>
#include <nanobragg_kokkos/core/math/poisson.h>
#include <nanobragg_kokkos/core/response/detector_response.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

// Pixels of one panel that follow each other.
struct PixelBlock {
  static constexpr int most = 1024;
  std::int64_t first;             // of all pixels
  std::uint32_t panel, in_panel;  // which panel, and the first pixel's number there
  int n;
};

// The numbers that a response draws in one image, and what they are multiplied with.
struct ResponseNumbers {
  RandomStream photons, calibration, readout;
  double brightness = 1;  // flicker's factor
};

// photons: whether the image holds expected photons, of which photons are made; otherwise it holds these.
// Output: double for photons; or what counts are stored in.
template <bool photons, class Output>
struct Respond {
  static constexpr bool counts = !std::is_same<Output, double>::value;

  DeviceTable<PixelBlock> blocks;
  DeviceTable<std::uint8_t> mask;  // empty: all pixels count
  DeviceBuffer<const double> image;
  DeviceBuffer<Output> output;
  PoissonTable poisson;
  ResponseNumbers numbers;
  bool photon_noise;
  double calibration_noise, quantum_gain, readout_noise, adc_offset;
  double highest, masked;  // counts

  // Groups of 64 pixels, of which two share the bits of a pair of normal deviates: number k and k + 32.  A thread of a
  // GPU takes one pair, vector code on a CPU all 32.
  static constexpr int pairs_of_group = 32, pairs_of_block = PixelBlock::most / 2;

  std::int64_t n_iterations() const { return std::int64_t(blocks.extent(0)) * (host_is_device ? 1 : pairs_of_block); }

  KOKKOS_FUNCTION void operator()(const std::int64_t i) const {
    if constexpr (host_is_device) {
      const PixelBlock block = blocks(i);
      for (int first = 0; first < block.n; first += 2 * pairs_of_group) respond<pairs_of_group>(block, first);
    } else {
      const PixelBlock block = blocks(i / pairs_of_block);
      const int pair = int(i % pairs_of_block);
      const int first = pair / pairs_of_group * (2 * pairs_of_group) + pair % pairs_of_group;
      if (first < block.n) respond<1>(block, first);
    }
  }

  // Pixel `first` of a block and those that follow it, and those 32 farther on.
  template <int pairs>
  KOKKOS_FORCEINLINE_FUNCTION void respond(const PixelBlock& block, int first) const {
    constexpr int n = 2 * pairs;
    const auto place = [first](int k) { return first + (k < pairs ? k : pairs_of_group + k - pairs); };
    const bool all = place(n - 1) < block.n;
    const std::uint32_t pixel = block.in_panel + std::uint32_t(first);
    double value[n];
    if (all)
      for (int k = 0; k < n; ++k) value[k] = image(block.first + place(k));
    else
      for (int k = 0; k < n; ++k) value[k] = place(k) < block.n ? image(block.first + place(k)) : 0;
    if constexpr (photons) {
      for (int k = 0; k < n; ++k) value[k] = (value[k] > 0 ? value[k] : 0) * numbers.brightness;
      if (photon_noise) count<pairs>(block.panel, pixel, value);
      if (calibration_noise > 0) {
        double deviate[n];
        draw_normal<pairs>(numbers.calibration, block.panel, pixel, deviate);
        for (int k = 0; k < n; ++k) {
          const double factor = Kokkos::fma(calibration_noise, deviate[k], 1.0);
          value[k] *= factor > 0 ? factor : 0;
        }
      }
    }
    if constexpr (counts) {
      for (int k = 0; k < n; ++k) value[k] = Kokkos::fma(quantum_gain, value[k], adc_offset);
      if (readout_noise > 0) {
        double deviate[n];
        draw_normal<pairs>(numbers.readout, block.panel, pixel, deviate);
        for (int k = 0; k < n; ++k) value[k] = Kokkos::fma(readout_noise, deviate[k], value[k]);
      }
      for (int k = 0; k < n; ++k) {
        value[k] = Kokkos::nearbyint(value[k]);
        value[k] = value[k] > 0 ? (value[k] < highest ? value[k] : highest) : 0;
      }
    }
    if (all && mask.extent(0) == 0) {
      for (int k = 0; k < n; ++k) output(block.first + place(k)) = Output(value[k]);
    } else {
      for (int k = 0; k < n; ++k)
        if (place(k) < block.n)
          output(block.first + place(k)) =
              Output(counts && mask.extent(0) > 0 && !mask(block.first + place(k)) ? masked : value[k]);
    }
  }

 private:
  // Of the pixels `pixel` and those that follow it, and of those 32 farther on.
  template <int pairs>
  KOKKOS_FORCEINLINE_FUNCTION void draw_normal(const RandomStream& stream, std::uint32_t panel, std::uint32_t pixel,
                                               double (&deviate)[2 * pairs]) const {
    for (int k = 0; k < pairs; ++k) {
      const NormalPair pair = normal_pair(stream(panel, pixel + std::uint32_t(k)));
      deviate[k] = pair.first;
      deviate[pairs + k] = pair.second;
    }
  }

  // Photons in place of their mean number.
  template <int pairs>
  KOKKOS_FORCEINLINE_FUNCTION void count(std::uint32_t panel, std::uint32_t pixel, double (&mean)[2 * pairs]) const {
    constexpr int n = 2 * pairs;
    const auto pixel_of = [pixel](int k) { return pixel + std::uint32_t(k < pairs ? k : pairs_of_group + k - pairs); };
    std::uint64_t low[n], high[n];
    for (int k = 0; k < n; ++k) {
      const RandomBits bits = numbers.photons(panel, pixel_of(k));
      low[k] = bits.low();
      high[k] = bits.high();
    }
    double few[n];
    std::int64_t unfinished = 0;  // as wide as the numbers beside it, which are taken several at a time
    for (int k = 0; k < n; ++k) {
      const double tabulated = mean[k] < PoissonTable::means ? mean[k] : 0;
      const std::int64_t whole = std::int64_t(tabulated);
      const FewEvents rest(tabulated - double(whole), uniform(high[k]));
      few[k] = double(poisson.draw(whole, low[k])) + rest.events;
      unfinished |= rest.more() || mean[k] >= PoissonTable::means ? 1 : 0;
    }
    if (unfinished)
      for (int k = 0; k < n; ++k) few[k] = count_one(panel, pixel_of(k), mean[k], few[k], high[k]);
    for (int k = 0; k < n; ++k) mean[k] = few[k];
  }

  // What vector code cannot do at once; few: what it found.
  KOKKOS_FUNCTION double count_one(std::uint32_t panel, std::uint32_t pixel, double mean, double few,
                                   std::uint64_t bits) const {
    if (mean < PoissonTable::means) {
      FewEvents rest(mean - double(std::int64_t(mean)), uniform(bits));
      const double found = rest.events;
      rest.finish();
      return few + (rest.events - found);
    }
    // Doubles have no single photons beyond, and no detector counts so many.
    const double bounded = mean < 1e15 ? mean : 1e15;
    double events = -1;
    for (std::uint32_t attempt = 0; events < 0; ++attempt)
      events = many_events(bounded, numbers.photons(panel, pixel, attempt));
    return events;
  }
};

}  // namespace nanobragg
#endif
