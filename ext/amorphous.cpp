// Amorphous samples and their scattering for Python.
#include <boost/python.hpp>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>

#include <cstddef>
#include <utility>
#include <vector>

#include <nanobragg_kokkos/core/background/amorphous.h>

#include "conversions.h"
#include "without_gil.h"
#include "wrappers.h"

namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

nb::Amorphous* make_amorphous(const af::const_ref<double>& stol, const af::const_ref<double>& amplitude,
                              double molecules) {
  require_size(amplitude.size(), stol.size(), "amplitude");
  std::vector<std::pair<double, double>> table;
  for (std::size_t i = 0; i < stol.size(); ++i) table.emplace_back(stol[i] / angstrom, amplitude[i]);
  return new nb::Amorphous(table, molecules);
}

void add_background(nb::Workspace& workspace, nb::Image& image, const nb::Detector& detector,
                    const nb::Sources& sources, const nb::Amorphous& amorphous) {
  WithoutGIL released;
  nb::add_background(workspace, image, detector, sources, amorphous);
}

}  // namespace

void wrap_amorphous() {
  using namespace boost::python;
  class_<nb::Amorphous>("Amorphous", no_init)
      .def("__init__", make_constructor(make_amorphous, default_call_policies(),
                                        (arg("stol"), arg("amplitude"), arg("molecules"))));
  def("add_background", add_background,
      (arg("workspace"), arg("image"), arg("detector"), arg("sources"), arg("amorphous")));
}
