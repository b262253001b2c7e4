// Shapes against sums that need no closed form, and against limits.
#include <complex>

#include "../../nanobragg_kokkos/core/lattice_shapes.h"
#include "check.h"

using namespace nanobragg;

TEST(grating_is_the_sum_over_cells) {
  for (int n : {1, 2, 7, 30})
    for (double d : {0.0, 1e-9, 0.013, -0.2, 0.5}) {
      std::complex<double> sum = 0;
      for (int i = 0; i < n; ++i) sum += std::polar(1.0, 2 * M_PI * i * d);
      CHECK_CLOSE(grating2(d, n), std::norm(sum), 1e-11 * n * n);
    }
}

TEST(ball_is_the_transform_of_a_ball) {
  // 3 ∫ r sin(x r) / x dr from 0 to 1, by Simpson's rule
  for (double x : {1e-6, 1e-3, 0.049, 0.051, 0.7, 4.0, 20.0}) {
    const int n = 2000;
    double sum = 0;
    for (int i = 0; i <= n; ++i) {
      const double r = double(i) / n;
      sum += (i == 0 || i == n ? 1 : i % 2 ? 4 : 2) * r * std::sin(x * r) / x;
    }
    CHECK_CLOSE(ball(x), 3 * sum / (3 * n), 1e-9);
  }
  CHECK_CLOSE(ball(0.05 - 1e-12), ball(0.05 + 1e-12), 1e-12);
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
  CHECK(lattice_intensity<Shape::gauss>(0, 0, at(200), n) < 1e-265);
  CHECK(lattice_intensity<Shape::gauss>(0, 0, at(200), n) > 0);
}
