// What a profiling tool sees of the functions of the core.
#include <Kokkos_Core.hpp>

#include <set>
#include <string>

#include <nanobragg_kokkos/core/background/amorphous.h>
#include <nanobragg_kokkos/core/response/readout.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>
#include <nanobragg_kokkos/core/spots/engine_work.h>
#include <nanobragg_kokkos/core/spots/spots.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

std::set<std::string> entered;
int depth = 0;

void enter(const char* name) { entered.insert(name), ++depth; }
void leave() { --depth; }

}  // namespace

TEST(every_function_that_computes_is_a_region) {
  start();
  namespace Tools = Kokkos::Tools::Experimental;
  const Tools::EventSet before = Tools::get_callbacks();
  entered.clear();
  Tools::set_push_region_callback(enter);
  Tools::set_pop_region_callback(leave);
  {
    const Detector detector({flat_panel(20, 10)}, {});
    const Sources sources({{{0, 0, -1}, 1e-10, 1, 0}}, {}, 1e30);
    Mat3 cell;
    for (Vec3& axis : cell.row) axis = 50e-10 * axis;
    const Crystal crystal({cell}, {10, 10, 10}, Shape::gauss);
    const StructureFactors structure_factors({{}}, 10, 10);
    const Scene scene{detector, sources, crystal, structure_factors};
    Workspace own;
    Image image(own, detector.n_pixels()), other(own, detector.n_pixels());
    add_spots_pixel_driven(own, image, scene, Interpolation::nearest);
    add_spots_reflection_driven(own, image, scene, Interpolation::nearest, {});
    reflection_driven_work(own, scene, Interpolation::nearest, {});
    add_background(own, image, detector, sources, Amorphous({{0, 1}, {1e10, 1}}, 1));
    image.add(own, other);
    image.on_host(own);
    DetectorResponse response;
    response.point_spread = PointSpread{SpreadShape::gauss, 1e-4, 3};
    Readout(own, detector, response, {}).start(own, image, 1, 1).on_host();
  }
  Tools::set_push_region_callback(before.push_region);
  Tools::set_pop_region_callback(before.pop_region);
  CHECK(depth == 0);
  std::set<std::string> expected{"nanobragg::background::add_background",   "nanobragg::models::add_to_image",
                                 "nanobragg::models::clear_image",          "nanobragg::models::make_crystal",
                                 "nanobragg::models::make_detector",        "nanobragg::models::make_image",
                                 "nanobragg::models::make_sources",         "nanobragg::models::make_structure_factors",
                                 "nanobragg::response::apply_blur",         "nanobragg::response::counts_on_host",
                                 "nanobragg::response::prepare_blur",       "nanobragg::response::prepare_readout",
                                 "nanobragg::response::read_out",           "nanobragg::spots::add_pixel_driven",
                                 "nanobragg::spots::add_reflection_driven", "nanobragg::spots::reflection_driven_work"};
  if (!host_is_device) expected.insert("nanobragg::models::image_on_host");
  for (const std::string& name : expected)
    check_close(double(entered.count(name)), 1, 0, name.c_str(), __FILE__, __LINE__);
}
