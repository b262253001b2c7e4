// A point-spread function prepared for a detector, for Python.
#include <boost/python.hpp>

#include <string>

#include <nanobragg_kokkos/core/response/point_spread.h>
#include <nanobragg_kokkos/core/runtime/workspace.h>

#include "named.h"
#include "without_gil.h"
#include "wrappers.h"

namespace nb = nanobragg;

namespace {

nb::Blur* make_blur(nb::Workspace& workspace, const nb::Detector& detector, const nb::PointSpread& point_spread,
                    const std::string& method) {
  using nb::BlurMethod;
  const BlurMethod chosen = named<BlurMethod>(
      method, {{"auto", BlurMethod::automatic}, {"direct", BlurMethod::direct}, {"fourier", BlurMethod::fourier}},
      "method");
  WithoutGIL released;
  return new nb::Blur(workspace, detector, point_spread, chosen);
}

void apply(const nb::Blur& blur, nb::Workspace& workspace, const nb::Image& photons, nb::Image& blurred) {
  WithoutGIL released;
  blur.apply(workspace, photons, blurred);
}

std::string method(const nb::Blur& blur) { return blur.method() == nb::BlurMethod::direct ? "direct" : "fourier"; }

}  // namespace

void wrap_blur() {
  using namespace boost::python;
  class_<nb::Blur, boost::noncopyable>("Blur", no_init)
      .def("__init__", make_constructor(make_blur, default_call_policies(),
                                        (arg("workspace"), arg("detector"), arg("point_spread"), arg("method"))))
      .def("apply", apply, (arg("workspace"), arg("photons"), arg("blurred")))
      .add_property("method", method);
}
