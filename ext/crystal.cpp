// The crystal for Python.
#include <boost/python.hpp>
#include <dxtbx/model/crystal.h>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>
#include <scitbx/mat3.h>
#include <scitbx/vec3.h>

#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include <nanobragg_kokkos/core/models/crystal.h>

#include "conversions.h"
#include "named.h"
#include "wrappers.h"

namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

nb::Crystal* make_crystal(const dxtbx::model::CrystalBase& model, const af::const_ref<double>& blocks,
                          const scitbx::vec3<double>& axis, double start_deg, double step_deg, int steps,
                          const scitbx::vec3<double>& n_cells, const std::string& shape, double scale) {
  if (blocks.size() % 9 != 0) throw std::invalid_argument("mosaic_blocks must hold matrices of 3 x 3 numbers");
  const scitbx::mat3<double> inverse = model.get_A().inverse();  // rows: the cell vectors a, b, c
  nb::Mat3 cell;
  for (int i = 0; i < 3; ++i) cell.row[i] = angstrom * vector(inverse.get_row(i));
  std::vector<nb::Mat3> rotations(blocks.size() / 9);
  for (std::size_t i = 0; i < rotations.size(); ++i)
    for (int r = 0; r < 3; ++r)
      rotations[i].row[r] = {blocks[9 * i + 3 * r], blocks[9 * i + 3 * r + 1], blocks[9 * i + 3 * r + 2]};
  using nb::Shape;
  return new nb::Crystal(nb::orientations(cell, rotations, vector(axis), degree * start_deg, degree * step_deg, steps),
                         {n_cells[0], n_cells[1], n_cells[2]},
                         named<Shape>(shape,
                                      {{"square", Shape::square},
                                       {"round", Shape::round},
                                       {"gauss", Shape::gauss},
                                       {"gauss_argchk", Shape::gauss_argchk},
                                       {"tophat", Shape::tophat}},
                                      "shape"),
                         scale);
}

}  // namespace

void wrap_crystal() {
  using namespace boost::python;
  class_<nb::Crystal>("Crystal", no_init)
      .def("__init__", make_constructor(make_crystal, default_call_policies(),
                                        (arg("model"), arg("mosaic_blocks"), arg("axis"), arg("start_deg"),
                                         arg("step_deg"), arg("steps"), arg("n_cells"), arg("shape"), arg("scale"))));
}
