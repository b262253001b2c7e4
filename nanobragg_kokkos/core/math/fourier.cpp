#include <nanobragg_kokkos/core/math/fourier.h>

#include <cmath>

namespace nanobragg {

FourierBundle::FourierBundle(const ExecutionSpace& space, int of_length) : length(of_length) {
  int bits = 0;
  while (1 << bits < length) ++bits;
  const int steps_by_fours = (3 - bits % 3) % 3;  // of two bits; what they leave is a multiple of three bits
  by_eights = 1 << (bits - 2 * steps_by_fours);
  lane_bits_on_gpu = 0;
  while (lane_bits_on_gpu < most_lane_bits_on_gpu && length << (lane_bits_on_gpu + 1) <= most_on_gpu)
    ++lane_bits_on_gpu;
  std::vector<Complex> circle(length);
  constexpr long double pi = 3.14159265358979323846264338327950288L;
  for (int k = 0; k < length; ++k) {
    const long double angle = 2 * pi * k / length;
    circle[k] = {double(std::cos(angle)), double(-std::sin(angle))};
  }
  turns = to_device(space, "nanobragg::psf::turns", circle);
}

}  // namespace nanobragg
