// Every pixel asks every ray, source and block, as in the pixel-driven engine of the image.
#include <nanobragg_kokkos/core/gradients/jacobian.h>
#include <nanobragg_kokkos/core/gradients/jacobian_columns.h>
#include <nanobragg_kokkos/core/gradients/spot_derivatives.h>
#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>
#include <nanobragg_kokkos/core/spots/reach_filter.h>
#include <nanobragg_kokkos/core/spots/spot_terms.h>

namespace nanobragg {
namespace {

template <Shape shape, Interpolation interpolation>
struct PixelDrivenJacobian {
  using Terms = SpotTerms<shape, interpolation>;
  using Index = typename Terms::Index;
  static constexpr bool ends = reach2<shape>() >= 0;

  PixelTable rays;
  Terms term;
  DeviceTable<SingleMat3> single;
  ReachFilter filter;
  JacobianColumns columns;

  PixelDrivenJacobian(const Scene& scene, const JacobianColumns& to)
      : rays(scene.detector.on_device().table),
        term(scene),
        single(scene.crystal.on_device().single.table),
        filter(reach2<shape>(), term.cells, scene.crystal.on_device().largest_extent,
               scene.sources.largest_wavenumber()),
        columns(to) {}

  KOKKOS_FUNCTION void operator()(const std::int64_t pixel) const {
    if (!rays.active(pixel)) return;
    const int panel_number = rays.panel_of(pixel);
    const DevicePanel& panel = rays.panels(panel_number);
    const std::int64_t in_panel = pixel - panel.first_pixel;
    const int slow = int(in_panel / panel.n_fast), fast = int(in_panel % panel.n_fast);
    ColumnSums sums;
    Responses rest;  // to what does not differ between blocks
    for (int r = 0; r < panel.rays_of_pixel; ++r) {
      const MovableRay ray(rays, panel, fast, slow, r, columns.tangents.moves_panels);
      if (!(ray.weight > 0)) continue;
      for (std::size_t d = 0; d < term.sources.directions.extent(0); ++d)
        add_blocks(ray, term.sources.directions(d), rest, sums);
    }
    columns.add<Amount::spots>(pixel, panel_number, rest, sums);
  }

  KOKKOS_FUNCTION void add_blocks(const MovableRay& ray, const Direction& direction, Responses& rest,
                                  ColumnSums& sums) const {
    const Vec3 scattering = ray.direction - direction.incident;
    const double weight = term.scale * ray.weight * term.sources.polarization(direction, ray.direction);
    Scattered all;
    for (int block = 0; block < int(term.blocks.extent(0)); ++block) {
      const Mat3 cell = term.blocks(block);
      const Vec3 index = cell * scattering;
      Vec3 by_index;  // at wavenumber 1
      bool any = false;
      for (int i = direction.sources.begin; i < direction.sources.end; ++i) {
        const double x = term.sources.wavenumber(i);
        if (ends && !filter.passes(filter.distance2(float(index.x * x), float(index.y * x), float(index.z * x))))
          continue;
        ProfileDerivatives here;
        if (!spot_derivatives(term, Index(index.x, x), Index(index.y, x), Index(index.z, x), term.sources.channel(i),
                              here))
          continue;
        any = true;
        const double w = term.sources.weight(i);
        if (columns.tangents.moves_weights) columns.add_weight(i, weight * here.intensity, sums);
        const Vec3 by_index_here = w * here.by_index;
        all.photons += w * here.intensity;
        all.by_wavelength -= x * x * dot(by_index_here, index);
        by_index = along(by_index, x, by_index_here);
        rest.by_cells = along(rest.by_cells, weight * w, here.by_cells);
      }
      if (!any) continue;
      all.by_scattering = along(along(along(all.by_scattering, by_index.x, cell.row[0]), by_index.y, cell.row[1]),
                                by_index.z, cell.row[2]);
      if (columns.tangents.moves_blocks) columns.add_block(block, weight, by_index, scattering, sums);
    }
    if (all.photons != 0 || dot(all.by_scattering, all.by_scattering) != 0)
      add_responses(ray, term.sources, direction, all, term.scale, rest);
  }
};

}  // namespace

void add_spots_jacobian_pixel_driven(Workspace& workspace, Jacobian& jacobian, const Scene& scene,
                                     Interpolation interpolation, const Tangents& tangents) {
  const Calculation calculation(workspace, "nanobragg::gradients::add_spots_pixel_driven");
  check_spots(jacobian.image(), scene);
  check_columns(jacobian, tangents, scene.crystal);
  with_shape(scene.crystal.shape(), interpolation, [&](auto shape, auto how) {
    for_each_group_of_columns(jacobian, tangents, [&](const JacobianColumns& columns) {
      Kokkos::parallel_for(
          "nanobragg::gradients::pixel_driven",
          light_weight(
              Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(
                  calculation.space(), 0, std::int64_t(jacobian.n_pixels()))),
          PixelDrivenJacobian<shape(), how()>(scene, columns));
    });
  });
  calculation.space().fence("nanobragg::gradients::pixel_driven");
}

}  // namespace nanobragg
