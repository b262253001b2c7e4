// The detector's readout for Python.
#include <boost/python.hpp>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>

#include <cstdint>
#include <string>
#include <vector>

#include <nanobragg_kokkos/core/response/readout.h>
#include <nanobragg_kokkos/core/runtime/workspace.h>

#include "counts.h"
#include "named.h"
#include "without_gil.h"
#include "wrappers.h"

namespace bp = boost::python;
namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

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

Counts start(nb::Readout& readout, nb::Workspace& workspace, const nb::Image& expected, std::uint64_t seed,
             std::uint32_t image) {
  const std::string type = readout.range().type == nb::CountType::int32 ? "<i4" : "<u2";
  WithoutGIL released;
  return {readout.start(workspace, expected, seed, image), readout.n_pixels(), type};
}

}  // namespace

void wrap_readout() {
  using namespace boost::python;
  class_<nb::Readout>("Readout", no_init)
      .def("__init__", make_constructor(
                           make_readout, default_call_policies(),
                           (arg("workspace"), arg("detector"), arg("photon_noise"), arg("flicker"),
                            arg("calibration_noise"), arg("calibration_seed"), arg("point_spread"), arg("quantum_gain"),
                            arg("readout_noise"), arg("adc_offset"), arg("type"), arg("saturation"), arg("mask"))))
      .def("start", start, (arg("workspace"), arg("expected"), arg("seed"), arg("image")));
}
