#include <stdexcept>

#include <nanobragg_kokkos/core/background/intensity_curves.h>
#include <nanobragg_kokkos/core/gradients/jacobian.h>
#include <nanobragg_kokkos/core/gradients/jacobian_columns.h>
#include <nanobragg_kokkos/core/math/constants.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>

namespace nanobragg {
namespace {

struct BackgroundJacobian {
  PixelTable rays;
  SourceTable sources;
  IntensityCurves curve;
  double scale;
  JacobianColumns columns;

  KOKKOS_FUNCTION void operator()(const std::int64_t pixel) const {
    if (!rays.active(pixel)) return;
    const int panel_number = rays.panel_of(pixel);
    const DevicePanel& panel = rays.panels(panel_number);
    const std::int64_t in_panel = pixel - panel.first_pixel;
    const int slow = int(in_panel / panel.n_fast), fast = int(in_panel % panel.n_fast);
    ColumnSums sums;
    Responses rest;
    for (int r = 0; r < panel.rays_of_pixel; ++r) {
      const MovableRay ray(rays, panel, fast, slow, r, columns.tangents.moves_panels);
      if (!(ray.weight > 0)) continue;
      for (std::size_t d = 0; d < sources.directions.extent(0); ++d)
        add_sources(ray, sources.directions(d), rest, sums);
    }
    columns.add<Amount::background>(pixel, panel_number, rest, sums);
  }

  KOKKOS_FUNCTION void add_sources(const MovableRay& ray, const Direction& direction, Responses& rest,
                                   ColumnSums& sums) const {
    const Vec3 scattering = ray.direction - direction.incident;
    const double half = 0.5 * norm(scattering);  // sin(theta)
    const double weight = scale * ray.weight * sources.polarization(direction, ray.direction);
    Scattered all;
    double by_half = 0;
    for (int i = direction.sources.begin; i < direction.sources.end; ++i) {
      const double x = sources.wavenumber(i), w = sources.weight(i);
      const IntensityPiece& piece = curve.pieces(curve.find(0, half * x));
      const double intensity = piece(half * x), slope = piece.derivative(half * x);
      if (columns.tangents.moves_weights) columns.add_weight(i, weight * intensity, sums);
      all.photons += w * intensity;
      all.by_wavelength -= w * slope * half * x * x;
      by_half += w * slope * x;
    }
    if (half > 0) all.by_scattering = (by_half / (4 * half)) * scattering;
    add_responses(ray, sources, direction, all, scale, rest);
  }
};

}  // namespace

void add_background_jacobian(Workspace& workspace, Jacobian& jacobian, const Detector& detector, const Sources& sources,
                             const Amorphous& amorphous, const Tangents& tangents) {
  const Calculation calculation(workspace, "nanobragg::gradients::add_background");
  if (jacobian.n_pixels() != detector.n_pixels())
    throw std::invalid_argument("the image does not have the detector's pixels");
  check_columns(jacobian, tangents);
  const double limit = sources.largest_wavenumber();
  const IntensityCurves curve = intensity_curve(calculation.space(), amorphous.amplitude()->up_to(limit), limit);
  const double scale = thomson_cross_section * sources.fluence() * amorphous.molecules();
  for_each_group_of_columns(jacobian, tangents, [&](const JacobianColumns& columns) {
    Kokkos::parallel_for(
        "nanobragg::gradients::background",
        light_weight(
            Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(
                calculation.space(), 0, std::int64_t(jacobian.n_pixels()))),
        BackgroundJacobian{detector.on_device().table, sources.on_device().table, curve, scale, columns});
  });
  calculation.space().fence("nanobragg::gradients::background");
}

}  // namespace nanobragg
