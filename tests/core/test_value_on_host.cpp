// What the host reads of the device is what the kernels before have left there, however long they take.
#include <numeric>

#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>
#include <nanobragg_kokkos/core/runtime/value_on_host.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>
#include <nanobragg_kokkos/core/spots/spots.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

// Keeps the device's queue busy for a tenth of a second or so, and then sets the value to 1.
void set_late(const ExecutionSpace& space, const Kokkos::View<double, DeviceSpace>& value) {
  Kokkos::parallel_for(
      "set_late", Kokkos::RangePolicy<ExecutionSpace>(space, 0, 1), KOKKOS_LAMBDA(int) {
        double x = 2;
        for (int i = 0; i < 30'000'000; ++i) x = Kokkos::fma(x, 0.5, 0.5);  // towards 1
        value() = x;
      });
}

}  // namespace

TEST(a_value_is_read_after_the_kernels_that_write_it) {
  start();
  const ExecutionSpace space;
  const Kokkos::View<double, DeviceSpace> value("value");
  set_late(space, value);
  CHECK(value_on_host(space, value) == 1);
}

// More patches than there is room for at first: without the number found, which the host reads late, their light would
// be lost.
TEST(spots_are_complete_where_room_must_be_made_and_the_device_is_busy) {
  const Sources sources({{{0, 0, -1}, 1e-10, 1, 0}, {{0, 0, -1}, 1.02e-10, 1, 0}}, {}, 1e25);
  const double a = 60e-10;
  Mat3 cell;
  cell.row[0] = {a, 0, 0}, cell.row[1] = {0, a, 0}, cell.row[2] = {0, 0, a};
  const Crystal crystal(orientations(cell, {Mat3{}}, {0, 1, 0}, 0.01, 1e-3, 200), {20, 20, 20}, Shape::gauss_argchk);
  const StructureFactors structure_factors({{}}, 10, 10);
  const Kokkos::View<double, DeviceSpace> value("value");
  double photons[2];
  for (const bool busy : {false, true}) {
    const Detector detector({flat_panel(300, 300, 3e-4)}, {});
    Workspace fresh;  // room for few patches
    Image image(fresh, detector.n_pixels());
    if (busy) set_late(fresh.on_device().space(), value);
    add_spots_reflection_driven(fresh, image, {detector, sources, crystal, structure_factors}, Interpolation::nearest);
    const auto pixels = image.on_host(fresh);
    photons[busy] = std::accumulate(pixels.get(), pixels.get() + image.size(), 0.0);
  }
  CHECK(photons[0] > 0);
  CHECK(photons[1] == photons[0]);
}
