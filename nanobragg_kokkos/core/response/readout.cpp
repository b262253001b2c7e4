#include <nanobragg_kokkos/core/response/readout.h>

#include <algorithm>
#include <cmath>
#include <mutex>
#include <stdexcept>
#include <utility>

#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/response/response_kernel.h>
#include <nanobragg_kokkos/core/runtime/host_buffers.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>

namespace nanobragg {
namespace {

std::vector<PixelBlock> blocks_of(const Detector& detector) {
  std::vector<PixelBlock> blocks;
  for (std::size_t panel = 0; panel < detector.panels().size(); ++panel) {
    const auto begin = std::int64_t(detector.first_pixel(panel)), end = std::int64_t(detector.first_pixel(panel + 1));
    for (std::int64_t first = begin; first < end; first += PixelBlock::most)
      blocks.push_back({first, std::uint32_t(panel), std::uint32_t(first - begin),
                        int(std::min<std::int64_t>(end - first, PixelBlock::most))});
  }
  return blocks;
}

double flicker_factor(double flicker, std::uint64_t seed, std::uint32_t image) {
  const NormalPair deviates = normal_pair(RandomStream{seed, image, Purpose::flicker}(0, 0));
  return std::max(0.0, 1 + flicker * deviates.first);
}

std::size_t bytes_of_count(const CountRange& range) {
  return range.type == CountType::int32 ? sizeof(std::int32_t) : sizeof(std::uint16_t);
}

}  // namespace

// Two images can be on their way to the host, each from a buffer of the device and through a queue of its own.
struct Readout::OnDevice : Resident {
  static constexpr int buffers = 2;

  DeviceTable<PixelBlock> blocks;
  DeviceTable<std::uint8_t> mask;
  PoissonTable poisson;
  std::unique_ptr<Blur> blur;
  std::unique_ptr<Image> photons, blurred;
  HostBuffers host;
  DeviceBuffer<char> counts[buffers];  // not needed where the device is the host
  std::vector<ExecutionSpace> queues;
  int next = 0;
  std::mutex mutex;

  OnDevice(Workspace& workspace, const Detector& detector, const DetectorResponse& response, const CountRange& range,
           const std::vector<std::uint8_t>& good)
      : host(detector.n_pixels() * bytes_of_count(range)) {
    const Calculation calculation(workspace, "nanobragg::response::prepare_readout");
    const ExecutionSpace& space = calculation.space();
    blocks = to_device(space, "nanobragg::response::blocks", blocks_of(detector));
    if (!good.empty()) mask = to_device(space, "nanobragg::response::mask", good);
    if (response.photon_noise) poisson = poisson_table(space);
    if (response.point_spread) {
      blur = std::make_unique<Blur>(workspace, detector, *response.point_spread);
      photons = std::make_unique<Image>(workspace, detector.n_pixels());
      blurred = std::make_unique<Image>(workspace, detector.n_pixels());
    }
    if (!host_is_device) {
      for (auto& buffer : counts)
        buffer =
            DeviceBuffer<char>(Kokkos::view_alloc(space, "nanobragg::response::counts", Kokkos::WithoutInitializing),
                               detector.n_pixels() * bytes_of_count(range));
      queues = Kokkos::Experimental::partition_space(space, std::vector<int>(buffers, 1));
    }
  }

  // Waits for what was sent from a buffer.
  void wait(int buffer) const {
    if (!queues.empty()) queues[std::size_t(buffer)].fence("nanobragg::response::copy");
  }

  void release() noexcept override {
    for (int buffer = 0; buffer < buffers; ++buffer) wait(buffer), counts[buffer] = {};
    queues.clear();
    blocks = {};
    mask = {};
    poisson = {};
  }
};

struct Counts::UnderWay {
  std::shared_ptr<Readout::OnDevice> from;
  int buffer;
  std::shared_ptr<void> memory;

