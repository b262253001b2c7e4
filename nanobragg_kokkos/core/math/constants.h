// Constants of nature, with the digits that nanoBragg uses.
#ifndef NANOBRAGG_KOKKOS_CORE_MATH_CONSTANTS_H
#define NANOBRAGG_KOKKOS_CORE_MATH_CONSTANTS_H

namespace nanobragg {

constexpr double thomson_cross_section = 7.94079248018965e-30;  // square of the classical electron radius, m^2
constexpr double avogadro = 6.02214179e23;                      // 1/mol (CODATA 2006)

}  // namespace nanobragg
#endif
