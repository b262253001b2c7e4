// The core's models and functions for Python: dxtbx's, scitbx's and cctbx's types in, NumPy out.  Units change here,
// from the toolkit's (angstrom, mm, degrees) to the core's metres and radians; nothing is computed.
#include <boost/python.hpp>
#include <cctbx/miller.h>
#include <dxtbx/model/crystal.h>
#include <dxtbx/model/detector.h>
#include <scitbx/array_family/boost_python/flex_fwd.h>
#include <scitbx/array_family/ref.h>
#include <scitbx/constants.h>
#include <scitbx/mat3.h>
#include <scitbx/vec3.h>

#include <array>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <nanobragg_kokkos/core/background/amorphous.h>
#include <nanobragg_kokkos/core/models/crystal.h>
#include <nanobragg_kokkos/core/models/detector.h>
#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/models/sources.h>
#include <nanobragg_kokkos/core/models/structure_factors.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>
#include <nanobragg_kokkos/core/runtime/workspace.h>
#include <nanobragg_kokkos/core/spots/engine_work.h>
#include <nanobragg_kokkos/core/spots/spots.h>

#include "host_array.h"
#include "named.h"
#include "without_gil.h"

namespace bp = boost::python;
namespace af = scitbx::af;
namespace nb = nanobragg;

