// The arguments of the program, name=value, as the command nanobragg_kokkos.benchmark takes them.
#ifndef NANOBRAGG_KOKKOS_BENCHMARKS_ARGUMENTS_H
#define NANOBRAGG_KOKKOS_BENCHMARKS_ARGUMENTS_H

#include <string>
#include <vector>

namespace nanobragg {

struct Arguments {
  bool help = false;
  std::vector<std::string> workloads{"rayonix"};
  std::vector<std::string> steps{"spots", "background", "sum", "response", "transfer", "image"};
  std::vector<std::string> engines{"pixel", "reflection"};
  int runs = 10;
  double limit = 20;  // seconds
  bool small = false;
  std::string json;  // empty: none
};

// Throws std::invalid_argument, with the name of the argument and what was expected.
Arguments parse(int argc, char** argv);

std::string help_text();

std::string joined(const std::vector<std::string>& words, const std::string& between);

}  // namespace nanobragg
#endif
