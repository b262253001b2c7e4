// Structure factor amplitudes on the P1 lattice, one value a channel and reflection.
#ifndef NANOBRAGG_KOKKOS_CORE_STRUCTURE_FACTORS_H
#define NANOBRAGG_KOKKOS_CORE_STRUCTURE_FACTORS_H

#include <array>
#include <memory>
#include <vector>

namespace nanobragg {

struct Amplitude {
  std::array<int, 3> hkl;
  double value;
};

class StructureFactors {
 public:
  // channels: for each channel the amplitudes that are known; all others are default_amplitude, and that of (0, 0, 0)
  // is F000 in every channel, since what the direct beam does is not for the crystal's data to say.
  // Throws std::invalid_argument without a channel, for amplitudes that are not finite, or indices that span 2^31
  // amplitudes or more.
  StructureFactors(const std::vector<std::vector<Amplitude>>& channels, double default_amplitude, double F000);

  int n_channels() const { return n_channels_; }

  struct OnDevice;
  const OnDevice& on_device() const { return *on_device_; }

 private:
  int n_channels_;
  std::shared_ptr<OnDevice> on_device_;
};

}  // namespace nanobragg
#endif
