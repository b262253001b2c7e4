// What a pixel receives from the reflection of a patch.
#ifndef NANOBRAGG_KOKKOS_CORE_SPOTS_PATCH_LIGHT_H
#define NANOBRAGG_KOKKOS_CORE_SPOTS_PATCH_LIGHT_H

#include <nanobragg_kokkos/core/math/exponential.h>
#include <nanobragg_kokkos/core/spots/spot_terms.h>
#include <nanobragg_kokkos/core/spots/wavelength_window.h>

namespace nanobragg {

// exp(-2 / 0.63 r^2) along a ray: the exponent is a quadratic polynomial in the difference of the wavenumber from one
// in the middle, where the distance from the reflection is calculated without cancellation.
class GaussianOfRay {
 public:
  KOKKOS_INLINE_FUNCTION GaussianOfRay(Vec3 index, const Patch& patch, const Cells& cells, double middle,
                                       const double* powers)
      : middle_(middle), powers_(powers) {
    const Vec3 step{cells.a * index.x, cells.b * index.y, cells.c * index.z};
    const Vec3 apart{cells.a * Kokkos::fma(index.x, middle, -double(patch.h)),
                     cells.b * Kokkos::fma(index.y, middle, -double(patch.k)),
                     cells.c * Kokkos::fma(index.z, middle, -double(patch.l))};
    quadratic_ = -2 / 0.63 * dot(step, step), linear_ = -4 / 0.63 * dot(step, apart),
    constant_ = -2 / 0.63 * dot(apart, apart);
  }
  // Below exp(-700) any number below that.
  KOKKOS_INLINE_FUNCTION double operator()(double wavenumber) const {
    const double x = wavenumber - middle_;
    const double exponent = Kokkos::max(Kokkos::fma(x, Kokkos::fma(x, quadratic_, linear_), constant_), -700.0);
    KOKKOS_IF_ON_HOST((return vectorizable_exp(exponent);))
    KOKKOS_IF_ON_DEVICE((return exp_by_table(exponent, powers_);))
  }

 private:
  double middle_, quadratic_, linear_, constant_;
  [[maybe_unused]] const double* powers_;  // on GPUs
};

// Up to vector_lanes pixels of a panel, and the sources that each may need.
struct PixelLanes {
  int n;
  int fast[vector_lanes], slow[vector_lanes];  // those from n on repeat the first
  Range range[vector_lanes];
};

template <Shape shape, Interpolation interpolation>
struct PatchLight {
  static constexpr bool gaussian = shape == Shape::gauss || shape == Shape::gauss_argchk;
  static constexpr bool interpolated = interpolation != Interpolation::nearest;
  using Index = typename SpotTerms<shape, interpolation>::Index;
  using Value = double;  // photons, less the scale of the terms
  using Envelope = PhotonEnvelope<shape>;

  PixelTable rays;
  SpotTerms<shape, interpolation> term;
  DeviceTable<SingleMat3> single_blocks;
  float extent;                // see WavelengthWindow
  DeviceTable<double> powers;  // see exp_by_table

  PatchLight(const Scene& scene, const DeviceTable<double>& powers_of_two)
      : rays(scene.detector.on_device().table),
        term(scene),
        single_blocks(scene.crystal.on_device().single.table),
        extent(1.00001f * float(scene.crystal.on_device().largest_extent * scene.sources.largest_wavenumber())),
        powers(powers_of_two) {}

  KOKKOS_INLINE_FUNCTION WavelengthWindow wavelength_window(const Patch& patch, float unsteadiness) const {
    return WavelengthWindow(single_blocks(patch.block), term.cells, patch,
                            to_single(term.sources.directions(patch.direction).incident), extent, unsteadiness);
  }

  // Whether terms along rays in this range are to be checked one by one, see over_sources.
  KOKKOS_INLINE_FUNCTION bool must_check(const Patch& patch, const WavelengthWindow& window) const {
    return !gaussian || interpolation != Interpolation::nearest || window.leaves_cell(term.cells) ||
           double(patch.reach) * patch.reach > 0.9 * Envelope::largest_reach2();
  }

  // What a ray receives from some of the sources.  check: some may be too far from the reflection, or nearer to
  // another.
  KOKKOS_INLINE_FUNCTION double over_sources(Vec3 index, const Patch& patch, Range range, bool check) const {
    double sum = 0;
    if (gaussian && !check) {
      const GaussianOfRay gaussian_of_ray(index, patch, term.cells, term.sources.wavenumber(range.middle()),
                                          powers.data());
      const double* f = term.amplitude.at(patch.h, patch.k, patch.l);
      const Direction& direction = term.sources.directions(patch.direction);
      const bool channels_in_order = direction.channels_in_order;
      if (f && channels_in_order) f += term.sources.channel(direction.sources.begin) - direction.sources.begin;
      for (int i = range.begin; i < range.end; ++i) {
        const Wave wave = term.sources.waves(i);
        const double amplitude =
            !f ? term.amplitude.default_amplitude : f[channels_in_order ? i : term.sources.channel(i)];
        sum += wave.weight * amplitude * amplitude * gaussian_of_ray(wave.wavenumber);
      }
      return term.cells.volume() * term.cells.volume() * sum;
    }
    for (int i = range.begin; i < range.end; ++i) {
      const double x = term.sources.wavenumber(i);
      const Index h(index.x, x), k(index.y, x), l(index.z, x);
      if (h.nearest == patch.h && k.nearest == patch.k && l.nearest == patch.l) sum += term(h, k, l, i);
    }
    return sum;
  }