  UnderWay(std::shared_ptr<Readout::OnDevice> from_, int buffer_, std::shared_ptr<void> memory_)
      : from(std::move(from_)), buffer(buffer_), memory(std::move(memory_)) {}
  // The memory goes to another image once nobody needs it; nothing must come there any more.
  ~UnderWay() { from->wait(buffer); }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;
};

std::shared_ptr<const void> Counts::on_host() const {
  const Kokkos::Profiling::ScopedRegion region("nanobragg::response::counts_on_host");
  under_way_->from->wait(under_way_->buffer);
  return under_way_->memory;
}

Readout::Readout(Workspace& workspace, const Detector& detector, const DetectorResponse& response,
                 const CountRange& range, const std::vector<std::uint8_t>& mask)
    : response_(response), range_(range), n_pixels_(detector.n_pixels()) {
  const auto require = [](bool good, const char* what) {
    if (!good) throw std::invalid_argument(what);
  };
  const auto not_negative = [](double x) { return x >= 0 && std::isfinite(x); };
  require(not_negative(response.flicker), "flicker must be finite and not negative");
  require(not_negative(response.calibration_noise), "calibration_noise must be finite and not negative");
  require(not_negative(response.readout_noise), "readout_noise must be finite and not negative");
  require(not_negative(response.quantum_gain) && response.quantum_gain > 0,
          "quantum_gain must be finite and more than 0");
  require(not_negative(response.adc_offset), "adc_offset must be finite and not negative");
  require(range.saturation >= 0 && range.saturation <= range.highest(),
          range.type == CountType::int32 ? "saturation must lie between 0 and 2147483646"
                                         : "saturation must lie between 0 and 65533");
  require(mask.empty() || mask.size() == n_pixels_, "the mask of a readout does not have the detector's pixels");
  on_device_ = std::make_shared<OnDevice>(workspace, detector, response, range, mask);
}

// Runs the kernel that makes Output of an image.
template <bool photons, class Output>
void Readout::respond(Workspace& workspace, const Image& image, Output* output, std::uint64_t seed,
                      std::uint32_t number) const {
  const OnDevice& d = *on_device_;
  const ResponseNumbers numbers{{seed, number, Purpose::photons},
                                {response_.calibration_seed, 0, Purpose::calibration},
                                {seed, number, Purpose::readout},
                                flicker_factor(response_.flicker, seed, number)};
  const Respond<photons, Output> kernel{d.blocks,
                                        d.mask,
                                        image.on_device().pixels,
                                        DeviceBuffer<Output>(output, n_pixels_),
                                        d.poisson,
                                        numbers,
                                        response_.photon_noise,
                                        response_.calibration_noise,
                                        response_.quantum_gain,
                                        response_.readout_noise,
                                        response_.adc_offset,
                                        std::floor(range_.saturation) + 1,
                                        range_.masked()};
  Kokkos::parallel_for(
      photons ? "nanobragg::response::photons" : "nanobragg::response::counts",
      light_weight(
          Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(
              workspace.on_device().space(), 0, kernel.n_iterations())),
      kernel);
}

template <class Count>
Counts Readout::start_as(Workspace& workspace, const Image& expected, std::uint64_t seed, std::uint32_t image) {
  const Calculation calculation(workspace, "nanobragg::response::read_out");
  OnDevice& d = *on_device_;
  const int buffer = d.next;
  d.next = (d.next + 1) % OnDevice::buffers;
  d.wait(buffer);
  const std::shared_ptr<void> memory = d.host.take();
  auto* const on_host = static_cast<Count*>(memory.get());
  auto* const counts = host_is_device ? on_host : reinterpret_cast<Count*>(d.counts[buffer].data());
  if (d.blur) {
    respond<true, double>(workspace, expected, d.photons->on_device().pixels.data(), seed, image);
    d.blur->apply(workspace, *d.photons, *d.blurred);
    respond<false, Count>(workspace, *d.blurred, counts, seed, image);
  } else {
    respond<true, Count>(workspace, expected, counts, seed, image);
  }
  calculation.space().fence("nanobragg::response");
  if (!host_is_device)
    Kokkos::deep_copy(d.queues[std::size_t(buffer)],
                      Kokkos::View<Count*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(on_host, n_pixels_),
                      Kokkos::View<const Count*, DeviceSpace, Kokkos::MemoryUnmanaged>(counts, n_pixels_));
  return Counts(std::make_shared<Counts::UnderWay>(on_device_, buffer, memory));
}

Counts Readout::start(Workspace& workspace, const Image& expected, std::uint64_t seed, std::uint32_t image) {
  nanobragg::start();
  if (expected.size() != n_pixels_) throw std::invalid_argument("the image does not have the detector's pixels");
  const std::lock_guard<std::mutex> lock(on_device_->mutex);
  if (on_device_->blocks.extent(0) == 0)
    throw std::runtime_error("the readout has been released: the Kokkos runtime has ended");
  return range_.type == CountType::int32 ? start_as<std::int32_t>(workspace, expected, seed, image)
                                         : start_as<std::uint16_t>(workspace, expected, seed, image);
}

}  // namespace nanobragg
