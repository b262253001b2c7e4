// Shapes against sums that need no closed form, and against limits.
#include <algorithm>
#include <complex>
#include <random>

#include <nanobragg_kokkos/core/models/lattice_shapes.h>

#include "check.h"

using namespace nanobragg;

TEST(square_is_the_sum_over_cells) {
  for (int n : {1, 2, 7, 30})
    for (double d : {0.0, 1e-9, 0.013, -0.2, 0.5}) {
      std::complex<double> sum = 0;
      for (int i = 0; i < n; ++i) sum += std::polar(1.0, 2 * M_PI * i * d);
      CHECK_CLOSE(lattice_intensity<Shape::square>(d, 0, 0, {double(n), 1, 1}), std::norm(sum), 1e-11 * n * n);
    }
}

TEST(sine_of_half_turns_is_good_to_the_last_digits) {
  for (double x : {1e-300, 1e-20, 1e-8}) CHECK_CLOSE(sine_of_half_turns(x) / (M_PI * x), 1, 4e-16);
  for (double x = -0.5; x <= 0.5; x += 1.7e-5) {
    const long double exact = sinl(3.14159265358979323846264338327950288L * (long double)x);
    CHECK_CLOSE(double(sine_of_half_turns(x) / exact), 1, 5e-16);
  }
  CHECK(sine_of_half_turns(0) == 0);
}

// 1e-14 of itself, between the maxima too, where n d times pi as a double would have lost most digits.
TEST(square_keeps_its_relative_accuracy) {
  const auto exact = [](double d, int n) {
    const long double pi = 3.14159265358979323846264338327950288L;
    const long double turns = (long double)n * d, rest = turns - rintl(turns);  // both without rounding
    return n == 1 || d == 0 ? (long double)n : sinl(pi * rest) / sinl(pi * (long double)d);
  };
  std::mt19937_64 random(3);
  std::uniform_real_distribution<double> index(-0.5, 0.5), magnitude(-18, 0);
  double worst = 0;
  for (int trial = 0; trial < 20000; ++trial) {
    const int n[3] = {1 + int(random() % 5), 1 + int(random() % 60), 1 + int(random() % 2000)};
    double d[3];
    for (int i = 0; i < 3; ++i) d[i] = trial % 3 ? index(random) : 0.5 * std::pow(10, magnitude(random));
    if (trial % 10 == 0) d[trial % 3] = 0;
    const long double amplitude = exact(d[0], n[0]) * exact(d[1], n[1]) * exact(d[2], n[2]),
                      want = amplitude * amplitude;
    const double got = lattice_intensity<Shape::square>(d[0], d[1], d[2], {double(n[0]), double(n[1]), double(n[2])});
    worst = std::max(worst, double(std::abs(got - want) / want));
  }
  CHECK_CLOSE(worst, 0, 1e-14);
}

TEST(square_knows_no_overflow) {
  for (double d : {0.0, 5e-324, 1e-200, 1e-12, 0.5, -0.5})
    for (double n : {1.0, 2.0, 1e3, 2147483647.0}) {
      const double intensity = lattice_intensity<Shape::square>(d, -d, d, {n, n, n});
      CHECK(intensity >= 0 && intensity <= std::pow(n, 6) * (1 + 1e-14));
      if (std::abs(d) * n < 1e-7) CHECK_CLOSE(intensity / std::pow(n, 6), 1, 1e-12);
    }
}

TEST(round_is_the_transform_of_a_ball) {
  // 3 ∫ r sin(x r) / x dr from 0 to 1, by Simpson's rule
  for (double x : {1e-6, 1e-3, 0.3, 0.499, 0.501, 0.7, 4.0, 20.0}) {
    const int n = 2000;
    double sum = 0;
    for (int i = 0; i <= n; ++i) {
      const double r = double(i) / n;
      sum += (i == 0 || i == n ? 1 : i % 2 ? 4 : 2) * r * std::sin(x * r) / x;
    }
    const double amplitude = 3 * sum / (3 * n);
    CHECK_CLOSE(ball2(x * x / (M_PI * M_PI)), amplitude * amplitude, 1e-9);
  }
}

TEST(round_is_good_to_1e_13_of_its_envelope) {
  for (double r = 1e-3; r < 300; r *= 1.0007) {
    const long double x = 3.14159265358979323846264338327950288L * (long double)r;
    const long double amplitude = 3 * (sinl(x) / x - cosl(x)) / (x * x);
    const double envelope = std::min(1.0, 9 / double(x * x * x * x));
    // The reference loses digits itself next to 0.
    CHECK_CLOSE(ball2(r * r), double(amplitude * amplitude), (r < 0.05 ? 1e-11 : 1e-13) * envelope);
  }
  CHECK(ball2(0) == 1);
}

TEST(nearest_index_gives_a_half_to_the_lower_reflection) {
  CHECK(nearest_index(2.5) == 2);
  CHECK(nearest_index(-2.5) == -3);
  CHECK(nearest_index(2.500001) == 3);
  CHECK(nearest_index(-0.4) == 0);
}

TEST(all_shapes_peak_at_the_square_of_the_number_of_cells) {
  const Cells n{5, 6, 7};
  const double peak = 210.0 * 210.0;
  CHECK_CLOSE(lattice_intensity<Shape::square>(0, 0, 0, n), peak, 1e-9);
  CHECK_CLOSE(lattice_intensity<Shape::gauss>(0, 0, 0, n), peak, 1e-9);
  CHECK_CLOSE(lattice_intensity<Shape::gauss_argchk>(0, 0, 0, n), peak, 1e-9);
  CHECK_CLOSE(lattice_intensity<Shape::tophat>(0, 0, 0, n), peak, 1e-9);
  CHECK_CLOSE(lattice_intensity<Shape::round>(0, 0, 0, n), peak * 0.723601254558268 * 0.723601254558268, 1e-9);
}

TEST(cut_offs_are_where_they_should_be) {
  const Cells n{10, 10, 10};
  const auto at = [&](double r2) { return std::sqrt(r2) / 10; };
  CHECK(lattice_intensity<Shape::gauss_argchk>(at(34.9 * 0.63), 0, 0, n) > 0);
  CHECK(lattice_intensity<Shape::gauss_argchk>(at(35.1 * 0.63), 0, 0, n) == 0);
  CHECK(lattice_intensity<Shape::tophat>(0, at(0.3968), 0, n) > 0);
  CHECK(lattice_intensity<Shape::tophat>(0, at(0.3970), 0, n) == 0);
  CHECK(lattice_intensity<Shape::gauss>(0, 0, at(139.9 / 2 * 0.63), n) > 0);
  CHECK(lattice_intensity<Shape::gauss>(0, 0, at(139.9 / 2 * 0.63), n) < 1e-54);  // of 1e6
  CHECK(lattice_intensity<Shape::gauss>(0, 0, at(140.1 / 2 * 0.63), n) == 0);
}
