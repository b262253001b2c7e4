// The incident beam: any number of plane waves, each with its own direction, wavelength and weight.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_SOURCES_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_SOURCES_H

#include <cstddef>
#include <memory>
#include <vector>

#include <nanobragg_kokkos/core/math/vector.h>

namespace nanobragg {

struct Source {
  Vec3 direction;         // direction of flight, of any length
  double wavelength = 0;  // m
  double weight = 1;      // relative; the weights are divided by their sum
  int channel = 0;        // channel of the structure factors for this source
};

struct Polarization {
  bool on = true;                 // false: no polarization factor at all
  double kahn_factor = 0;         // degree of linear polarization: 1 fully, 0 not, -1 fully in the other direction
  Vec3 electric_vector{0, 1, 0};  // only its component perpendicular to each source's direction is used
};

class Sources {
 public:
  // fluence: photons per m^2 on the sample, all sources together.
  // Throws std::invalid_argument if there is no source, a wavelength is not positive, a weight or channel is negative,
  // the weights sum to zero, a direction has length zero, the Kahn factor is outside -1…1, the electric vector lies
  // along the beam, or the fluence is negative.
  Sources(const std::vector<Source>& sources, const Polarization& polarization, double fluence);

  double fluence() const { return fluence_; }
  std::size_t size() const { return size_; }
  std::size_t n_directions() const { return n_directions_; }
  double largest_wavenumber() const { return largest_wavenumber_; }  // 1/m
  int n_channels() const { return n_channels_; }                     // the largest channel, plus one
  // The place at which source i of the table on the device was given.
  std::size_t given(std::size_t i) const { return given_.at(i); }

  struct OnDevice;
  const OnDevice& on_device() const { return *on_device_; }

 private:
  double fluence_;
  std::size_t size_, n_directions_ = 0;
  double largest_wavenumber_ = 0;
  int n_channels_ = 0;
  std::vector<std::size_t> given_;
  std::shared_ptr<OnDevice> on_device_;
};

}  // namespace nanobragg
#endif