namespace {

constexpr double mm = 1e-3, angstrom = 1e-10;
const double degree = scitbx::constants::pi / 180;

// Ends Kokkos.  Threads that still compute are let come back first: an interpreter that exits would end them inside
// C++.
void stop() {
  WithoutGIL::exiting = true;
  PyThreadState* const state = PyEval_SaveThread();
  while (WithoutGIL::away > 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  PyEval_RestoreThread(state);
  nb::stop();
}

nb::Vec3 vector(const scitbx::vec3<double>& v) { return {v[0], v[1], v[2]}; }

void require_equal(std::size_t size, std::size_t expected, const char* name) {
  if (size != expected)
    throw std::invalid_argument(std::string(name) + " has " + std::to_string(size) + " values where " +
                                std::to_string(expected) + " are needed");
}

std::optional<double> number_or_none(const bp::object& value) {
  return value.is_none() ? std::nullopt : std::optional<double>(bp::extract<double>(value)());
}

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

nb::Sources* make_sources(const af::const_ref<double>& directions, const af::const_ref<double>& wavelengths,
                          const af::const_ref<double>& weights, const af::const_ref<int>& channels, bool polarized,
                          double kahn_factor, const scitbx::vec3<double>& electric_vector, double fluence_per_mm2) {
  const std::size_t n = wavelengths.size();
  require_equal(directions.size(), 3 * n, "directions");
  require_equal(weights.size(), n, "weights");
  require_equal(channels.size(), n, "channels");
  std::vector<nb::Source> sources;
  for (std::size_t i = 0; i < n; ++i)
    sources.push_back({-nb::Vec3{directions[3 * i], directions[3 * i + 1], directions[3 * i + 2]},
                       angstrom * wavelengths[i], weights[i], channels[i]});
  return new nb::Sources(sources, {polarized, kahn_factor, vector(electric_vector)}, fluence_per_mm2 / (mm * mm));
}

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

nb::StructureFactors* make_structure_factors(const bp::list& channels, double default_amplitude, double F000) {
  std::vector<std::vector<nb::Amplitude>> all;
  for (int c = 0; c < bp::len(channels); ++c) {
    const af::const_ref<cctbx::miller::index<>> indices =
        bp::extract<af::const_ref<cctbx::miller::index<>>>(channels[c][0])();
    const af::const_ref<double> values = bp::extract<af::const_ref<double>>(channels[c][1])();
    require_equal(values.size(), indices.size(), "amplitudes");
    std::vector<nb::Amplitude> channel;
    channel.reserve(values.size());
    for (std::size_t i = 0; i < values.size(); ++i)
      channel.push_back({{indices[i][0], indices[i][1], indices[i][2]}, values[i]});
    all.push_back(std::move(channel));
  }
  return new nb::StructureFactors(all, default_amplitude, F000);
}

// The memory of an array of Python's, which stays alive as long as this does.
std::shared_ptr<const Py_buffer> memory_of(const bp::object& array, const char* format, std::size_t size,
                                           const char* name) {
  auto buffer = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(array.ptr(), buffer.get(), PyBUF_C_CONTIGUOUS | PyBUF_FORMAT) != 0)
    bp::throw_error_already_set();
  std::shared_ptr<const Py_buffer> memory(buffer.release(), [](const Py_buffer* held) {
    const PyGILState_STATE state = PyGILState_Ensure();
    PyBuffer_Release(const_cast<Py_buffer*>(held));
    PyGILState_Release(state);
    delete held;
  });
  if (std::string(memory->format) != format)
    throw std::invalid_argument(std::string(name) + " has numbers of another type");
  require_equal(memory->len / memory->itemsize, size, name);
  return memory;
}

nb::StructureFactors* structure_factors_in_memory(const bp::object& amplitudes, const bp::object& strongest,
                                                  const scitbx::vec3<int>& low, const scitbx::vec3<int>& size,
                                                  int n_channels) {
  const std::size_t reflections = std::size_t(size[0]) * size[1] * size[2];
  const std::size_t n = reflections * n_channels + nb::structure_factors_padding;
  const auto values = memory_of(amplitudes, "d", n, "amplitudes");
  const auto most = memory_of(strongest, "f", reflections, "strongest");
  const auto both = std::make_shared<std::pair<std::shared_ptr<const void>, std::shared_ptr<const void>>>(values, most);
  return new nb::StructureFactors({{low[0], low[1], low[2]},
                                   {size[0], size[1], size[2]},
                                   n_channels,
                                   static_cast<const double*>(values->buf),
                                   static_cast<const float*>(most->buf),
                                   both});
}

nb::Amorphous* make_amorphous(const af::const_ref<double>& stol, const af::const_ref<double>& amplitude,
                              double molecules) {
  require_equal(amplitude.size(), stol.size(), "amplitude");
  std::vector<std::pair<double, double>> table;
  for (std::size_t i = 0; i < stol.size(); ++i) table.emplace_back(stol[i] / angstrom, amplitude[i]);
  return new nb::Amorphous(table, molecules);
}

HostArray on_host(const nb::Image& image, nb::Workspace& workspace) {
  if (WithoutGIL::exiting) return {image.on_host(workspace), image.size(), "<f8"};  // where they are on the host anyway
  WithoutGIL released;
  return {image.on_host(workspace), image.size(), "<f8"};
}

void clear(nb::Image& image, nb::Workspace& workspace) {
  WithoutGIL released;
  image.clear(workspace);
}

void add(nb::Image& image, nb::Workspace& workspace, const nb::Image& other) {
  WithoutGIL released;
  image.add(workspace, other);
}

void add_array(nb::Image& image, nb::Workspace& workspace, const af::const_ref<double>& pixels) {
  const std::vector<double> values(pixels.begin(), pixels.end());
  WithoutGIL released;
  image.add(workspace, values);
}

nb::Interpolation named_interpolation(const std::string& name) {
  using nb::Interpolation;
  return named<Interpolation>(name, {{"nearest", Interpolation::nearest}, {"tricubic", Interpolation::tricubic}},
                              "interpolation");
}

enum class Engine { pixel, reflection };

// tolerance: a number or None.
void add_spots(nb::Workspace& workspace, nb::Image& image, const nb::Detector& detector, const nb::Sources& sources,
               const nb::Crystal& crystal, const nb::StructureFactors& structure_factors,
               const std::string& interpolation, const std::string& engine, const bp::object& tolerance) {
  const nb::Interpolation how = named_interpolation(interpolation);
  const Engine chosen = named<Engine>(engine, {{"pixel", Engine::pixel}, {"reflection", Engine::reflection}}, "engine");
  const auto allowed = number_or_none(tolerance);
  const nb::Scene scene{detector, sources, crystal, structure_factors};
  WithoutGIL released;
  if (chosen == Engine::pixel)
    nb::add_spots_pixel_driven(workspace, image, scene, how);
  else
    nb::add_spots_reflection_driven(workspace, image, scene, how, allowed);
}

bp::tuple engine_work(nb::Workspace& workspace, const nb::Detector& detector, const nb::Sources& sources,
                      const nb::Crystal& crystal, const nb::StructureFactors& structure_factors,
                      const std::string& interpolation, const bp::object& tolerance) {
  const nb::Interpolation how = named_interpolation(interpolation);
  const auto allowed = number_or_none(tolerance);
  const nb::Scene scene{detector, sources, crystal, structure_factors};
  double pixel, reflection;
  {
    WithoutGIL released;
    pixel = nb::pixel_driven_work(scene, how);
    reflection = nb::reflection_driven_work(workspace, scene, how, allowed);
  }
  return bp::make_tuple(pixel, reflection);
}

void add_background(nb::Workspace& workspace, nb::Image& image, const nb::Detector& detector,
                    const nb::Sources& sources, const nb::Amorphous& amorphous) {
  WithoutGIL released;
  nb::add_background(workspace, image, detector, sources, amorphous);
}

bp::dict backend() {
  const nb::Backend b = nb::backend();
  bp::dict d;
  d["backend"] = b.name;
  d["threads"] = b.threads;
  d["device"] = b.device;
  d["kokkos"] = b.kokkos_version;
  d["compiler"] = b.compiler;
  return d;
}

}  // namespace

