// Bragg spots for Python.
#include <boost/python.hpp>

#include <optional>
#include <string>

#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/models/scene.h>
#include <nanobragg_kokkos/core/runtime/workspace.h>
#include <nanobragg_kokkos/core/spots/engine_work.h>
#include <nanobragg_kokkos/core/spots/spots.h>

#include "named.h"
#include "without_gil.h"
#include "wrappers.h"

namespace bp = boost::python;
namespace nb = nanobragg;

namespace {

std::optional<double> number_or_none(const bp::object& value) {
  return value.is_none() ? std::nullopt : std::optional<double>(bp::extract<double>(value)());
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

}  // namespace

void wrap_spots() {
  using namespace boost::python;
  def("add_spots", add_spots,
      (arg("workspace"), arg("image"), arg("detector"), arg("sources"), arg("crystal"), arg("structure_factors"),
       arg("interpolation"), arg("engine"), arg("tolerance")));
  def("engine_work", engine_work,
      (arg("workspace"), arg("detector"), arg("sources"), arg("crystal"), arg("structure_factors"),
       arg("interpolation"), arg("tolerance")));
}
