#include "fourier.h"

#include <cmath>

namespace nanobragg {

FourierBundle::FourierBundle(int of_length) : length(of_length) {
  int log2 = 0;
  while (1 << log2 < length) ++log2;
  const int fours = (3 - log2 % 3) % 3 == 0 ? 0 : log2 % 3 == 1 ? 2 : 1;
  by_eights = 1 << (log2 - 2 * fours);
  std::vector<Complex> circle(length);
  constexpr long double pi = 3.14159265358979323846264338327950288L;
  for (int k = 0; k < length; ++k) {
    const long double angle = 2 * pi * k / length;
    circle[k] = {double(std::cos(angle)), double(-std::sin(angle))};
  }
  turns = to_device("nanobragg::psf::turns", circle);
}

}  // namespace nanobragg
