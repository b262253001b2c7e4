// The point-spread function for Python.
#include <boost/python.hpp>

#include <string>

#include <nanobragg_kokkos/core/response/point_spread.h>

#include "conversions.h"
#include "named.h"
#include "wrappers.h"

namespace nb = nanobragg;

namespace {

nb::PointSpread* make_point_spread(const std::string& shape, double fwhm_mm, int radius,
                                   const std::string& added_back) {
  using nb::AddedBack;
  using nb::SpreadShape;
  return new nb::PointSpread{
      named<SpreadShape>(shape, {{"gauss", SpreadShape::gauss}, {"fiber", SpreadShape::fiber}}, "shape"), mm * fwhm_mm,
      radius,
      named<AddedBack>(added_back, {{"missing", AddedBack::missing}, {"beyond_radius", AddedBack::beyond_radius}},
                       "added_back")};
}

}  // namespace

void wrap_point_spread() {
  using namespace boost::python;
  class_<nb::PointSpread>("PointSpread", no_init)
      .def("__init__", make_constructor(make_point_spread, default_call_policies(),
                                        (arg("shape"), arg("fwhm_mm"), arg("radius"), arg("added_back"))));
}
