// Images with their derivatives for Python.
#include <boost/python.hpp>

#include <optional>
#include <string>

#include <nanobragg_kokkos/core/gradients/jacobian.h>

#include "host_array.h"
#include "named.h"
#include "without_gil.h"
#include "wrappers.h"

namespace bp = boost::python;
namespace nb = nanobragg;

namespace {

enum class Engine { pixel, reflection };

// tolerance: a number or None.
void add_spots(nb::Jacobian& jacobian, nb::Workspace& workspace, const nb::Detector& detector,
               const nb::Sources& sources, const nb::Crystal& crystal, const nb::StructureFactors& structure_factors,
               const std::string& interpolation, const nb::Tangents& tangents, const std::string& engine,
               const bp::object& tolerance) {
  using nb::Interpolation;
  const Interpolation how = named<Interpolation>(
      interpolation, {{"nearest", Interpolation::nearest}, {"tricubic", Interpolation::tricubic}}, "interpolation");
  const Engine chosen = named<Engine>(engine, {{"pixel", Engine::pixel}, {"reflection", Engine::reflection}}, "engine");
  const auto allowed = tolerance.is_none() ? std::nullopt : std::optional<double>(bp::extract<double>(tolerance)());
  const nb::Scene scene{detector, sources, crystal, structure_factors};
  WithoutGIL released;
  if (chosen == Engine::pixel)
    nb::add_spots_jacobian_pixel_driven(workspace, jacobian, scene, how, tangents);
  else
    nb::add_spots_jacobian_reflection_driven(workspace, jacobian, scene, how, tangents, allowed);
}

void add_background(nb::Jacobian& jacobian, nb::Workspace& workspace, const nb::Detector& detector,
                    const nb::Sources& sources, const nb::Amorphous& amorphous, const nb::Tangents& tangents) {
  WithoutGIL released;
  nb::add_background_jacobian(workspace, jacobian, detector, sources, amorphous, tangents);
}

HostArray on_host(const nb::Image& image, nb::Workspace& workspace) {
  WithoutGIL released;
  return {image.on_host(workspace), image.size(), "<f8"};
}

HostArray image(const nb::Jacobian& jacobian, nb::Workspace& workspace) { return on_host(jacobian.image(), workspace); }

HostArray derivatives(const nb::Jacobian& jacobian, nb::Workspace& workspace) {
  return on_host(jacobian.derivatives(), workspace);
}

void clear(nb::Jacobian& jacobian, nb::Workspace& workspace) {
  WithoutGIL released;
  jacobian.clear(workspace);
}

}  // namespace

void wrap_jacobian() {
  using namespace boost::python;
  class_<nb::Jacobian>("Jacobian", init<nb::Workspace&, std::size_t, std::size_t>(
                                       (arg("workspace"), arg("n_parameters"), arg("n_pixels"))))
      .def("clear", clear, arg("workspace"))
      .def("add_spots", add_spots,
           (arg("workspace"), arg("detector"), arg("sources"), arg("crystal"), arg("structure_factors"),
            arg("interpolation"), arg("tangents"), arg("engine"), arg("tolerance")))
      .def("add_background", add_background,
           (arg("workspace"), arg("detector"), arg("sources"), arg("amorphous"), arg("tangents")))
      .def("image", image, arg("workspace"))
      .def("derivatives", derivatives, arg("workspace"));
}
