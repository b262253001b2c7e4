// From the toolkit's types and units (angstrom, mm, degrees) to the core's, which are SI's.
#ifndef NANOBRAGG_KOKKOS_EXT_CONVERSIONS_H
#define NANOBRAGG_KOKKOS_EXT_CONVERSIONS_H

#include <scitbx/constants.h>
#include <scitbx/vec3.h>

#include <cstddef>
#include <stdexcept>
#include <string>

#include <nanobragg_kokkos/core/math/vector.h>

constexpr double mm = 1e-3, angstrom = 1e-10;
const double degree = scitbx::constants::pi / 180;

inline nanobragg::Vec3 vector(const scitbx::vec3<double>& v) { return {v[0], v[1], v[2]}; }

// Throws std::invalid_argument, which Python sees as ValueError, if an array does not have the expected size.
inline void require_size(std::size_t size, std::size_t expected, const char* name) {
  if (size != expected)
    throw std::invalid_argument(std::string(name) + " has " + std::to_string(size) + " values where " +
                                std::to_string(expected) + " are needed");
}

#endif
