// The detector for Python.
#include <boost/python.hpp>
#include <dxtbx/model/detector.h>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include <nanobragg_kokkos/core/models/detector.h>

#include "conversions.h"
#include "wrappers.h"

namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

nb::Detector* make_detector(const dxtbx::model::Detector& detector, int oversample, bool point_pixel, int sensor_layers,
                            double layer_placement, double thickness_mm, double attenuation_length_mm,
                            const af::const_ref<bool>& mask) {
  std::vector<nb::Panel> panels;
  for (std::size_t i = 0; i < detector.size(); ++i) {
    const dxtbx::model::Panel& p = detector[i];
    nb::Panel panel;
    panel.origin = mm * vector(p.get_origin());
    panel.fast = vector(p.get_fast_axis());
    panel.slow = vector(p.get_slow_axis());
    panel.pixel_fast = mm * p.get_pixel_size()[0];
    panel.pixel_slow = mm * p.get_pixel_size()[1];
    panel.n_fast = int(p.get_image_size()[0]);
    panel.n_slow = int(p.get_image_size()[1]);
    panel.sensor_thickness = mm * thickness_mm;
    panel.attenuation_length = mm * attenuation_length_mm;
    panels.push_back(panel);
  }
  return new nb::Detector(panels, {oversample, sensor_layers, layer_placement, point_pixel},
                          std::vector<std::uint8_t>(mask.begin(), mask.end()));
}

}  // namespace

void wrap_detector() {
  using namespace boost::python;
  class_<nb::Detector>("Detector", no_init)
      .def("__init__",
           make_constructor(make_detector, default_call_policies(),
                            (arg("detector"), arg("oversample"), arg("point_pixel"), arg("sensor_layers"),
                             arg("layer_placement"), arg("thickness_mm"), arg("attenuation_length_mm"), arg("mask"))))
      .add_property("n_pixels", &nb::Detector::n_pixels);
}