void wrap_benchmarks();  // benchmarks.cpp
void wrap_response();    // response.cpp

BOOST_PYTHON_MODULE(nanobragg_kokkos_ext) {
  using namespace boost::python;
  class_<nb::Detector>("Detector", no_init)
      .def("__init__",
           make_constructor(make_detector, default_call_policies(),
                            (arg("detector"), arg("oversample"), arg("point_pixel"), arg("sensor_layers"),
                             arg("layer_placement"), arg("thickness_mm"), arg("attenuation_length_mm"), arg("mask"))))
      .add_property("n_pixels", &nb::Detector::n_pixels);
  class_<nb::Sources>("Sources", no_init)
      .def("__init__",
           make_constructor(make_sources, default_call_policies(),
                            (arg("directions"), arg("wavelengths"), arg("weights"), arg("channels"), arg("polarized"),
                             arg("kahn_factor"), arg("electric_vector"), arg("fluence"))));
  class_<nb::Crystal>("Crystal", no_init)
      .def("__init__", make_constructor(make_crystal, default_call_policies(),
                                        (arg("model"), arg("mosaic_blocks"), arg("axis"), arg("start_deg"),
                                         arg("step_deg"), arg("steps"), arg("n_cells"), arg("shape"), arg("scale"))));
  class_<nb::StructureFactors>("StructureFactors", no_init)
      .def("__init__", make_constructor(make_structure_factors, default_call_policies(),
                                        (arg("channels"), arg("default_amplitude"), arg("F000"))))
      .def("__init__",
           make_constructor(structure_factors_in_memory, default_call_policies(),
                            (arg("amplitudes"), arg("strongest"), arg("low"), arg("size"), arg("n_channels"))));
  class_<nb::Amorphous>("Amorphous", no_init)
      .def("__init__", make_constructor(make_amorphous, default_call_policies(),
                                        (arg("stol"), arg("amplitude"), arg("molecules"))));
  class_<HostArray>("HostArray", no_init).add_property("__array_interface__", &HostArray::array_interface);
  class_<nb::Workspace, boost::noncopyable>("Workspace");
  class_<nb::Image>("Image", init<nb::Workspace&, std::size_t>((arg("workspace"), arg("n_pixels"))))
      .def("__len__", &nb::Image::size)
      .def("clear", clear, arg("workspace"))
      .def("add", add, (arg("workspace"), arg("other")))
      .def("add_array", add_array, (arg("workspace"), arg("pixels")))
      .def("swap", &nb::Image::swap, arg("other"))
      .def("on_host", on_host, arg("workspace"));
  def("add_spots", add_spots,
      (arg("workspace"), arg("image"), arg("detector"), arg("sources"), arg("crystal"), arg("structure_factors"),
       arg("interpolation"), arg("engine"), arg("tolerance")));
  def("engine_work", engine_work,
      (arg("workspace"), arg("detector"), arg("sources"), arg("crystal"), arg("structure_factors"),
       arg("interpolation"), arg("tolerance")));
  def("add_background", add_background,
      (arg("workspace"), arg("image"), arg("detector"), arg("sources"), arg("amorphous")));
  def("backend", backend);
  def("stop", stop);
  wrap_response();
  wrap_benchmarks();
}
