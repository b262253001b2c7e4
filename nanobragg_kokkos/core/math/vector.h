// Vectors and matrices of three dimensions, as plain values that host and device code share.
#ifndef NANOBRAGG_KOKKOS_CORE_MATH_VECTOR_H
#define NANOBRAGG_KOKKOS_CORE_MATH_VECTOR_H

#include <cmath>

// The public headers of the core do not include Kokkos, so that the extension compiles with any C++ compiler; this
// stands for KOKKOS_FORCEINLINE_FUNCTION in them.  A compiler that weighs sizes leaves calls in the loops of large
// files, and a loop with a call does not become vector code.
#if defined(__CUDACC__)
#define NANOBRAGG_FUNCTION __host__ __device__ __forceinline__
#elif defined(__HIPCC__)  // whose __forceinline__ comes with a header
#define NANOBRAGG_FUNCTION __host__ __device__ inline __attribute__((always_inline))
#elif defined(__GNUC__)
#define NANOBRAGG_FUNCTION inline __attribute__((always_inline))
#else
#define NANOBRAGG_FUNCTION inline
#endif

namespace nanobragg {

struct Vec3 {
  double x = 0, y = 0, z = 0;
};

NANOBRAGG_FUNCTION Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
NANOBRAGG_FUNCTION Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
NANOBRAGG_FUNCTION Vec3 operator-(Vec3 a) { return {-a.x, -a.y, -a.z}; }
NANOBRAGG_FUNCTION Vec3 operator*(double s, Vec3 a) { return {s * a.x, s * a.y, s * a.z}; }
// The core is compiled such that nothing is fused but what says so: Miller indices come out with the same bits in every
// engine and on every device, which matters because large crystals multiply their rounding.
NANOBRAGG_FUNCTION double dot(Vec3 a, Vec3 b) { return std::fma(a.x, b.x, std::fma(a.y, b.y, a.z * b.z)); }
NANOBRAGG_FUNCTION double norm(Vec3 a) { return std::sqrt(dot(a, a)); }
NANOBRAGG_FUNCTION Vec3 cross(Vec3 a, Vec3 b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
NANOBRAGG_FUNCTION Vec3 unit(Vec3 a) { return (1.0 / norm(a)) * a; }

// a + s b
NANOBRAGG_FUNCTION Vec3 along(Vec3 a, double s, Vec3 b) {
  return {std::fma(s, b.x, a.x), std::fma(s, b.y, a.y), std::fma(s, b.z, a.z)};
}

struct Mat3 {
  Vec3 row[3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
};

NANOBRAGG_FUNCTION Vec3 operator*(const Mat3& m, Vec3 v) {
  return {dot(m.row[0], v), dot(m.row[1], v), dot(m.row[2], v)};
}

// Right-handed rotation of v about the unit vector axis by angle (radians), by Rodrigues' formula.
NANOBRAGG_FUNCTION Vec3 rotated(Vec3 v, Vec3 axis, double angle) {
  const double c = std::cos(angle), s = std::sin(angle);
  return c * v + s * cross(axis, v) + (dot(axis, v) * (1 - c)) * axis;
}

}  // namespace nanobragg
#endif
