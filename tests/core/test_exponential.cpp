// The exponential of the vector code against the library's.
#include <vector>

#include <nanobragg_kokkos/core/math/exponential.h>

#include "check.h"

using namespace nanobragg;

TEST(exponential_is_good_to_the_last_digits) {
  for (double x = -708; x <= 0; x += 0.0123) CHECK_CLOSE(vectorizable_exp(x) / std::exp(x), 1, 4e-16);
  CHECK(vectorizable_exp(0) == 1);
  CHECK(bounded_exp(0) == 1);
  CHECK(bounded_exp(-1e300) == 0);
}

TEST(exponential_by_table_is_good_to_its_bound) {
  std::vector<double> powers;
  for (int i = 0; i < powers_in_table; ++i) powers.push_back(std::exp2(double(i) / powers_in_table));
  for (double x = -700; x <= 0; x += 0.0123)
    CHECK_CLOSE(exp_by_table(x, powers.data()) / std::exp(x), 1, 3e-15 + 1.2e-16 * std::abs(x));
}
