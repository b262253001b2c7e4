// Images as a detector puts them out: whole numbers, on the host.
#ifndef NANOBRAGG_KOKKOS_CORE_RESPONSE_READOUT_H
#define NANOBRAGG_KOKKOS_CORE_RESPONSE_READOUT_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include <nanobragg_kokkos/core/models/detector.h>
#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/response/detector_response.h>

namespace nanobragg {

enum class CountType { int32, uint16 };

struct CountRange {
  CountType type = CountType::int32;
  double saturation = 65534;  // the highest count that is one; what is brighter reads one more

  double masked() const { return type == CountType::int32 ? -1 : 65535; }           // of a pixel that counts nothing
  double highest() const { return type == CountType::int32 ? 2147483646 : 65533; }  // saturation
};

// The counts of an image, on their way to the host or there.
class Counts {
 public:
  // The counts in the order of the detector's pixels, std::int32_t or std::uint16_t, once they are there.  The memory
  // lives as long as the pointer, Kokkos or no Kokkos, and is used again after that.
  std::shared_ptr<const void> on_host() const;

  struct UnderWay;
  explicit Counts(std::shared_ptr<UnderWay> under_way) : under_way_(std::move(under_way)) {}

 private:
  std::shared_ptr<UnderWay> under_way_;
};

// A detector ready to be read out, time and again.  Threads that share one take turns, whatever their workspaces;
// images are read out side by side by one Readout for each.
class Readout {
 public:
  // mask: empty, or one value a pixel; pixels with 0 read CountRange::masked().
  // Throws std::invalid_argument for a standard deviation, gain or offset that is negative or not finite, a gain of 0,
  // a saturation that is below 0 or above CountRange::highest(), a mask of another size, and what Blur refuses.
  Readout(Workspace& workspace, const Detector& detector, const DetectorResponse& response, const CountRange& range,
          const std::vector<std::uint8_t>& mask = {});

  const CountRange& range() const { return range_; }
  std::size_t n_pixels() const { return n_pixels_; }

  // The counts of an image of expected photons, which can be changed as soon as this returns.  The copy to the host may
  // still be under way then; two can be.
  Counts start(Workspace& workspace, const Image& expected, std::uint64_t seed, std::uint32_t image);

  struct OnDevice;

 private:
  template <bool photons, class Output>
  void respond(Workspace& workspace, const Image& image, Output* output, std::uint64_t seed,
               std::uint32_t number) const;
  template <class Count>
  Counts start_as(Workspace& workspace, const Image& expected, std::uint64_t seed, std::uint32_t image);

  DetectorResponse response_;
  CountRange range_;
  std::size_t n_pixels_;
  std::shared_ptr<OnDevice> on_device_;
};

}  // namespace nanobragg
#endif
