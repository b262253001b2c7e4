// The incident beam for Python.
#include <boost/python.hpp>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>
#include <scitbx/vec3.h>

#include <cstddef>
#include <vector>

#include <nanobragg_kokkos/core/models/sources.h>

#include "conversions.h"
#include "wrappers.h"

namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

nb::Sources* make_sources(const af::const_ref<double>& directions, const af::const_ref<double>& wavelengths,
                          const af::const_ref<double>& weights, const af::const_ref<int>& channels, bool polarized,
                          double kahn_factor, const scitbx::vec3<double>& electric_vector, double fluence_per_mm2) {
  const std::size_t n = wavelengths.size();
  require_size(directions.size(), 3 * n, "directions");
  require_size(weights.size(), n, "weights");
  require_size(channels.size(), n, "channels");
  std::vector<nb::Source> sources;
  for (std::size_t i = 0; i < n; ++i)
    sources.push_back({-nb::Vec3{directions[3 * i], directions[3 * i + 1], directions[3 * i + 2]},
                       angstrom * wavelengths[i], weights[i], channels[i]});
  return new nb::Sources(sources, {polarized, kahn_factor, vector(electric_vector)}, fluence_per_mm2 / (mm * mm));
}

}  // namespace

void wrap_sources() {
  using namespace boost::python;
  class_<nb::Sources>("Sources", no_init)
      .def("__init__",
           make_constructor(make_sources, default_call_policies(),
                            (arg("directions"), arg("wavelengths"), arg("weights"), arg("channels"), arg("polarized"),
                             arg("kahn_factor"), arg("electric_vector"), arg("fluence"))));
}
