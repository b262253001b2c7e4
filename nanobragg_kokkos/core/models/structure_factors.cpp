#include <nanobragg_kokkos/core/models/structure_factors.h>

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <nanobragg_kokkos/core/models/structure_factors_on_device.h>

namespace nanobragg {
namespace {

static_assert(structure_factors_padding >= vector_lanes, "vector code reads as many numbers at a time");

// What the kernels see of memory of the host: on a CPU that memory itself.
template <class T>
DeviceTable<T> seen_by_device(const char* label, const T* values, std::size_t n) {
  if constexpr (host_is_device)
    return DeviceTable<T>(values, n);
  else
    return to_device(label, values, n);
}

}  // namespace

StructureFactors::StructureFactors(const std::vector<std::vector<Amplitude>>& channels, double default_amplitude,
                                   double F000)
    : n_channels_(int(channels.size())) {
  if (channels.empty()) throw std::invalid_argument("the structure factors have no channel");
  if (!std::isfinite(default_amplitude) || !std::isfinite(F000))
    throw std::invalid_argument("default_amplitude and F000 must be finite");
  std::array<int, 3> low{0, 0, 0}, high{0, 0, 0};  // (0, 0, 0) always lies inside
  for (const auto& channel : channels)
    for (const Amplitude& a : channel) {
      if (!std::isfinite(a.value)) throw std::invalid_argument("a structure factor amplitude is not finite");
      for (int i = 0; i < 3; ++i) {
        low[i] = std::min(low[i], a.hkl[i]);
        high[i] = std::max(high[i], a.hkl[i]);
      }
    }
  double n = n_channels_;
  for (int i = 0; i < 3; ++i) n *= double(high[i]) - low[i] + 1;
  if (n > double(std::numeric_limits<std::int32_t>::max()))
    throw std::invalid_argument(
        "the Miller indices span too many amplitudes (2^31 or more with all channels): h from " +
        std::to_string(low[0]) + " to " + std::to_string(high[0]) + ", k from " + std::to_string(low[1]) + " to " +
        std::to_string(high[1]) + ", l from " + std::to_string(low[2]) + " to " + std::to_string(high[2]));

  on_device_ = std::make_shared<OnDevice>();
  const Kokkos::Profiling::ScopedRegion region("nanobragg::models::make_structure_factors");
  AmplitudeTable& d = on_device_->table;
  d.channels = n_channels_;
  d.default_amplitude = default_amplitude;
  for (int i = 0; i < 3; ++i) d.low[i] = low[i], d.size[i] = high[i] - low[i] + 1;
  std::vector<double> box(static_cast<std::size_t>(n) + vector_lanes, default_amplitude);
  const auto at = [&](const std::array<int, 3>& hkl, int channel) -> double& {
    const std::size_t h = hkl[0] - d.low[0], k = hkl[1] - d.low[1], l = hkl[2] - d.low[2];
    return box[((h * d.size[1] + k) * d.size[2] + l) * n_channels_ + channel];
  };
  for (int c = 0; c < n_channels_; ++c) {
    for (const Amplitude& a : channels[c]) at(a.hkl, c) = a.value;
    at({0, 0, 0}, c) = F000;
  }
  std::vector<float> strongest(static_cast<std::size_t>(n) / n_channels_);
  d.largest = std::abs(default_amplitude);
  for (std::size_t i = 0; i < strongest.size(); ++i) {
    double most = 0;
    for (int c = 0; c < n_channels_; ++c) most = std::max(most, std::abs(box[i * n_channels_ + c]));
    strongest[i] = most > 0 ? std::nextafter(float(most), std::numeric_limits<float>::infinity()) : 0;
    d.largest = std::max(d.largest, most);
  }
  d.strongest = to_device("nanobragg::structure_factors::strongest", strongest);
  d.amplitude = to_device("nanobragg::structure_factors", box);
}

StructureFactors::StructureFactors(const AmplitudesInMemory& given) : n_channels_(given.n_channels) {
  double reflections = 1;
  for (int i = 0; i < 3; ++i) {
    if (given.low[i] > 0 || given.low[i] + double(given.size[i]) <= 0)
      throw std::invalid_argument("the box of Miller indices does not hold (0, 0, 0)");
    reflections *= given.size[i];
  }
  if (n_channels_ < 1) throw std::invalid_argument("the structure factors have no channel");
  if (reflections * n_channels_ > double(std::numeric_limits<std::int32_t>::max()))
    throw std::invalid_argument("the Miller indices span too many amplitudes (2^31 or more with all channels)");
  const auto n = std::size_t(reflections);

  on_device_ = std::make_shared<OnDevice>();
  const Kokkos::Profiling::ScopedRegion region("nanobragg::models::make_structure_factors");
  AmplitudeTable& d = on_device_->table;
  d.channels = n_channels_;
  for (int i = 0; i < 3; ++i) d.low[i] = given.low[i], d.size[i] = given.size[i];
  for (std::size_t i = 0; i < n; ++i) {
    if (!std::isfinite(given.strongest[i])) throw std::invalid_argument("a structure factor amplitude is not finite");
    d.largest = std::max(d.largest, double(given.strongest[i]));
  }
  if (host_is_device) on_device_->owner = given.owner;
  d.strongest = seen_by_device("nanobragg::structure_factors::strongest", given.strongest, n);
  const std::size_t n_amplitudes = n * n_channels_ + structure_factors_padding;
  d.amplitude = seen_by_device("nanobragg::structure_factors", given.amplitude, n_amplitudes);
}

}  // namespace nanobragg
