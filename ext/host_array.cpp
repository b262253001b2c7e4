// Memory of the host for Python.
#include "host_array.h"

#include <boost/python.hpp>

#include "wrappers.h"

void wrap_host_array() {
  using namespace boost::python;
  class_<HostArray>("HostArray", no_init).add_property("__array_interface__", &HostArray::array_interface);
}
