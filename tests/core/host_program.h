// The test program in the part of a program that owns Kokkos.
#ifndef NANOBRAGG_KOKKOS_TESTS_CORE_HOST_PROGRAM_H
#define NANOBRAGG_KOKKOS_TESTS_CORE_HOST_PROGRAM_H

#include <string>

constexpr const char* as_host_program = "--as-host-program";  // the argument that asks for it

int host_program();  // returns the exit code

// Where this program is.
inline std::string& own_path() {
  static std::string path;
  return path;
}

#endif
