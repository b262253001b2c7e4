// See openmp_symbols.cpp.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_OPENMP_SYMBOLS_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_OPENMP_SYMBOLS_H

namespace nanobragg {

// Looks the OpenMP functions up in the runtime that this library is linked with.  Throws std::runtime_error if it
// cannot be found.  Does nothing where Kokkos does not use OpenMP.
void bind_openmp_symbols();

}  // namespace nanobragg
#endif
