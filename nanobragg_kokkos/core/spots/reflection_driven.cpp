// The engine in two stages: the lists of the patches that touch each tile of the detector (patch_pipeline.h), and the
// sums over them (gather.h).
#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>
#include <nanobragg_kokkos/core/spots/gather.h>
#include <nanobragg_kokkos/core/spots/patch_pipeline.h>
#include <nanobragg_kokkos/core/spots/spot_scratch.h>
#include <nanobragg_kokkos/core/spots/spots.h>

namespace nanobragg {

void add_spots_reflection_driven(Workspace& workspace, Image& image, const Scene& scene, Interpolation interpolation,
                                 std::optional<double> tolerance) {
  const Calculation calculation(workspace, "nanobragg::spots::add_reflection_driven");
  check_spots(image, scene);
  const double allowed = checked_tolerance(tolerance, scene.crystal.shape());
  SpotScratch& scratch = workspace.on_device().scratch<SpotScratch>();
  with_shape(scene.crystal.shape(), interpolation, [&](auto shape, auto how) {
    const PatchLight<shape(), how()> light(scene, scratch.powers());
    Gather<PatchLight<shape(), how()>, AddToImage> pass(workspace.on_device(), light,
                                                        {image.on_device().pixels, light.term.scale});
    find_patch_lists(calculation.space(), scene, light, allowed, scratch.lists, pass);
  });
}

}  // namespace nanobragg
