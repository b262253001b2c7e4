// The detector's response for Python.
#include <boost/python.hpp>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>

#include <string>
#include <vector>

#include <nanobragg_kokkos/core/response/point_spread.h>
#include <nanobragg_kokkos/core/response/readout.h>

#include "host_array.h"
#include "named.h"
#include "without_gil.h"

namespace bp = boost::python;
namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

nb::PointSpread* make_point_spread(const std::string& shape, double fwhm_mm, int radius,
                                   const std::string& added_back) {
  using nb::AddedBack;
  using nb::SpreadShape;
  return new nb::PointSpread{
      named<SpreadShape>(shape, {{"gauss", SpreadShape::gauss}, {"fiber", SpreadShape::fiber}}, "shape"),
      1e-3 * fwhm_mm, radius,
      named<AddedBack>(added_back, {{"missing", AddedBack::missing}, {"beyond_radius", AddedBack::beyond_radius}},
                       "added_back")};
}

nb::Blur* make_blur(nb::Workspace& workspace, const nb::Detector& detector, const nb::PointSpread& point_spread,
                    const std::string& method) {
  using nb::BlurMethod;
  const BlurMethod chosen = named<BlurMethod>(
      method, {{"auto", BlurMethod::automatic}, {"direct", BlurMethod::direct}, {"fourier", BlurMethod::fourier}},
      "method");
  WithoutGIL released;
  return new nb::Blur(workspace, detector, point_spread, chosen);
}

void blur(const nb::Blur& self, nb::Workspace& workspace, const nb::Image& photons, nb::Image& blurred) {
  WithoutGIL released;
  self(workspace, photons, blurred);
}

std::string method(const nb::Blur& self) { return self.method() == nb::BlurMethod::direct ? "direct" : "fourier"; }

// point_spread: a PointSpread or None.
nb::Readout* make_readout(nb::Workspace& workspace, const nb::Detector& detector, bool photon_noise, double flicker,
                          double calibration_noise, std::uint64_t calibration_seed, const bp::object& point_spread,
                          double quantum_gain, double readout_noise, double adc_offset, const std::string& type,
                          double saturation, const af::const_ref<bool>& mask) {
  nb::DetectorResponse response;
  response.photon_noise = photon_noise;
  response.flicker = flicker;
  response.calibration_noise = calibration_noise;
  response.calibration_seed = calibration_seed;
  if (!point_spread.is_none()) response.point_spread = bp::extract<const nb::PointSpread&>(point_spread)();
  response.quantum_gain = quantum_gain;
  response.readout_noise = readout_noise;
  response.adc_offset = adc_offset;
  using nb::CountType;
  const nb::CountRange range{
      named<CountType>(type, {{"int32", CountType::int32}, {"uint16", CountType::uint16}}, "type"), saturation};
  const std::vector<std::uint8_t> good(mask.begin(), mask.end());
  WithoutGIL released;
  return new nb::Readout(workspace, detector, response, range, good);
}

// With what tells NumPy how to read it.
struct Counts {
  nb::Counts counts;
  std::size_t size;
  std::string type;

  HostArray on_host() const {
    WithoutGIL released;
    return {counts.on_host(), size, type};
  }
};

Counts start(nb::Readout& readout, nb::Workspace& workspace, const nb::Image& expected, std::uint64_t seed,
             std::uint32_t image) {
  const std::string type = readout.range().type == nb::CountType::int32 ? "<i4" : "<u2";
  WithoutGIL released;
  return {readout.start(workspace, expected, seed, image), readout.n_pixels(), type};
}

}  // namespace

void wrap_response() {
  using namespace boost::python;
  class_<nb::PointSpread>("PointSpread", no_init)
      .def("__init__", make_constructor(make_point_spread, default_call_policies(),
                                        (arg("shape"), arg("fwhm_mm"), arg("radius"), arg("added_back"))));
  class_<nb::Blur, boost::noncopyable>("Blur", no_init)
      .def("__init__", make_constructor(make_blur, default_call_policies(),
                                        (arg("workspace"), arg("detector"), arg("point_spread"), arg("method"))))
      .def("__call__", blur, (arg("workspace"), arg("photons"), arg("blurred")))
      .add_property("method", method);
  class_<nb::Readout>("Readout", no_init)
      .def("__init__", make_constructor(
                           make_readout, default_call_policies(),
                           (arg("workspace"), arg("detector"), arg("photon_noise"), arg("flicker"),
                            arg("calibration_noise"), arg("calibration_seed"), arg("point_spread"), arg("quantum_gain"),
                            arg("readout_noise"), arg("adc_offset"), arg("type"), arg("saturation"), arg("mask"))))
      .def("start", start, (arg("workspace"), arg("expected"), arg("seed"), arg("image")));
  class_<Counts>("Counts", no_init).def("on_host", &Counts::on_host);
}
