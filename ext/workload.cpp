// The workloads of the benchmark for Python, in the toolkit's units.
#include <boost/python.hpp>
#include <cctbx/miller.h>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>
#include <scitbx/array_family/shared.h>
#include <scitbx/vec3.h>

#include <string>
#include <vector>

#include "../benchmarks/floors.h"
#include "../benchmarks/workloads.h"
#include "wrappers.h"

namespace bp = boost::python;
namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

template <class Value>
bp::list list_of(const std::vector<Value>& values) {
  bp::list all;
  for (const Value& value : values) all.append(value);
  return all;
}

bp::tuple tuple_of(const nb::Vec3& v) { return bp::make_tuple(v.x, v.y, v.z); }

void append(af::shared<double>& numbers, const nb::Mat3& matrix) {
  for (const nb::Vec3& row : matrix.row)
    for (const double x : {row.x, row.y, row.z}) numbers.push_back(x);
}

bp::list workload_names() { return list_of(nb::workload_names()); }
bp::list workloads(const std::string& name, bool small) { return list_of(nb::workloads(name, small)); }
bp::list steps(const nb::Workload& w) { return list_of(w.steps); }
bp::list engines(const nb::Workload& w) { return list_of(w.engines); }
bp::tuple cell_edges(const nb::Workload& w) { return tuple_of(w.cell_A); }
bp::tuple n_cells(const nb::Workload& w) { return bp::make_tuple(w.n_cells[0], w.n_cells[1], w.n_cells[2]); }

bp::list panels(const nb::Workload& w) {
  bp::list all;
  for (const nb::FlatPanel& p : w.panels)
    all.append(bp::make_tuple(tuple_of(p.origin_mm), tuple_of(p.fast), tuple_of(p.slow), p.pixel_mm,
                              bp::make_tuple(p.n_fast, p.n_slow)));
  return all;
}

af::shared<double> wavelengths(const nb::Workload& w) {
  return af::shared<double>(w.wavelengths_A.data(), w.wavelengths_A.data() + w.wavelengths_A.size());
}

af::shared<double> random_orientation(int image) {
  af::shared<double> numbers;
  append(numbers, nb::random_orientation(image));
  return numbers;
}

af::shared<double> mosaic_blocks(const nb::Workload& w) {
  af::shared<double> numbers;
  for (const nb::Mat3& block : w.blocks) append(numbers, block);
  return numbers;
}

af::shared<cctbx::miller::index<>> reflections(const scitbx::vec3<double>& cell_edges, double d_min) {
  af::shared<cctbx::miller::index<>> indices;
  for (const auto& hkl : nb::reflections({cell_edges[0], cell_edges[1], cell_edges[2]}, d_min))
    indices.push_back({hkl[0], hkl[1], hkl[2]});
  return indices;
}

af::shared<double> random_amplitudes(const af::const_ref<cctbx::miller::index<>>& indices, int channel) {
  af::shared<double> values;
  for (const cctbx::miller::index<>& hkl : indices)
    values.push_back(nb::random_amplitude({hkl[0], hkl[1], hkl[2]}, channel));
  return values;
}

double floor_seconds(const nb::Workload& w, const std::string& step, const std::string& of, double bytes_per_second,
                     double fma_per_second) {
  return nb::floor_seconds(w, step, of, {bytes_per_second, fma_per_second});
}

}  // namespace

void wrap_workload() {
  using namespace boost::python;
  using nb::Workload;
  class_<Workload>("Workload", no_init)
      .def_readonly("name", &Workload::name)
      .add_property("steps", steps)
      .add_property("engines", engines)
      .def_readonly("scaled", &Workload::scaled)
      .def_readonly("factor", &Workload::factor)
      .add_property("panels", panels)
      .add_property("wavelengths", wavelengths)
      .def_readonly("channels", &Workload::channels)
      .def_readonly("polarization_fraction", &Workload::polarization_fraction)
      .def_readonly("fluence", &Workload::fluence_per_mm2)
      .def_readonly("beam_size_mm", &Workload::beam_size_mm)
      .def_readonly("water_mm", &Workload::water_mm)
      .def_readonly("air_mm", &Workload::air_mm)
      .add_property("cell_edges", cell_edges)
      .def_readonly("d_min", &Workload::d_min_A)
      .add_property("mosaic_blocks", mosaic_blocks)
      .add_property("n_cells", n_cells)
      .def_readonly("shape", &Workload::shape)
      .def_readonly("volume_mm3", &Workload::volume_mm3)
      .def_readonly("rotation_deg", &Workload::rotation_deg)
      .def_readonly("rotation_steps", &Workload::rotation_steps)
      .def_readonly("readout_noise", &Workload::readout_noise)
      .def_readonly("adc_offset", &Workload::adc_offset)
      .def_readonly("saturation", &Workload::saturation)
      .def_readonly("spread_fwhm_mm", &Workload::spread_fwhm_mm)
      .def_readonly("spread_radius", &Workload::spread_radius)
      .def_readonly("images", &Workload::images)
      .add_property("n_pixels", &Workload::n_pixels)
      .add_property("bytes_of_counts", &Workload::bytes_of_counts)
      .add_property("evaluations", &Workload::evaluations)
      .def("floor_seconds", floor_seconds, (arg("step"), arg("of"), arg("bytes_per_second"), arg("fma_per_second")));
  def("workload_names", workload_names);
  def("workloads", workloads, (arg("name"), arg("small")));
  def("random_orientation", random_orientation, arg("image"));
  def("reflections", reflections, (arg("cell_edges"), arg("d_min")));
  def("random_amplitudes", random_amplitudes, (arg("indices"), arg("channel")));
}
