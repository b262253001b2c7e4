// The sources as kernels see them: grouped by direction, because most of the work of a pixel depends on the direction
// alone, and sorted by wavelength within a direction.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_SOURCES_ON_DEVICE_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_SOURCES_ON_DEVICE_H

#include <nanobragg_kokkos/core/math/range.h>
#include <nanobragg_kokkos/core/models/sources.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

struct Direction {
  Vec3 incident;  // unit vector of flight
  Vec3 electric,
      magnetic;            // unit vectors; (electric, incident, magnetic) is right-handed; zero if nothing is polarized
  Range sources;           // that fly in it
  double per_wavenumber;   // number of sources per wavenumber if they are evenly spaced, else 0
  bool channels_in_order;  // the channels of its sources are consecutive numbers
};

struct alignas(16) Wave {
  double wavenumber, weight;
};

struct SourceTable {
  DeviceTable<Direction> directions;
  // The arrays of the sources end with vector_lanes more, which vector code may read and not use.
  DeviceTable<double> wavenumber;  // 1 / wavelength, 1/m, ascending within a direction
  DeviceTable<double> weight;      // sums to 1 over all directions
  DeviceTable<int> channel;
  DeviceTable<Wave> waves;  // wavenumber and weight once more, side by side
  bool polarized = true;
  double kahn_factor = 0;

  // Kahn et al., J. Appl. Cryst. 15, 330 (1982): (1 + cos^2 2theta - K cos 2psi sin^2 2theta) / 2.  With the components
  // of the diffracted unit vector along electric and magnetic vector, cos 2psi sin^2 2theta is e^2 - m^2.
  KOKKOS_INLINE_FUNCTION double polarization(const Direction& source, Vec3 diffracted) const {
    if (!polarized) return 1;
    const double c = dot(diffracted, source.incident), e = dot(diffracted, source.electric),
                 m = dot(diffracted, source.magnetic);
    return 0.5 * (1 + c * c - kahn_factor * (e * e - m * m));
  }
};

struct Sources::OnDevice : ResidentTable<SourceTable> {};

}  // namespace nanobragg
#endif
