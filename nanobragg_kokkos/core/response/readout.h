// Reads out images as whole numbers on the host.
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
  double saturation = 65534;  // highest valid count; brighter pixels read one more

  double masked() const { return type == CountType::int32 ? -1 : 65535; }           // value of a masked pixel
  double highest() const { return type == CountType::int32 ? 2147483646 : 65533; }  // highest saturation
};

// The counts of an image, which may still be on their way to the host.
class Counts {
 public:
  // Waits for the counts and returns them in the order of the detector's pixels, std::int32_t or std::uint16_t.  The
  // memory lives as long as the pointer, even after the end of Kokkos, and is reused after that.
  std::shared_ptr<const void> on_host() const;

  struct UnderWay;
  explicit Counts(std::shared_ptr<UnderWay> under_way) : under_way_(std::move(under_way)) {}

 private:
  std::shared_ptr<UnderWay> under_way_;
};

// Reads out a detector any number of times.  Threads that share a Readout take turns, whatever their workspaces; to
// read out images side by side, use a Readout for each.
class Readout {
 public:
  // mask: empty, or one value per pixel; pixels with 0 read CountRange::masked().
  // Throws std::invalid_argument if a standard deviation, gain or offset is negative or not finite, the gain is 0, the
  // saturation is below 0 or above CountRange::highest(), the mask has the wrong size, or Blur throws.
  Readout(Workspace& workspace, const Detector& detector, const DetectorResponse& response, const CountRange& range,
          const std::vector<std::uint8_t>& mask = {});

  const CountRange& range() const { return range_; }
  std::size_t n_pixels() const { return n_pixels_; }

  // Starts to make the counts of an image of expected photons, which may change as soon as this returns.  The copy to
  // the host may continue then; two copies may be under way at a time.
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
