// The exponential of the vector code against the library's.
#include "../../nanobragg_kokkos/core/exponential.h"
#include "check.h"

using namespace nanobragg;

TEST(exponential_is_good_to_the_last_digits) {
  for (double x = -708; x <= 0; x += 0.0123) CHECK_CLOSE(vectorizable_exp(x) / std::exp(x), 1, 4e-16);
  CHECK(vectorizable_exp(0) == 1);
  CHECK(bounded_exp(0) == 1);
  CHECK(bounded_exp(-1e300) == 0);
}
