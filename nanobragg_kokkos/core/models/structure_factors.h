// Structure factor amplitudes on the P1 lattice, one value per channel and reflection.
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

// Amplitudes in memory of the host, in the layout that kernels read: l is the fastest index, and channels are faster.
struct AmplitudesInMemory {
  std::array<int, 3> low, size;  // smallest indices, and number of each
  int n_channels;
  const double* amplitude;            // all channels, then structure_factors_padding more numbers
  const float* strongest;             // per reflection, at least the magnitude in any channel
  std::shared_ptr<const void> owner;  // keeps both alive
};

// Vector code may read this many numbers after the last amplitude without using them.
constexpr int structure_factors_padding = 8;

class StructureFactors {
 public:
  // channels: the known amplitudes of each channel; all others are default_amplitude, and (0, 0, 0) has F000 in every
  // channel, because the crystal's data do not describe the direct beam.
  // Throws std::invalid_argument if there is no channel, an amplitude is not finite, or the indices span 2^31 or more
  // amplitudes.
  StructureFactors(const std::vector<std::vector<Amplitude>>& channels, double default_amplitude, double F000);

  // Kernels on a CPU read this memory itself, which processes may share; a GPU gets a copy.  Reflections outside the
  // box are 0.  Throws std::invalid_argument if the box has no channel, 2^31 or more amplitudes or no (0, 0, 0), or if
  // strongest is not finite.
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
