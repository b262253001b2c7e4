// What a pixel receives from the reflection of a patch, and how that changes with some parameters.
//
// Along a ray the light of a Gaussian reflection is a sum of w F^2 exp(quadratic polynomial of the wavenumber x).  All
// of its derivatives by the Miller indices, the number of cells and the wavelengths follow from the moments
//   S_n = Σ w F^2 exp(…) (x - middle)^n,  n = 0 … 3,
// so that a derivative costs a few products a ray, and nothing a source.
#ifndef NANOBRAGG_KOKKOS_CORE_GRADIENTS_JACOBIAN_LIGHT_H
#define NANOBRAGG_KOKKOS_CORE_GRADIENTS_JACOBIAN_LIGHT_H

#include <nanobragg_kokkos/core/gradients/responses.h>
#include <nanobragg_kokkos/core/gradients/shape_derivatives.h>
#include <nanobragg_kokkos/core/gradients/spot_derivatives.h>
#include <nanobragg_kokkos/core/gradients/tangents_on_device.h>
#include <nanobragg_kokkos/core/spots/patch_light.h>

namespace nanobragg {

// How the derivatives of a reflection fall off around it, further out than its photons: relative to its largest one, a
// derivative stays below (1 + 4 R^2) times the profile at a reduced distance R.
template <Shape shape>
struct DerivativeEnvelope : PhotonEnvelope<shape> {
  KOKKOS_INLINE_FUNCTION static double reach2(double log_envelope) {
    double r2 = PhotonEnvelope<shape>::reach2(log_envelope);
    if (r2 < 0 || !(shape == Shape::gauss || shape == Shape::gauss_argchk)) return r2;
    // The solution of r2 = 0.63 / 2 (log(1 + 4 r2) - log_envelope), from above.
    for (int i = 0; i < 4; ++i) r2 = 0.63 / 2 * (Kokkos::log(1 + 4 * (i == 0 ? r2 + 4 : r2)) - log_envelope);
    return Kokkos::min(PhotonEnvelope<shape>::largest_reach2(), r2);
  }
};

template <Shape shape, Interpolation interpolation, int columns>
struct JacobianLight : PatchLight<shape, interpolation> {
  using Base = PatchLight<shape, interpolation>;
  using Base::gaussian, Base::rays, Base::term, Base::powers;
  using Index = typename Base::Index;
  using Envelope = DerivativeEnvelope<shape>;

  // Photons and their derivatives, less the scale of the terms.
  struct Value {
    double photons = 0, by[columns] = {};
    KOKKOS_INLINE_FUNCTION Value& operator+=(const Value& other) {
      photons += other.photons;
      for (int k = 0; k < columns; ++k) by[k] += other.by[k];
      return *this;
    }
  };

  TangentTable tangents;
  int first, n;  // parameters, at most `columns`

  JacobianLight(const Scene& scene, const DeviceTable<double>& powers_of_two, const TangentTable& all, int from)
      : Base(scene, powers_of_two), tangents(all), first(from), n(Kokkos::min(columns, all.n - from)) {}

  // What a ray receives from some of the sources, before solid angle and polarization.
  struct OfSources {
    double photons = 0;
    Vec3 by_index, by_cells;  // the index at wavenumber 1
    double by_wavelength = 0;
  };

  KOKKOS_INLINE_FUNCTION OfSources over_sources(Vec3 index, const Patch& patch, Range range, bool check) const {
    if (gaussian && !check) return moments(index, patch, range);
    OfSources sum;
    for (int i = range.begin; i < range.end; ++i) {
      const double x = term.sources.wavenumber(i), w = term.sources.weight(i);
      const Index h(index.x, x), k(index.y, x), l(index.z, x);
      ProfileDerivatives here;
      if (!(h.nearest == patch.h && k.nearest == patch.k && l.nearest == patch.l) ||
          !spot_derivatives(term, h, k, l, term.sources.channel(i), here))
        continue;
      sum.photons += w * here.intensity;
      sum.by_index = along(sum.by_index, w * x, here.by_index);
      sum.by_cells = along(sum.by_cells, w, here.by_cells);
      sum.by_wavelength -= w * x * x * dot(here.by_index, index);
    }
    return sum;
  }

