// Workspaces for Python.
#include <boost/python.hpp>

#include <nanobragg_kokkos/core/runtime/workspace.h>

#include "wrappers.h"

namespace nb = nanobragg;

void wrap_workspace() {
  using namespace boost::python;
  class_<nb::Workspace, boost::noncopyable>("Workspace");
}
