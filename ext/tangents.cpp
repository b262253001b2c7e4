// How models change with parameters, for Python.
#include <boost/python.hpp>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>

#include <vector>

#include <nanobragg_kokkos/core/gradients/tangents.h>

#include "conversions.h"
#include "wrappers.h"

namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

nb::Vec3 vector(const double* v) { return {v[0], v[1], v[2]}; }

// An array may also be empty.
void require_size_if_any(std::size_t size, std::size_t expected, const char* name) {
  if (size != 0) require_size(size, expected, name);
}

// common: for each parameter the numbers of a nb::Tangent in their order, without arrays, lengths in angstrom; blocks:
// matrices in angstrom; panels: translations in mm and rotations in radians.
nb::Tangents* make_tangents(const nb::Detector& detector, const nb::Sources& sources, std::size_t n_blocks,
                            const af::const_ref<double>& common, const af::const_ref<double>& blocks,
                            const af::const_ref<double>& weights, const af::const_ref<double>& panels) {
  constexpr std::size_t n_common = 11;
  const std::size_t n = common.size() / n_common, n_panels = detector.panels().size();
  require_size(common.size(), n * n_common, "common");
  require_size_if_any(blocks.size(), 9 * n * n_blocks, "blocks");
  require_size_if_any(weights.size(), n * sources.size(), "weights");
  require_size_if_any(panels.size(), 6 * n * n_panels, "panels");
  std::vector<nb::Tangent> tangents(n);
  for (std::size_t k = 0; k < n; ++k) {
    nb::Tangent& t = tangents[k];
    const double* const c = &common[n_common * k];
    t.cells = vector(c), t.log_spots = c[3], t.log_background = c[4], t.beam_rotation = vector(c + 5);
    t.kahn_factor = c[8], t.wavelength = angstrom * c[9], t.log_wavelength = c[10];
    for (std::size_t i = 0; i < n_blocks && blocks.size() > 0; ++i) {
      nb::Mat3 m;
      for (int row = 0; row < 3; ++row) m.row[row] = angstrom * vector(&blocks[9 * (k * n_blocks + i) + 3 * row]);
      t.blocks.push_back(m);
    }
    if (weights.size() > 0)
      t.weights.assign(&weights[k * sources.size()], &weights[k * sources.size()] + sources.size());
    for (std::size_t i = 0; i < n_panels && panels.size() > 0; ++i) {
      const double* const p = &panels[6 * (k * n_panels + i)];
      t.panels.push_back({mm * vector(p), vector(p + 3)});
    }
  }
  return new nb::Tangents(tangents, detector, sources);
}

}  // namespace

void wrap_tangents() {
  using namespace boost::python;
  class_<nb::Tangents>("Tangents", no_init)
      .def("__init__", make_constructor(make_tangents, default_call_policies(),
                                        (arg("detector"), arg("sources"), arg("n_blocks"), arg("common"), arg("blocks"),
                                         arg("weights"), arg("panels"))))
      .def("__len__", &nb::Tangents::size);
}
