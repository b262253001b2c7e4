// What one source and one block contribute to one ray: the innermost term of every engine.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_SPOT_TERMS_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_SPOT_TERMS_H

#include <type_traits>

#include <nanobragg_kokkos/core/math/constants.h>
#include <nanobragg_kokkos/core/models/crystal_on_device.h>
#include <nanobragg_kokkos/core/models/lattice_shapes.h>
#include <nanobragg_kokkos/core/models/sources_on_device.h>
#include <nanobragg_kokkos/core/models/structure_factors_on_device.h>
#include <nanobragg_kokkos/core/spots/spots.h>

namespace nanobragg {

template <Shape shape, Interpolation interpolation>
struct SpotTerms {
  SourceTable sources;
  DeviceTable<Mat3> blocks;
  Cells cells;
  AmplitudeTable amplitude;
  double scale;  // from the sum of terms, weighted by the rays, to photons

  explicit SpotTerms(const Scene& scene)
      : sources(scene.sources.on_device().table),
        blocks(scene.crystal.on_device().table),
        cells{scene.crystal.cells()[0], scene.crystal.cells()[1], scene.crystal.cells()[2]},
        amplitude(scene.structure_factors.on_device().table),
        scale(thomson_cross_section * scene.sources.fluence() * scene.crystal.scale() / double(blocks.extent(0))) {}

  // A fractional Miller index, that at wavenumber 1 times the wavenumber, taken apart into the nearest reflection and
  // the rest.
  struct Index {
    double nearest, rest;
    KOKKOS_FORCEINLINE_FUNCTION Index(double at_one, double wavenumber)
        : nearest(nearest_index(at_one * wavenumber)), rest(Kokkos::fma(at_one, wavenumber, -nearest)) {}
    KOKKOS_FORCEINLINE_FUNCTION double whole() const { return nearest + rest; }
  };

  // Weight × F^2 × F_latt^2 of source i, for the Miller indices that the ray has at its wavelength.
  KOKKOS_FORCEINLINE_FUNCTION double operator()(const Index& h, const Index& k, const Index& l, int i) const {
    if (reach2<shape>() >= 0 && reduced_distance2(h.rest, k.rest, l.rest, cells) >= reach2<shape>()) return 0;
    const double f = interpolation == Interpolation::nearest
                         ? amplitude(int(h.nearest), int(k.nearest), int(l.nearest), sources.channel(i))
                         : amplitude.tricubic(h.whole(), k.whole(), l.whole(), sources.channel(i));
    return f == 0 ? 0 : sources.weight(i) * f * f * lattice_intensity<shape>(h.rest, k.rest, l.rest, cells);
  }
};

// Calls act(shape, interpolation) with both as constants of the type system: shape() and interpolation() are their
// values.
template <class Act>
void with_shape(Shape shape, Interpolation interpolation, const Act& act) {
  const auto with_interpolation = [&](auto fixed_shape) {
    if (interpolation == Interpolation::tricubic)
      act(fixed_shape, std::integral_constant<Interpolation, Interpolation::tricubic>());
    else
      act(fixed_shape, std::integral_constant<Interpolation, Interpolation::nearest>());
  };
  switch (shape) {
    case Shape::square: return with_interpolation(std::integral_constant<Shape, Shape::square>());
    case Shape::round: return with_interpolation(std::integral_constant<Shape, Shape::round>());
    case Shape::gauss: return with_interpolation(std::integral_constant<Shape, Shape::gauss>());
    case Shape::gauss_argchk: return with_interpolation(std::integral_constant<Shape, Shape::gauss_argchk>());
    case Shape::tophat: return with_interpolation(std::integral_constant<Shape, Shape::tophat>());
  }
}

}  // namespace nanobragg
#endif
