// What one source and one block contribute to one ray, with its derivatives.
#ifndef NANOBRAGG_KOKKOS_CORE_GRADIENTS_SPOT_DERIVATIVES_H
#define NANOBRAGG_KOKKOS_CORE_GRADIENTS_SPOT_DERIVATIVES_H

#include <nanobragg_kokkos/core/gradients/shape_derivatives.h>
#include <nanobragg_kokkos/core/spots/spot_terms.h>

namespace nanobragg {

// F^2 F_latt^2 and its derivatives by the Miller indices at the wavelength of a source, which sees a channel of the
// structure factors; false where all are zero.
template <Shape shape, Interpolation interpolation>
KOKKOS_INLINE_FUNCTION bool spot_derivatives(const SpotTerms<shape, interpolation>& term,
                                             const typename SpotTerms<shape, interpolation>::Index& h,
                                             const typename SpotTerms<shape, interpolation>::Index& k,
                                             const typename SpotTerms<shape, interpolation>::Index& l, int channel,
                                             ProfileDerivatives& result) {
  if (reach2<shape>() >= 0 && reduced_distance2(h.rest, k.rest, l.rest, term.cells) >= reach2<shape>()) return false;
  double f;
  Vec3 f_by_index;
  if constexpr (interpolation == Interpolation::nearest) {
    f = term.amplitude(int(h.nearest), int(k.nearest), int(l.nearest), channel);
    if (f == 0) return false;
  } else {
    f = term.amplitude.tricubic_derivatives(h.whole(), k.whole(), l.whole(), channel, f_by_index);
  }
  result = profile_derivatives<shape>(h.rest, k.rest, l.rest, term.cells);
  const double f2 = f * f;
  result.by_index = f2 * result.by_index + (2 * f * result.intensity) * f_by_index;
  result.by_cells = f2 * result.by_cells;
  result.intensity *= f2;
  return true;
}

}  // namespace nanobragg
#endif
