// The lists of patches (patch_pipeline.h) are found once, and serve a pass for each group of parameters.
#include <nanobragg_kokkos/core/gradients/jacobian.h>
#include <nanobragg_kokkos/core/gradients/jacobian_columns.h>
#include <nanobragg_kokkos/core/gradients/jacobian_light.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>
#include <nanobragg_kokkos/core/spots/gather.h>
#include <nanobragg_kokkos/core/spots/patch_pipeline.h>
#include <nanobragg_kokkos/core/spots/spot_scratch.h>

namespace nanobragg {
namespace {

template <class Value>
struct AddToJacobian {
  DeviceBuffer<double> image, derivatives;
  int first, n;
  double scale;  // see SpotTerms
  KOKKOS_INLINE_FUNCTION void operator()(std::int64_t pixel, const Value& sum) const {
    if (first == 0 && sum.photons != 0) image(pixel) += scale * sum.photons;
    for (int k = 0; k < n; ++k)
      if (sum.by[k] != 0) derivatives((first + k) * std::int64_t(image.extent(0)) + pixel) += scale * sum.by[k];
  }
};

template <Shape shape, Interpolation interpolation, int columns>
void add_columns(Workspace& workspace, Jacobian& jacobian, const Scene& scene, const Tangents& tangents,
                 double tolerance) {
  using Light = JacobianLight<shape, interpolation, columns>;
  Workspace::OnDevice& device = workspace.on_device();
  SpotScratch& scratch = device.scratch<SpotScratch>();
  for (int first = 0; first < int(tangents.size()); first += columns) {
    const Light light(scene, scratch.powers(), tangents.on_device().table, first);
    Gather<Light, AddToJacobian<typename Light::Value>> pass(
        device, light,
        {jacobian.image().on_device().pixels, jacobian.derivatives().on_device().pixels, first, light.n,
         light.term.scale});
    if (first == 0)
      find_patch_lists(device.space(), scene, light, tolerance, scratch.lists, pass);
    else
      gather(device.space(), scratch.lists, pass);
  }
}

}  // namespace

void add_spots_jacobian_reflection_driven(Workspace& workspace, Jacobian& jacobian, const Scene& scene,
                                          Interpolation interpolation, const Tangents& tangents,
                                          std::optional<double> tolerance) {
  const Calculation calculation(workspace, "nanobragg::gradients::add_spots_reflection_driven");
  check_spots(jacobian.image(), scene);
  check_columns(jacobian, tangents, scene.crystal);
  const double allowed = checked_tolerance(tolerance, scene.crystal.shape());
  with_shape(scene.crystal.shape(), interpolation, [&](auto shape, auto how) {
    if (tangents.size() <= 8)
      add_columns<shape(), how(), 8>(workspace, jacobian, scene, tangents, allowed);
    else
      add_columns<shape(), how(), 32>(workspace, jacobian, scene, tangents, allowed);
  });
  calculation.space().fence("nanobragg::gradients::reflection_driven");
}

}  // namespace nanobragg