  KOKKOS_INLINE_FUNCTION OfSources moments(Vec3 index, const Patch& patch, Range range) const {
    const double middle = term.sources.wavenumber(range.middle());
    const GaussianOfRay gaussian_of_ray(index, patch, term.cells, middle, powers.data());
    const double* const f = term.amplitude.at(patch.h, patch.k, patch.l);
    double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    KOKKOS_IF_ON_HOST((moments_in_lanes(gaussian_of_ray, f, patch, range, middle, s0, s1, s2, s3);))
    KOKKOS_IF_ON_DEVICE((for (int i = range.begin; i < range.end; ++i) {
      const Wave wave = term.sources.waves(i);
      const double amplitude = !f ? term.amplitude.default_amplitude : f[term.sources.channel(i)];
      const double e = wave.weight * amplitude * amplitude * gaussian_of_ray(wave.wavenumber);
      const double t = wave.wavenumber - middle, et = e * t, ett = et * t;
      s0 += e, s1 += et, s2 += ett, s3 = Kokkos::fma(ett, t, s3);
    }))
    const Cells& cells = term.cells;
    const double peak = cells.volume() * cells.volume(), c = -4 / 0.63;
    s0 *= peak, s1 *= peak, s2 *= peak, s3 *= peak;
    const Vec3 apart{Kokkos::fma(index.x, middle, -double(patch.h)), Kokkos::fma(index.y, middle, -double(patch.k)),
                     Kokkos::fma(index.z, middle, -double(patch.l))};
    // Of x and of x^2, times the distance from the reflection, which is apart + (x - middle) index.
    const double x0 = Kokkos::fma(middle, s0, s1), x1 = Kokkos::fma(middle, s1, s2);
    const double xx0 = Kokkos::fma(middle, x0, x1), xx1 = Kokkos::fma(middle, x1, Kokkos::fma(middle, s2, s3));
    const Vec3 by{c * cells.a * cells.a, c * cells.b * cells.b, c * cells.c * cells.c};
    OfSources sum;
    sum.photons = s0;
    sum.by_index = {by.x * (x1 * index.x + x0 * apart.x), by.y * (x1 * index.y + x0 * apart.y),
                    by.z * (x1 * index.z + x0 * apart.z)};
    sum.by_wavelength =
        -(by.x * index.x * (xx1 * index.x + xx0 * apart.x) + by.y * index.y * (xx1 * index.y + xx0 * apart.y) +
          by.z * index.z * (xx1 * index.z + xx0 * apart.z));
    const auto by_cells = [&](double n_cells, double u, double d) {
      return 2 * s0 / n_cells + c * n_cells * ((s2 * u + 2 * s1 * d) * u + s0 * d * d);
    };
    sum.by_cells = {by_cells(cells.a, index.x, apart.x), by_cells(cells.b, index.y, apart.y),
                    by_cells(cells.c, index.z, apart.z)};
    return sum;
  }

  // In vector code: as many sums as a vector has lanes, added up in the end.
  void moments_in_lanes(const GaussianOfRay& gaussian_of_ray, const double* f, const Patch& patch, Range range,
                        double middle, double& s0, double& s1, double& s2, double& s3) const {
    const double* const x = term.sources.wavenumber.data();
    const double* const weight = term.sources.weight.data();
    const int* const channel = term.sources.channel.data();
    const bool in_order = term.sources.directions(patch.direction).channels_in_order;
    double sums0[vector_lanes] = {}, sums1[vector_lanes] = {}, sums2[vector_lanes] = {}, sums3[vector_lanes] = {};
    for (int i = range.begin; i < range.end; i += vector_lanes) {
      double amplitude[vector_lanes];
      if (!f)
        for (int j = 0; j < vector_lanes; ++j) amplitude[j] = term.amplitude.default_amplitude;
      else if (in_order)
        for (int j = 0; j < vector_lanes; ++j) amplitude[j] = f[channel[i] + j];
      else
        for (int j = 0; j < vector_lanes; ++j) amplitude[j] = f[channel[i + j]];
      for (int j = 0; j < vector_lanes; ++j) {
        const double share = j < range.end - i ? weight[i + j] : 0, t = x[i + j] - middle;
        const double e = share * amplitude[j] * amplitude[j] * gaussian_of_ray(x[i + j]), et = e * t, ett = et * t;
        sums0[j] += e, sums1[j] += et, sums2[j] += ett, sums3[j] += ett * t;
      }
    }
    for (int j = 0; j < vector_lanes; ++j) s0 += sums0[j], s1 += sums1[j], s2 += sums2[j], s3 += sums3[j];
  }

