#include "counts.h"

#include <boost/python.hpp>

#include "without_gil.h"
#include "wrappers.h"

HostArray Counts::on_host() const {
  WithoutGIL released;
  return {counts.on_host(), size, type};
}

void wrap_counts() {
  using namespace boost::python;
  class_<Counts>("Counts", no_init).def("on_host", &Counts::on_host);
}
