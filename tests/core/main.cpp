// Runs the tests of the core, or those whose names contain one of the arguments, and ends with 1 if a check failed.
#include <algorithm>
#include <exception>
#include <filesystem>

#include <nanobragg_kokkos/core/runtime/runtime.h>

#include "check.h"
#include "host_program.h"

int main(int n_arguments, char** arguments) {
  if (n_arguments == 2 && std::string(arguments[1]) == as_host_program) return host_program();
  own_path() = std::filesystem::read_symlink("/proc/self/exe").string();
  const auto asked_for = [&](const Test& test) {
    return n_arguments == 1 || std::any_of(arguments + 1, arguments + n_arguments,
                                           [&](const char* part) { return test.name.find(part) != std::string::npos; });
  };
  int passed = 0, failed = 0;
  for (const Test& test : all_tests()) {
    if (!asked_for(test)) continue;
    const int before = failures();
    try {
      test.body();
    } catch (const std::exception& error) {
      ++failures();
      std::printf("%s: unexpected exception: %s\n", test.name.c_str(), error.what());
    }
    const bool good = failures() == before;
    ++(good ? passed : failed);
    std::printf("%-50s %s\n", test.name.c_str(), good ? "passed" : "FAILED");
  }
  nanobragg::stop();
  std::printf("core tests: %d passed, %d failed\n", passed, failed);
  return failed || !passed ? 1 : 0;  // a name that is none would pass unnoticed
}
