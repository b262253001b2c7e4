#include <nanobragg_kokkos/core/runtime/runtime.h>

#include <Kokkos_Core.hpp>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <unistd.h>
#include <vector>

#include <nanobragg_kokkos/core/runtime/openmp_symbols.h>

namespace nanobragg {
namespace {

enum class State { not_started, running, ended };

struct Runtime {
  std::recursive_mutex mutex;
  State state = State::not_started;
  pid_t process = 0;   // in which Kokkos was started: its threads do not survive a fork
  bool owner = false;  // false: the program had started Kokkos itself and will end it
  std::vector<Resident*> residents;
};

// Never destroyed: Residents owned by static objects may outlive any static of this file.
Runtime& runtime() {
  static Runtime* instance = new Runtime;
  return *instance;
}

// Sums come out doubled, without any other sign, if the OpenMP functions that Kokkos calls are not those of the
// runtime that makes the threads.  openmp_symbols.cpp prevents that; this makes sure.
void check_that_loops_run_once() {
  constexpr long n = 4096;
  long sum = 0;
  Kokkos::parallel_reduce("nanobragg::check_runtime", n, KOKKOS_LAMBDA(const long i, long& s) { s += i; }, sum);
  if (sum != n * (n - 1) / 2)
    throw std::runtime_error(
        "Kokkos runs its parallel loops a wrong number of times: another library in this process has replaced the "
        "functions of the OpenMP runtime");
}

// Before the mutex is touched: another thread may have held it when the process was forked.
void require_no_fork(const Runtime& r) {
  if (r.process != 0 && r.process != getpid())
    throw std::runtime_error(
        "this process was forked after Kokkos had started, and Kokkos's threads did not come along: start processes by "
        "'spawn', or fork before the first simulation");
}

// Kokkos ends the process if it cannot read its variable.
void check_number_of_threads() {
  const char* text = std::getenv("KOKKOS_NUM_THREADS");
  if (!text) return;
  char* end = nullptr;
  const long n = std::strtol(text, &end, 10);
  if (end == text || *end != 0 || n < 1)
    throw std::invalid_argument(std::string("KOKKOS_NUM_THREADS must be a positive whole number, not '") + text + "'");
}

// A program that has started Kokkos itself may end it while it still keeps objects of the core.
void release_residents() noexcept {
  Runtime& r = runtime();
  if (r.process != getpid()) return;
  std::lock_guard<std::recursive_mutex> lock(r.mutex);
  for (Resident* resident : r.residents) resident->release();
  r.state = State::ended;
}

}  // namespace

void start() {
  Runtime& r = runtime();
  require_no_fork(r);
  std::lock_guard<std::recursive_mutex> lock(r.mutex);
  if (r.state == State::running) return;
  if (r.state == State::ended || Kokkos::is_finalized())
    throw std::runtime_error(
        "the Kokkos runtime has ended: no simulation can be done after the interpreter's exit began");
  bind_openmp_symbols();
  if (!Kokkos::is_initialized()) {
    check_number_of_threads();
    Kokkos::InitializationSettings settings;
    settings.set_disable_warnings(true);  // OMP_PROC_BIND is the user's to choose
    r.process = getpid();
    Kokkos::initialize(settings);
    r.owner = true;
  }
  r.process = getpid();
  Kokkos::push_finalize_hook(release_residents);
  check_that_loops_run_once();
  r.state = State::running;
}

void stop() noexcept {
  Runtime& r = runtime();
  if (r.process != 0 && r.process != getpid()) return;  // the parent ends it
  std::lock_guard<std::recursive_mutex> lock(r.mutex);
  if (r.state == State::running && r.owner)
    Kokkos::finalize();
  else
    release_residents();
  r.state = State::ended;
}

Backend backend() {
  start();
  Backend b;
  using Space = Kokkos::DefaultExecutionSpace;
  b.name = Space::name();
  b.threads = Space().concurrency();
  b.device = "host";
#if defined(KOKKOS_ENABLE_CUDA)
  if (b.name == "Cuda") b.device = Kokkos::Cuda().cuda_device_prop().name;
#elif defined(KOKKOS_ENABLE_HIP)
  if (b.name == "HIP") b.device = Kokkos::HIP().hip_device_prop().name;
#endif
  b.kokkos_version = std::to_string(KOKKOS_VERSION_MAJOR) + "." + std::to_string(KOKKOS_VERSION_MINOR) + "." +
                     std::to_string(KOKKOS_VERSION_PATCH);
#if defined(__clang__)
  b.compiler = "clang " __clang_version__;
#elif defined(__GNUC__)
  b.compiler = "gcc " __VERSION__;
#else
  b.compiler = "unknown";
#endif
#if defined(__CUDACC__)
  b.compiler += ", nvcc " + std::to_string(__CUDACC_VER_MAJOR__) + "." + std::to_string(__CUDACC_VER_MINOR__);
#endif
  return b;
}

Resident::Resident() {
  start();
  Runtime& r = runtime();
  std::lock_guard<std::recursive_mutex> lock(r.mutex);
  r.residents.push_back(this);
}

Resident::~Resident() {
  Runtime& r = runtime();
  std::lock_guard<std::recursive_mutex> lock(r.mutex);
  r.residents.erase(std::remove(r.residents.begin(), r.residents.end(), this), r.residents.end());
}

}  // namespace nanobragg
