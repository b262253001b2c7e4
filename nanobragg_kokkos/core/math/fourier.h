// Fourier transforms of lines of complex numbers, several lines at a time, in the scratch memory of a team.
//
// Lengths are powers of two.  The forward transform is decimated in frequency, the backward one in time, both by eights
// as far as they go and the rest by fours: frequencies stay in the order that they come out in, which the way back
// undoes.
#ifndef NANOBRAGG_KOKKOS_CORE_MATH_FOURIER_H
#define NANOBRAGG_KOKKOS_CORE_MATH_FOURIER_H

#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

struct Complex {
  double re, im;
};

// A bundle: for each point of a line the real parts of all lines, then the imaginary parts.
struct FourierBundle {
  int length;     // of a line
  int by_eights;  // the part of it, a power of 8, that steps by eights transform
  int lane_bits_on_gpu;
  DeviceTable<Complex> turns;  // exp(-2 pi i k / length)

  FourierBundle(const ExecutionSpace& space, int length);  // a power of two, at least 32

  // As many lines as fill some registers of a CPU, or as there is scratch memory for on a GPU.
  static constexpr int lane_bits_on_host = 5, most_on_gpu = 2048, most_lane_bits_on_gpu = 3;
  KOKKOS_FORCEINLINE_FUNCTION int lanes() const { return 1 << (host_is_device ? lane_bits_on_host : lane_bits_on_gpu); }

  // Where in a bundle a point's numbers are.  There are gaps, so that points in a distance of a power of two do not
  // share a bank of memory or a set of a cache.
  KOKKOS_FORCEINLINE_FUNCTION int at(int point) const { return (point + point / 8) * 2 * lanes(); }

  KOKKOS_FORCEINLINE_FUNCTION int bytes() const { return at(length) * int(sizeof(double)); }
  KOKKOS_FORCEINLINE_FUNCTION int scratch_level() const { return bytes() <= fast_scratch ? 0 : 1; }
  template <class Team>
  KOKKOS_FORCEINLINE_FUNCTION double* scratch(const Team& team) const {
    return static_cast<double*>(team.team_scratch(scratch_level()).get_shmem_aligned(bytes(), 64));
  }

  // Calls what(lane) for each line: on a CPU in vectors, on a GPU in threads of their own.
  template <class Team, class What>
  KOKKOS_FORCEINLINE_FUNCTION void for_each_lane(const Team& team, const What& what) const;
  // Calls what(point), in which for_each_lane() may be called.
  template <class Team, class What>
  KOKKOS_FORCEINLINE_FUNCTION void for_each_point(const Team& team, int begin, int end, const What& what) const {
    Kokkos::parallel_for(Kokkos::TeamThreadRange(team, begin, end), what);
  }
  // Where the points of a line lie side by side elsewhere: calls what(there, here) for every `stretch` points, of which
  // begin and end are multiples; there = place(point, lane) is for the first of them and so is here, the next are 1 and
  // 2 lanes() doubles on.
  static constexpr int stretch = host_is_device ? 8 : 1;
  template <class Team, class Place, class What>
  KOKKOS_FORCEINLINE_FUNCTION void for_each_stretch(const Team& team, int begin, int end, double* bundle,
                                                    const Place& place, const What& what) const;

  template <class Team>
  KOKKOS_FUNCTION void forward(const Team& team, double* bundle) const {
    int part = length;
    for (; part > by_eights; part /= 4) pass<4, true>(team, part, bundle);
    for (; part > 1; part /= 8) pass<8, true>(team, part, bundle);
  }

  // Without the division by the length.
  template <class Team>
  KOKKOS_FUNCTION void backward(const Team& team, double* bundle) const {
    int part = 1;
    while (part < by_eights) pass<8, false>(team, part *= 8, bundle);
    while (part < length) pass<4, false>(team, part *= 4, bundle);
  }

 private:
  template <int radix, bool forward, class Team>
  KOKKOS_FORCEINLINE_FUNCTION void pass(const Team& team, int part, double* bundle) const;
};