  // The same for unchecked Gaussians in vector code: as many sums as a vector has lanes, added up in the end.
  double over_sources_in_lanes(Vec3 index, const Patch& patch, Range range, bool channels_in_order) const {
    const double* const x = term.sources.wavenumber.data();
    const double* const weight = term.sources.weight.data();
    const int* const channel = term.sources.channel.data();
    const double* const f = term.amplitude.at(patch.h, patch.k, patch.l);
    const GaussianOfRay gaussian_of_ray(index, patch, term.cells, x[range.middle()], powers.data());
    double sums[vector_lanes] = {};
    for (int i = range.begin; i < range.end; i += vector_lanes) {
      double amplitude[vector_lanes];
      if (!f)
        for (int j = 0; j < vector_lanes; ++j) amplitude[j] = term.amplitude.default_amplitude;
      else if (channels_in_order)
        for (int j = 0; j < vector_lanes; ++j) amplitude[j] = f[channel[i] + j];
      else
        for (int j = 0; j < vector_lanes; ++j) amplitude[j] = f[channel[i + j]];
      for (int j = 0; j < vector_lanes; ++j) {
        const double share = j < range.end - i ? weight[i + j] : 0;
        sums[j] += share * amplitude[j] * amplitude[j] * gaussian_of_ray(x[i + j]);
      }
    }
    double sum = 0;
    for (int j = 0; j < vector_lanes; ++j) sum += sums[j];
    return term.cells.volume() * term.cells.volume() * sum;
  }

  // The light of some sources along one ray of a pixel.
  KOKKOS_INLINE_FUNCTION double light_of_ray(const Patch& patch, int fast, int slow, int ray_number, Range range,
                                             bool check) const {
    const Ray ray = rays.ray_of_pixel(rays.panels(patch.panel), fast, slow, ray_number);
    const Direction& direction = term.sources.directions(patch.direction);
    const double sum =
        over_sources(term.blocks(patch.block) * (ray.direction - direction.incident), patch, range, check);
    return sum == 0 ? 0 : sum * ray.weight * term.sources.polarization(direction, ray.direction);
  }

  // The same for several pixels, in vector code.
  void light_of_lanes(const PixelLanes& lanes, const Patch& patch, const DevicePanel& panel, int ray_number, bool check,
                      double (&values)[vector_lanes]) const {
    const Direction& direction = term.sources.directions(patch.direction);
    const Mat3& block = term.blocks(patch.block);
    const bool in_order = direction.channels_in_order;
    double h[vector_lanes], k[vector_lanes], l[vector_lanes], factor[vector_lanes];
    for (int j = 0; j < vector_lanes; ++j) {
      const Ray ray = rays.ray_of_pixel(panel, lanes.fast[j], lanes.slow[j], ray_number);
      const Vec3 index = block * (ray.direction - direction.incident);
      h[j] = index.x, k[j] = index.y, l[j] = index.z;
      factor[j] = ray.weight * term.sources.polarization(direction, ray.direction);
    }
    for (int j = 0; j < lanes.n; ++j) {
      const Vec3 index{h[j], k[j], l[j]};
      values[j] = factor[j] * (check ? over_sources(index, patch, lanes.range[j], true)
                                     : over_sources_in_lanes(index, patch, lanes.range[j], in_order));
    }
  }

  // The sources that a ray of a pixel may need.
  KOKKOS_INLINE_FUNCTION Range sources_of_ray(const Patch& patch, const WavelengthWindow& window,
                                              SingleVec3 direction) const {
    float low, high;
    window(direction, low, high);
    return low <= high ? sources_between(low, high, term.sources.directions(patch.direction), term.sources.wavenumber)
                       : Range{0, 0};
  }

  // The light of a pixel.  narrowed: by narrowed(range) of the sources that each ray may need.
  template <class Narrow>
  KOKKOS_INLINE_FUNCTION double light_of_pixel(const Patch& patch, int fast, int slow, const Narrow& narrowed) const {
    const DevicePanel& panel = rays.panels(patch.panel);
    double sum = 0;
    for (int ray = 0; ray < panel.rays_of_pixel; ++ray) {
      const NeighbourRays single(rays, panel, fast, slow, 1, 1, ray);
      const WavelengthWindow window = wavelength_window(patch, single.unsteadiness);
      const Range range = narrowed(sources_of_ray(patch, window, single.direction(0, 0)));
      if (!range.empty()) sum += light_of_ray(patch, fast, slow, ray, range, must_check(patch, window));
    }
    return sum;
  }

  // Some of the light of the pixel in the middle.
  KOKKOS_INLINE_FUNCTION double light_in_the_middle(const Patch& patch) const {
    const DevicePanel& panel = rays.panels(patch.panel);
    const int fast = (patch.fast.begin + patch.fast.end) / 2, slow = (patch.slow.begin + patch.slow.end) / 2;
    if (!rays.active(panel.first_pixel + std::int64_t(slow) * panel.n_fast + fast)) return 0;
    return light_of_pixel(patch, fast, slow, [](Range range) {
      const int middle = range.middle();
      return Range{Kokkos::max(range.begin, middle - 3), Kokkos::min(range.end, middle + 4)};
    });
  }
};

}  // namespace nanobragg
#endif
