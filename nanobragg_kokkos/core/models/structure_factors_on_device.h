// The structure factors as kernels see them: a box of indices, channels running fastest, since the wavelengths that
// excite a reflection are neighbours.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_STRUCTURE_FACTORS_ON_DEVICE_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_STRUCTURE_FACTORS_ON_DEVICE_H

#include <cstdint>

#include <nanobragg_kokkos/core/math/vector.h>
#include <nanobragg_kokkos/core/models/structure_factors.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

struct IndexBox {
  int low[3] = {0, 0, 0}, size[3] = {0, 0, 0};
  int channels = 0;

  // Where the amplitudes of a reflection begin, of which there are less than 2^31; -1 outside.  Without branches.
  KOKKOS_FORCEINLINE_FUNCTION int offset(int h, int k, int l) const {
    const unsigned from_h = unsigned(h) - low[0], from_k = unsigned(k) - low[1],
                   from_l = unsigned(l) - low[2];  // huge if less
    const bool inside = (from_h < unsigned(size[0])) & (from_k < unsigned(size[1])) & (from_l < unsigned(size[2]));
    return inside ? int(((from_h * size[1] + from_k) * size[2] + from_l) * channels) : -1;
  }
};

struct AmplitudeTable : IndexBox {
  DeviceTable<double> amplitude;  // and vector_lanes more, which vector code may read and not use
  DeviceTable<float> strongest;   // no less than the largest magnitude of each reflection in all channels
  double default_amplitude = 0;
  double largest = 0;  // magnitude of all

  // The amplitudes of a reflection in all channels; null if they are the default.
  KOKKOS_INLINE_FUNCTION const double* at(int h, int k, int l) const {
    const int begin = offset(h, k, l);
    return begin < 0 ? nullptr : amplitude.data() + begin;
  }

  KOKKOS_INLINE_FUNCTION double operator()(int h, int k, int l, int channel) const {
    const int begin = offset(h, k, l);
    return begin < 0 ? default_amplitude : amplitude(begin + channel);
  }

  // No less than the magnitude of a reflection's amplitude in any channel.
  KOKKOS_INLINE_FUNCTION double upper_bound(int h, int k, int l) const {
    const double* const all = at(h, k, l);
    return all ? strongest((all - amplitude.data()) / channels) : Kokkos::abs(default_amplitude);
  }

  // Between the lattice points: the cubic polynomials through four points a side (Lagrange).
  KOKKOS_INLINE_FUNCTION double tricubic(double h, double k, double l, int channel) const {
    double weight_h[4], weight_k[4], weight_l[4];
    const int h0 = lagrange_weights(h, weight_h), k0 = lagrange_weights(k, weight_k),
              l0 = lagrange_weights(l, weight_l);
    double sum = 0;
    for (int a = 0; a < 4; ++a)
      for (int b = 0; b < 4; ++b) {
        double row = 0;
        for (int c = 0; c < 4; ++c) row += weight_l[c] * (*this)(h0 + a, k0 + b, l0 + c, channel);
        sum += weight_h[a] * weight_k[b] * row;
      }
    return sum;
  }

  // The same, and its derivatives by h, k and l.
  KOKKOS_INLINE_FUNCTION double tricubic_derivatives(double h, double k, double l, int channel, Vec3& by_index) const {
    double weight_h[4], weight_k[4], weight_l[4], slope_h[4], slope_k[4], slope_l[4];
    const int h0 = lagrange_weights(h, weight_h), k0 = lagrange_weights(k, weight_k),
              l0 = lagrange_weights(l, weight_l);
    lagrange_slopes(h, slope_h), lagrange_slopes(k, slope_k), lagrange_slopes(l, slope_l);
    double sum = 0;
    by_index = {};
    for (int a = 0; a < 4; ++a)
      for (int b = 0; b < 4; ++b)
        for (int c = 0; c < 4; ++c) {
          const double f = (*this)(h0 + a, k0 + b, l0 + c, channel);
          sum += weight_h[a] * weight_k[b] * weight_l[c] * f;
          by_index.x += slope_h[a] * weight_k[b] * weight_l[c] * f;
          by_index.y += weight_h[a] * slope_k[b] * weight_l[c] * f;
          by_index.z += weight_h[a] * weight_k[b] * slope_l[c] * f;
        }
    return sum;
  }

 private:
  // Weights of the four integers around x; returns the first of them.
  KOKKOS_INLINE_FUNCTION static int lagrange_weights(double x, double weight[4]) {
    const double base = Kokkos::floor(x), t = x - base;
    weight[0] = -t * (t - 1) * (t - 2) / 6;
    weight[1] = (t + 1) * (t - 1) * (t - 2) / 2;
    weight[2] = -(t + 1) * t * (t - 2) / 2;
    weight[3] = (t + 1) * t * (t - 1) / 6;
    return int(base) - 1;
  }

  // The derivatives of the weights by x.
  KOKKOS_INLINE_FUNCTION static void lagrange_slopes(double x, double slope[4]) {
    const double t = x - Kokkos::floor(x);
    slope[0] = -((3 * t - 6) * t + 2) / 6;
    slope[1] = ((3 * t - 4) * t - 1) / 2;
    slope[2] = -((3 * t - 2) * t - 2) / 2;
    slope[3] = (3 * t * t - 1) / 6;
  }
};

struct StructureFactors::OnDevice : ResidentTable<AmplitudeTable> {
  std::shared_ptr<const void> owner;  // of memory that the table does not hold itself
};

}  // namespace nanobragg
#endif