  // The light of some sources along one ray of a pixel.
  KOKKOS_INLINE_FUNCTION Value light_of_ray(const Patch& patch, int fast, int slow, int ray_number, Range range,
                                            bool check) const {
    const Direction& direction = term.sources.directions(patch.direction);
    const DevicePanel& panel = rays.panels(patch.panel);
    const Mat3& cell = term.blocks(patch.block);
    Value value;
    const MovableRay ray(rays, panel, fast, slow, ray_number, tangents.moves_panels);
    if (!(ray.weight > 0)) return value;
    const Vec3 scattering = ray.direction - direction.incident, index = cell * scattering;
    const OfSources sum = over_sources(index, patch, range, check);
    const double weight = ray.weight * term.sources.polarization(direction, ray.direction);
    value.photons = weight * sum.photons;
    const Vec3 by_index = weight * sum.by_index, by_cells = weight * sum.by_cells;
    for (int k = 0; k < n; ++k) {
      const CommonTangent& to = tangents.common(first + k);
      value.by[k] = Kokkos::fma(to.log_spots, value.photons, dot(by_cells, to.cells));
      if (tangents.moves_blocks)
        value.by[k] += dot(by_index, tangents.blocks(patch.block * tangents.n + first + k) * scattering);
    }
    if (tangents.moves_weights) add_weights(index, patch, range, weight, value);
    if (!tangents.moves_rays) return value;
    Scattered all;
    all.photons = sum.photons, all.by_wavelength = sum.by_wavelength;
    all.by_scattering =
        along(along(sum.by_index.x * cell.row[0], sum.by_index.y, cell.row[1]), sum.by_index.z, cell.row[2]);
    Responses rest;
    add_responses(ray, term.sources, direction, all, 1, rest);
    for (int k = 0; k < n; ++k) value.by[k] += tangents.along_tangent(rest, patch.panel, first + k);
    return value;
  }

  // weight: of the ray.
  KOKKOS_INLINE_FUNCTION void add_weights(Vec3 index, const Patch& patch, Range range, double weight,
                                          Value& value) const {
    for (int i = range.begin; i < range.end; ++i) {
      const double x = term.sources.wavenumber(i);
      const Index h(index.x, x), k(index.y, x), l(index.z, x);
      ProfileDerivatives here;
      if (!(h.nearest == patch.h && k.nearest == patch.k && l.nearest == patch.l) ||
          !spot_derivatives(term, h, k, l, term.sources.channel(i), here))
        continue;
      for (int column = 0; column < n; ++column)
        value.by[column] += weight * here.intensity * tangents.weights(i * tangents.n + first + column);
    }
  }

  template <class Narrow>
  KOKKOS_INLINE_FUNCTION Value light_of_pixel(const Patch& patch, int fast, int slow, const Narrow& narrowed) const {
    Value sum;
    for (int ray = 0; ray < rays.panels(patch.panel).rays_of_pixel; ++ray) {
      const NeighbourRays single(rays, rays.panels(patch.panel), fast, slow, 1, 1, ray);
      const WavelengthWindow window = this->wavelength_window(patch, single.unsteadiness);
      const Range range = narrowed(this->sources_of_ray(patch, window, single.direction(0, 0)));
      if (!range.empty()) sum += light_of_ray(patch, fast, slow, ray, range, must_check(patch, window));
    }
    return sum;
  }

  KOKKOS_INLINE_FUNCTION bool must_check(const Patch& patch, const WavelengthWindow& window) const {
    return Base::must_check(patch, window);
  }

