// Lists of patches serve more than one pass.
#include <algorithm>

#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>
#include <nanobragg_kokkos/core/spots/gather.h>
#include <nanobragg_kokkos/core/spots/patch_pipeline.h>
#include <nanobragg_kokkos/core/spots/spot_scratch.h>
#include <nanobragg_kokkos/core/spots/spots.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

using Light = PatchLight<Shape::gauss_argchk, Interpolation::nearest>;

// Another sink than that of images: no more than the scale of the terms is missing.
struct Keep {
  DeviceBuffer<double> sums;
  KOKKOS_INLINE_FUNCTION void operator()(std::int64_t pixel, double sum) const { sums(pixel) = sum; }
};

}  // namespace

TEST(lists_of_patches_serve_several_passes_and_sinks) {
  const Sources sources({{{0, 0, -1}, 1e-10, 1, 0}, {{0, 0, -1}, 1.02e-10, 1, 0}}, {}, 1e25);
  const double a = 60e-10;
  Mat3 cell;
  cell.row[0] = {a, 0, 0}, cell.row[1] = {0, a, 0}, cell.row[2] = {0, 0, a};
  const Crystal crystal(orientations(cell, {Mat3{}}, {0, 1, 0}, 0.01, 1e-3, 20), {20, 20, 20}, Shape::gauss_argchk);
  const StructureFactors structure_factors({{}}, 10, 10);
  const Detector detector({flat_panel(150, 130, 6e-4)}, {});
  const Scene scene{detector, sources, crystal, structure_factors};
  Workspace in;
  Image once(in, detector.n_pixels()), twice(in, detector.n_pixels()), kept(in, detector.n_pixels());
  add_spots_reflection_driven(in, once, scene, Interpolation::nearest);

  const Calculation calculation(in, "lists_of_patches_serve_several_passes_and_sinks");
  const ExecutionSpace& space = calculation.space();
  SpotScratch scratch;
  const Light light(scene, scratch.powers());
  Gather<Light, AddToImage> add(in.on_device(), light, {twice.on_device().pixels, light.term.scale});
  Gather<Light, Keep> keep(in.on_device(), light, {kept.on_device().pixels});
  PatchLists lists;
  find_patch_lists(space, scene, light, checked_tolerance({}, crystal.shape()), lists, add);
  gather(space, lists, add);
  gather(space, lists, keep);
  const auto one = once.on_host(in), two = twice.on_host(in), sums = kept.on_host(in);
  CHECK(*std::max_element(one.get(), one.get() + once.size()) > 0);
  for (std::size_t i = 0; i < once.size(); ++i) {
    CHECK(two.get()[i] == 2 * one.get()[i]);
    CHECK(light.term.scale * sums.get()[i] == one.get()[i]);
  }
}
