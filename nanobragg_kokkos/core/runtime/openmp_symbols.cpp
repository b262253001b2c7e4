// The OpenMP functions that Kokkos calls, bound to the OpenMP runtime that makes the threads.
//
// cctbx's libomptbx.so exports omp_get_thread_num and its like as stubs for a program without threads.  In a process
// where it was loaded first, the dynamic linker would give Kokkos those stubs beside the real thread pool, and every
// loop would run once for each thread.  So this library brings the functions along itself, as hidden symbols that no
// other library can replace, and passes each call on to the library which also provides the entry point of parallel
// regions: stub libraries have none of that name.
#include <nanobragg_kokkos/core/runtime/openmp_symbols.h>

#include <Kokkos_Macros.hpp>

#ifndef KOKKOS_ENABLE_OPENMP
namespace nanobragg {
void bind_openmp_symbols() {}
}  // namespace nanobragg
#else

#include <dlfcn.h>
#include <stdexcept>
#include <string>

#if defined(__clang__)
extern "C" void __kmpc_fork_call();
#define NANOBRAGG_PARALLEL_REGION __kmpc_fork_call
#else
extern "C" void GOMP_parallel();
#define NANOBRAGG_PARALLEL_REGION GOMP_parallel
#endif

namespace {

void* openmp_runtime() {
  Dl_info where{};
  void* library = nullptr;
  if (dladdr(reinterpret_cast<void*>(&NANOBRAGG_PARALLEL_REGION), &where) && where.dli_fname)
    library = dlopen(where.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
  if (!library) throw std::runtime_error("the OpenMP runtime library cannot be found in this process");
  return library;
}

template <class Function>
Function* look_up(void* library, const char* name) {
  void* function = dlsym(library, name);
  if (!function) throw std::runtime_error(std::string("the OpenMP runtime has no function ") + name);
  return reinterpret_cast<Function*>(function);
}

struct OpenMP {
  void* library = openmp_runtime();
  int (*get_thread_num)() = look_up<int()>(library, "omp_get_thread_num");
  int (*get_num_threads)() = look_up<int()>(library, "omp_get_num_threads");
  int (*get_max_threads)() = look_up<int()>(library, "omp_get_max_threads");
  int (*get_level)() = look_up<int()>(library, "omp_get_level");
  int (*get_max_active_levels)() = look_up<int()>(library, "omp_get_max_active_levels");
  int (*in_parallel)() = look_up<int()>(library, "omp_in_parallel");
  void (*set_num_threads)(int) = look_up<void(int)>(library, "omp_set_num_threads");
};

const OpenMP& openmp() {
  static const OpenMP functions;
  return functions;
}

}  // namespace

namespace nanobragg {
void bind_openmp_symbols() { openmp(); }
}  // namespace nanobragg

#define NANOBRAGG_HIDDEN extern "C" __attribute__((visibility("hidden")))
NANOBRAGG_HIDDEN int omp_get_thread_num() { return openmp().get_thread_num(); }
NANOBRAGG_HIDDEN int omp_get_num_threads() { return openmp().get_num_threads(); }
NANOBRAGG_HIDDEN int omp_get_max_threads() { return openmp().get_max_threads(); }
NANOBRAGG_HIDDEN int omp_get_level() { return openmp().get_level(); }
NANOBRAGG_HIDDEN int omp_get_max_active_levels() { return openmp().get_max_active_levels(); }
NANOBRAGG_HIDDEN int omp_in_parallel() { return openmp().in_parallel(); }
NANOBRAGG_HIDDEN void omp_set_num_threads(int n) { openmp().set_num_threads(n); }
#endif
