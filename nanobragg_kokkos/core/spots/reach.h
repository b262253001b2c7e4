// The distance from a reflection to which the reflection-driven engine looks for light.
//
// At a given wavelength, a ray receives light from only one reflection of a block, the nearest; the weights of the
// sources sum to 1, and the polarization factor is at most 1.  So a pixel loses at most
//   blocks × largest ray weight × V^2 F^2 × envelope(R)
// if each reflection is left out beyond a reduced distance R, beyond which its shape stays below `envelope` of V^2.
// The engine first computes some pixels, each with a few sources and one reflection of a block.  The brightest of
// these, b, is no more than the brightest pixel.  The engine chooses R for every reflection such that the loss is at
// most tolerance × b.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_REACH_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_REACH_H

#include <Kokkos_Core.hpp>

#include <nanobragg_kokkos/core/models/lattice_shapes.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

// The decrease of a reflection's photons with the distance from it.  Other quantities have their own envelopes: a
// derivative reaches farther.
template <Shape shape>
struct PhotonEnvelope {
  // The square of the largest reduced distance (lattice_shapes.h) with any light; negative if there is no largest.
  KOKKOS_FORCEINLINE_FUNCTION static constexpr double largest_reach2() { return nanobragg::reach2<shape>(); }

  // The square of the reduced distance beyond which the shape stays below exp(log_envelope) of its peak; negative if it
  // always does.
  KOKKOS_INLINE_FUNCTION static double reach2(double log_envelope) {
    if (log_envelope >= 0) return -1;
    if constexpr (shape == Shape::tophat) return largest_reach2();
    if constexpr (shape == Shape::gauss || shape == Shape::gauss_argchk)
      return Kokkos::min(largest_reach2(), -0.63 / 2 * log_envelope);
    // |3 (sin x - x cos x) / x^3|^2 <= 9 (1 + 1/x^2) / x^4, here with a lower bound for the x in brackets
    if constexpr (shape == Shape::round) {
      const double bound = 9 * 0.723601254558268 * 0.723601254558268 * Kokkos::exp(-log_envelope);
      return Kokkos::sqrt(bound * (1 + 1 / Kokkos::sqrt(bound))) / (Kokkos::numbers::pi * Kokkos::numbers::pi);
    }
    // Each axis gives at most min(1, 1 / (4 u^2)) of its peak, u being its part of the reduced distance, since sin(pi
    // d) >= 2 d: the most where two axes stay at u = 1/2 and one has the rest of the distance.
    return Kokkos::exp(-log_envelope) / 4 + 0.5;
  }
};

template <class Envelope>
struct Reach {
  Kokkos::View<const double, DeviceSpace> brightest;  // b, before the scale of the spots
  double log_loss;                                    // of blocks × largest ray weight × V^2 / tolerance

  KOKKOS_INLINE_FUNCTION double reach2(double amplitude) const {
    if (amplitude == 0) return -1;
    return Envelope::reach2(Kokkos::log(brightest()) - log_loss - 2 * Kokkos::log(Kokkos::abs(amplitude)));
  }
};

}  // namespace nanobragg
#endif
