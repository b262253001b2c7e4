// Structure factor amplitudes on the P1 lattice, one value a channel and reflection.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_STRUCTURE_FACTORS_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_STRUCTURE_FACTORS_H

#include <array>
#include <memory>
#include <vector>

namespace nanobragg {

struct Amplitude {
  std::array<int, 3> hkl;
  double value;
};

// Amplitudes that lie in memory of the host as the kernels read them: l runs fastest of the indices, channels faster.
struct AmplitudesInMemory {
  std::array<int, 3> low, size;  // the least indices, and how many there are
  int n_channels;
  const double* amplitude;            // of all channels, and structure_factors_padding numbers more
  const float* strongest;             // for each reflection no less than the magnitude in any channel
  std::shared_ptr<const void> owner;  // keeps both alive
};

// Vector code may read as many numbers after the last amplitude, and does not use them.
constexpr int structure_factors_padding = 8;

class StructureFactors {
 public:
  // channels: for each channel the amplitudes that are known; all others are default_amplitude, and that of (0, 0, 0)
  // is F000 in every channel, since what the direct beam does is not for the crystal's data to say.
  // Throws std::invalid_argument without a channel, for amplitudes that are not finite, or indices that span 2^31
  // amplitudes or more.
  StructureFactors(const std::vector<std::vector<Amplitude>>& channels, double default_amplitude, double F000);

  // Kernels on a CPU read this very memory, which processes may share; a GPU is given a copy.  Reflections outside
  // are 0.  Throws std::invalid_argument for a box without a channel or with 2^31 amplitudes or more, or without
  // (0, 0, 0), and where strongest is not finite.
  explicit StructureFactors(const AmplitudesInMemory& amplitudes);

  int n_channels() const { return n_channels_; }

  struct OnDevice;
  const OnDevice& on_device() const { return *on_device_; }

 private:
  int n_channels_;
  std::shared_ptr<OnDevice> on_device_;
};

}  // namespace nanobragg
#endif
