// The incident beam: any number of plane waves, each with a direction, a wavelength and a weight of its own.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_SOURCES_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_SOURCES_H

#include <cstddef>
#include <memory>
#include <vector>

#include <nanobragg_kokkos/core/math/vector.h>

namespace nanobragg {

struct Source {
  Vec3 direction;         // of flight; need not be a unit vector
  double wavelength = 0;  // m
  double weight = 1;      // relative; the weights are divided by their sum
  int channel = 0;        // of the structure factors that this source sees
};

struct Polarization {
  bool on = true;                 // false: no polarization factor at all
  double kahn_factor = 0;         // degree of linear polarization: 1 fully, 0 not, -1 fully in the other direction
  Vec3 electric_vector{0, 1, 0};  // only its component at right angles to each source's direction counts
};

class Sources {
 public:
  // fluence: photons per m^2 that fall on the sample, of all sources together.
  // Throws std::invalid_argument without a source, for a wavelength that is not positive, a negative weight or channel,
  // weights that sum to zero, a direction of length zero, a Kahn factor outside -1…1, an electric vector along the
  // beam, a negative fluence.
  Sources(const std::vector<Source>& sources, const Polarization& polarization, double fluence);

  double fluence() const { return fluence_; }
  std::size_t size() const { return size_; }
  std::size_t n_directions() const { return n_directions_; }
  double largest_wavenumber() const { return largest_wavenumber_; }  // 1/m
  int n_channels() const { return n_channels_; }                     // the largest channel, plus one

  struct OnDevice;
  const OnDevice& on_device() const { return *on_device_; }

 private:
  double fluence_;
  std::size_t size_, n_directions_ = 0;
  double largest_wavenumber_ = 0;
  int n_channels_ = 0;
  std::shared_ptr<OnDevice> on_device_;
};

}  // namespace nanobragg
#endif