KOKKOS_FORCEINLINE_FUNCTION Complex operator+(Complex a, Complex b) { return {a.re + b.re, a.im + b.im}; }
KOKKOS_FORCEINLINE_FUNCTION Complex operator-(Complex a, Complex b) { return {a.re - b.re, a.im - b.im}; }
KOKKOS_FORCEINLINE_FUNCTION Complex operator*(Complex a, Complex b) {
  return {Kokkos::fma(a.re, b.re, -(a.im * b.im)), Kokkos::fma(a.re, b.im, a.im * b.re)};
}
KOKKOS_FORCEINLINE_FUNCTION Complex times_minus_i(Complex a) { return {a.im, -a.re}; }

KOKKOS_FORCEINLINE_FUNCTION void transform(Complex& a, Complex& b, Complex& c, Complex& d) {
  const Complex even = a + c, odd = a - c, other_even = b + d, other_odd = times_minus_i(b - d);
  a = even + other_even, b = odd + other_odd, c = even - other_even, d = odd - other_odd;
}

KOKKOS_FORCEINLINE_FUNCTION void transform(Complex (&a)[4]) { transform(a[0], a[1], a[2], a[3]); }

KOKKOS_FORCEINLINE_FUNCTION void transform(Complex (&a)[8]) {
  constexpr double half_root = 0.70710678118654752440;
  Complex even[4], odd[4];
  for (int k = 0; k < 4; ++k) even[k] = a[k] + a[k + 4], odd[k] = a[k] - a[k + 4];
  odd[1] = {half_root * (odd[1].re + odd[1].im), half_root * (odd[1].im - odd[1].re)};
  odd[2] = times_minus_i(odd[2]);
  odd[3] = {half_root * (odd[3].im - odd[3].re), -half_root * (odd[3].re + odd[3].im)};
  transform(even);
  transform(odd);
  for (int k = 0; k < 4; ++k) a[2 * k] = even[k], a[2 * k + 1] = odd[k];
}

template <class Team, class What>
KOKKOS_FORCEINLINE_FUNCTION void FourierBundle::for_each_lane(const Team& team, const What& what) const {
  if constexpr (host_is_device) {
    // No lane touches what another one does.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__CUDACC__)
#pragma GCC ivdep
#endif
    for (int lane = 0; lane < 1 << lane_bits_on_host; ++lane) what(lane);
  } else {
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, lanes()), what);
  }
}

template <class Team, class Place, class What>
KOKKOS_FORCEINLINE_FUNCTION void FourierBundle::for_each_stretch(const Team& team, int begin, int end, double* bundle,
                                                                 const Place& place, const What& what) const {
  Kokkos::parallel_for(Kokkos::TeamThreadRange(team, begin / stretch, end / stretch), [&](int i) {
    double* const here = bundle + at(i * stretch);
    Kokkos::parallel_for(Kokkos::ThreadVectorRange(team, lanes()),
                         [&](int lane) { what(place(i * stretch, lane), here + lane); });
  });
}

// One step of all transforms of `part` points in the lines: `radix` points each, a radix-th of the part apart. Backward
// is forward with real and imaginary parts exchanged.
template <int radix, bool forward, class Team>
KOKKOS_FORCEINLINE_FUNCTION void FourierBundle::pass(const Team& team, int part, double* bundle) const {
  const int apart = part / radix, parts = length / part;
  const int re = forward ? 0 : lanes(), im = forward ? lanes() : 0;
  const int step = apart == 1 ? 2 * lanes() : at(apart);  // from one point to the next: apart is 1 or a multiple of 8
  Kokkos::parallel_for(Kokkos::TeamThreadRange(team, length / radix), [&](int i) {
    const int within = i & (apart - 1), turn = within * parts;
    double* const first = bundle + at((i - within) * radix + within);
    Complex factor[radix];
    for (int k = 1; k < radix; ++k) factor[k] = turns(k * turn);
    for_each_lane(team, [&](int lane) {
      Complex a[radix];
      for (int k = 0; k < radix; ++k) a[k] = {first[k * step + re + lane], first[k * step + im + lane]};
      if (!forward)
        for (int k = 1; k < radix; ++k) a[k] = a[k] * factor[k];
      transform(a);
      if (forward)
        for (int k = 1; k < radix; ++k) a[k] = a[k] * factor[k];
      for (int k = 0; k < radix; ++k) first[k * step + re + lane] = a[k].re, first[k * step + im + lane] = a[k].im;
    });
  });
  team.team_barrier();
}

}  // namespace nanobragg
#endif
