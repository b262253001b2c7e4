// Images of expected photons for Python.
#include <boost/python.hpp>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>

#include <cstddef>
#include <vector>

#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/runtime/workspace.h>

#include "host_array.h"
#include "without_gil.h"
#include "wrappers.h"

namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

HostArray on_host(const nb::Image& image, nb::Workspace& workspace) {
  if (WithoutGIL::exiting) return {image.on_host(workspace), image.size(), "<f8"};  // where they are on the host anyway
  WithoutGIL released;
  return {image.on_host(workspace), image.size(), "<f8"};
}

void clear(nb::Image& image, nb::Workspace& workspace) {
  WithoutGIL released;
  image.clear(workspace);
}

void add(nb::Image& image, nb::Workspace& workspace, const nb::Image& other) {
  WithoutGIL released;
  image.add(workspace, other);
}

void add_array(nb::Image& image, nb::Workspace& workspace, const af::const_ref<double>& pixels) {
  const std::vector<double> values(pixels.begin(), pixels.end());
  WithoutGIL released;
  image.add(workspace, values);
}

}  // namespace

void wrap_image() {
  using namespace boost::python;
  class_<nb::Image>("Image", init<nb::Workspace&, std::size_t>((arg("workspace"), arg("n_pixels"))))
      .def("__len__", &nb::Image::size)
      .def("clear", clear, arg("workspace"))
      .def("add", add, (arg("workspace"), arg("other")))
      .def("add_array", add_array, (arg("workspace"), arg("pixels")))
      .def("swap", &nb::Image::swap, arg("other"))
      .def("on_host", on_host, arg("workspace"));
}
