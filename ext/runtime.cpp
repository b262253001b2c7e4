// The Kokkos runtime for Python: its backend, its end, its memory, and what the machine can do at most.
#include <boost/python.hpp>

#include <chrono>
#include <thread>

#include <nanobragg_kokkos/core/runtime/ceilings.h>
#include <nanobragg_kokkos/core/runtime/device_memory.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>

#include "without_gil.h"
#include "wrappers.h"

namespace bp = boost::python;
namespace nb = nanobragg;

namespace {

bp::dict backend() {
  const nb::Backend b = nb::backend();
  bp::dict d;
  d["backend"] = b.name;
  d["threads"] = b.threads;
  d["device"] = b.device;
  d["kokkos"] = b.kokkos_version;
  d["compiler"] = b.compiler;
  return d;
}

// Ends Kokkos.  Threads that still compute are let come back first: an interpreter that exits would end them inside
// C++.
void stop() {
  WithoutGIL::exiting = true;
  PyThreadState* const state = PyEval_SaveThread();
  while (WithoutGIL::away > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  PyEval_RestoreThread(state);
  nb::stop();
}

bp::dict measure_ceilings() {
  const nb::Ceilings ceilings = nb::measure_ceilings();
  bp::dict d;
  d["bytes_per_second"] = ceilings.bytes_per_second;
  d["fma_per_second"] = ceilings.fma_per_second;
  return d;
}

}  // namespace

void wrap_runtime() {
  using namespace boost::python;
  def("backend", backend);
  def("stop", stop);
  def("measure_ceilings", measure_ceilings);
  def("watch_memory", nb::watch_memory);
  def("peak_memory", nb::peak_memory);
}
