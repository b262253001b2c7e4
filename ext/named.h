// What a name from Python stands for.
#ifndef NANOBRAGG_KOKKOS_EXT_NAMED_H
#define NANOBRAGG_KOKKOS_EXT_NAMED_H

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

template <class Value>
Value named(const std::string& name, const std::vector<std::pair<const char*, Value>>& known, const char* what) {
  std::string all;
  for (const auto& [known_name, value] : known) {
    if (name == known_name) return value;
    all += std::string(all.empty() ? "" : ", ") + known_name;
  }
  throw std::invalid_argument(std::string(what) + " must be one of " + all + ", not '" + name + "'");
}

#endif
