// Runs all tests of the core and ends with 1 if a check failed.
#include <exception>

#include "../../nanobragg_kokkos/core/runtime.h"
#include "check.h"

int main() {
  int failed_tests = 0;
  for (const Test& test : all_tests()) {
    const int before = failures();
    try {
      test.body();
    } catch (const std::exception& error) {
      ++failures();
      std::printf("%s: unexpected exception: %s\n", test.name.c_str(), error.what());
    }
    const bool good = failures() == before;
    failed_tests += !good;
    std::printf("%-50s %s\n", test.name.c_str(), good ? "passed" : "FAILED");
  }
  nanobragg::stop();
  std::printf("core tests: %d passed, %d failed\n", int(all_tests().size()) - failed_tests, failed_tests);
  return failed_tests ? 1 : 0;
}
