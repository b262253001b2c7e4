// Ensures IEEE arithmetic in the kernels, whatever settings other code has left in the threads.
//
// Loading a library that was linked with -ffast-math, as some of hdf5plugin's are, makes the processor treat
// subnormal numbers as zero, in the thread that loads it and in all threads that this one starts later.  The faint
// tails of an image would then depend on the imported libraries and on the number of threads.
#ifndef NANOBRAGG_KOKKOS_CORE_RUNTIME_ARITHMETIC_H
#define NANOBRAGG_KOKKOS_CORE_RUNTIME_ARITHMETIC_H

#include <cfenv>

namespace nanobragg {

// Sets the standard floating-point environment, during a calculation, on all threads that run kernels on the host.
// The calling thread gets its own environment back at the end.
class StandardArithmetic {
 public:
  StandardArithmetic();
  ~StandardArithmetic();
  StandardArithmetic(const StandardArithmetic&) = delete;
  StandardArithmetic& operator=(const StandardArithmetic&) = delete;

 private:
  std::fenv_t callers_;
};

}  // namespace nanobragg
#endif