  // The same for several pixels, in vector code.
  void light_of_lanes(const PixelLanes& lanes, const Patch& patch, const DevicePanel& of, int ray_number, bool check,
                      Value (&values)[vector_lanes]) const {
    // Copies, so that writing results is known not to change them.
    const DevicePanel panel = of;
    const Direction direction = term.sources.directions(patch.direction);
    const Mat3 cell = term.blocks(patch.block);
    double weight[vector_lanes], x[vector_lanes], y[vector_lanes], z[vector_lanes];
    OfSources sum[vector_lanes];
    for (int j = 0; j < vector_lanes; ++j) {
      const Ray ray = rays.ray_of_pixel(panel, lanes.fast[j], lanes.slow[j], ray_number);
      const Vec3 scattering = ray.direction - direction.incident;
      x[j] = scattering.x, y[j] = scattering.y, z[j] = scattering.z;
      weight[j] = ray.weight * term.sources.polarization(direction, ray.direction);
    }
    for (int j = 0; j < lanes.n; ++j)
      sum[j] = over_sources(cell * Vec3{x[j], y[j], z[j]}, patch, lanes.range[j], check);
    double by_x[vector_lanes], by_y[vector_lanes], by_z[vector_lanes], photons[vector_lanes];
    double by_a[vector_lanes], by_b[vector_lanes], by_c[vector_lanes];
    for (int j = 0; j < vector_lanes; ++j) {
      photons[j] = weight[j] * sum[j].photons;
      by_x[j] = weight[j] * sum[j].by_index.x, by_y[j] = weight[j] * sum[j].by_index.y;
      by_z[j] = weight[j] * sum[j].by_index.z;
      by_a[j] = weight[j] * sum[j].by_cells.x, by_b[j] = weight[j] * sum[j].by_cells.y;
      by_c[j] = weight[j] * sum[j].by_cells.z;
    }
    double by[columns][vector_lanes];
    for (int k = 0; k < n; ++k) {
      const CommonTangent to = tangents.common(first + k);
      for (int j = 0; j < vector_lanes; ++j)
        by[k][j] = to.log_spots * photons[j] + by_a[j] * to.cells.x + by_b[j] * to.cells.y + by_c[j] * to.cells.z;
      if (!tangents.moves_blocks) continue;
      const Mat3 t = tangents.blocks(patch.block * tangents.n + first + k);
      for (int j = 0; j < vector_lanes; ++j)
        by[k][j] += by_x[j] * (t.row[0].x * x[j] + t.row[0].y * y[j] + t.row[0].z * z[j]) +
                    by_y[j] * (t.row[1].x * x[j] + t.row[1].y * y[j] + t.row[1].z * z[j]) +
                    by_z[j] * (t.row[2].x * x[j] + t.row[2].y * y[j] + t.row[2].z * z[j]);
    }
    if (tangents.moves_rays) add_responses_of_lanes(lanes, patch, panel, direction, cell, ray_number, sum, by);
    for (int j = 0; j < lanes.n; ++j) {
      values[j].photons = photons[j];
      for (int k = 0; k < n; ++k) values[j].by[k] = by[k][j];
      if (tangents.moves_weights)
        add_weights(cell * Vec3{x[j], y[j], z[j]}, patch, lanes.range[j], weight[j], values[j]);
    }
  }

  // What comes of the rays' directions and weights.
  void add_responses_of_lanes(const PixelLanes& lanes, const Patch& patch, const DevicePanel& panel,
                              const Direction& direction, const Mat3& cell, int ray_number,
                              const OfSources (&sum)[vector_lanes], double (&by)[columns][vector_lanes]) const {
    constexpr int n_responses = 12;
    double responses[n_responses][vector_lanes];
    for (int j = 0; j < vector_lanes; ++j) {
      const MovableRay ray(rays, panel, lanes.fast[j], lanes.slow[j], ray_number, tangents.moves_panels);
      Scattered all;
      all.photons = sum[j].photons, all.by_wavelength = sum[j].by_wavelength;
      all.by_scattering =
          along(along(sum[j].by_index.x * cell.row[0], sum[j].by_index.y, cell.row[1]), sum[j].by_index.z, cell.row[2]);
      Responses to;
      add_responses(ray, term.sources, direction, all, 1, to);
      const double here[n_responses] = {to.by_translation.x,    to.by_translation.y,    to.by_translation.z,
                                        to.by_panel_rotation.x, to.by_panel_rotation.y, to.by_panel_rotation.z,
                                        to.by_beam_rotation.x,  to.by_beam_rotation.y,  to.by_beam_rotation.z,
                                        to.by_kahn_factor,      to.by_wavelength,       to.by_log_wavelength};
      for (int i = 0; i < n_responses; ++i) responses[i][j] = here[i];
    }
    for (int k = 0; k < n; ++k) {
      const CommonTangent& to = tangents.common(first + k);
      const PanelMotion motion =
          tangents.moves_panels ? tangents.panels(patch.panel * tangents.n + first + k) : PanelMotion{};
      const double along_these[n_responses] = {motion.translation.x, motion.translation.y, motion.translation.z,
                                               motion.rotation.x,    motion.rotation.y,    motion.rotation.z,
                                               to.beam_rotation.x,   to.beam_rotation.y,   to.beam_rotation.z,
                                               to.kahn_factor,       to.wavelength,        to.log_wavelength};
      for (int i = 0; i < n_responses; ++i) {
        const double t = along_these[i];
        if (t == 0) continue;
        for (int j = 0; j < vector_lanes; ++j) by[k][j] += t * responses[i][j];
      }
    }
  }
};

}  // namespace nanobragg
#endif
