// A program that starts and ends Kokkos itself, and keeps objects of the core for longer.
#include <Kokkos_Core.hpp>

#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>

#include <nanobragg_kokkos/core/background/amorphous.h>
#include <nanobragg_kokkos/core/response/readout.h>

#include "check.h"
#include "experiment.h"
#include "host_program.h"

using namespace nanobragg;

namespace {

// Destroyed when the program ends, long after Kokkos.
std::unique_ptr<Workspace> kept_workspace;
std::unique_ptr<Image> kept_image;
std::unique_ptr<Detector> kept_detector;
std::unique_ptr<Readout> kept_readout;

}  // namespace

int host_program() {
  Kokkos::initialize(Kokkos::InitializationSettings().set_disable_warnings(true));
  const Sources beam({{{0, 0, -1}, 1e-10, 1, 0}}, {false, 0, {}}, 1e30);
  kept_workspace = std::make_unique<Workspace>();
  kept_detector = std::make_unique<Detector>(std::vector<Panel>{flat_panel(40, 30)}, Sampling{});
  kept_image = std::make_unique<Image>(*kept_workspace, kept_detector->n_pixels());
  add_background(*kept_workspace, *kept_image, *kept_detector, beam, Amorphous({{0, 1}}, 1));
  DetectorResponse response;
  response.point_spread = PointSpread{SpreadShape::fiber, 1e-4, 5, AddedBack::missing};
  kept_readout = std::make_unique<Readout>(*kept_workspace, *kept_detector, response, CountRange{});
  kept_readout->start(*kept_workspace, *kept_image, 1, 0).on_host();
  Kokkos::finalize();
  CHECK_THROWS(kept_image->clear(*kept_workspace), std::runtime_error);
  CHECK_THROWS(Workspace(), std::runtime_error);
  return failures() == 0 ? 0 : 1;
}

// In a process of its own: Kokkos can be started only once in each.
TEST(a_program_that_owns_kokkos_may_end_it_first) {
  CHECK(std::system(("\"" + own_path() + "\" " + as_host_program).c_str()) == 0);
}
