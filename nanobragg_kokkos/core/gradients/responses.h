// What the photons of a pixel respond to: their derivatives by what the models hold, but for blocks and weights of
// sources, of which there are many.
//
// The derivative by any parameter is the scalar product of these with its tangent.
#ifndef NANOBRAGG_KOKKOS_CORE_GRADIENTS_RESPONSES_H
#define NANOBRAGG_KOKKOS_CORE_GRADIENTS_RESPONSES_H

#include <nanobragg_kokkos/core/models/detector_on_device.h>
#include <nanobragg_kokkos/core/models/sources_on_device.h>

namespace nanobragg {

struct Responses {
  double photons = 0;
  Vec3 by_cells, by_translation, by_panel_rotation, by_beam_rotation;
  double by_kahn_factor = 0, by_wavelength = 0, by_log_wavelength = 0;
};

// What the sources of a direction scatter into a ray, before the solid angle and polarization.
struct Scattered {
  double photons = 0;
  Vec3 by_scattering;  // by the difference of the diffracted and the incident unit vector
  double by_wavelength = 0;
};

// A ray, and how its weight changes where the panel moves.
struct MovableRay {
  Vec3 direction, weight_by_translation;
  double weight, inverse_distance;

  // moves: whether weight_by_translation is asked for.
  KOKKOS_FORCEINLINE_FUNCTION MovableRay(const PixelTable& rays, const DevicePanel& panel, int fast, int slow,
                                         int number, bool moves) {
    const Ray ray = rays.ray_of_pixel(panel, fast, slow, number);
    direction = ray.direction, weight = ray.weight, inverse_distance = 0;
    if (weight == 0 || !moves) return;
    const Vec3 position = rays.position(panel, fast, slow, number);
    const double inverse = 1 / norm(position);
    inverse_distance = inverse;
    // The solid angle: area × close_distance / r^3, or 1 / r^2.
    weight_by_translation = (-(rays.point_pixel ? 2 : 3) * inverse * weight) * direction;
    if (!rays.point_pixel)
      weight_by_translation = along(weight_by_translation, weight / panel.close_distance, panel.normal);
    if (!(panel.absorption > 0)) return;
    const int layer = number / (rays.oversample * rays.oversample);
    const double front = layer * panel.layer_thickness, back = front + panel.layer_thickness;
    const double height = panel.close_distance + front + panel.first_depth;  // above the sample, along the normal
    const double per_depth = panel.absorption / (height * inverse);
    const double at_front = bounded_exp(-front * per_depth), at_back = bounded_exp(-back * per_depth);
    const double absorbed = at_front - at_back;
    if (!(absorbed > 0)) return;
    const double by_per_depth = weight / absorbed * (back * at_back - front * at_front);
    // per_depth = absorption × r / height
    const Vec3 change = along((1 / height) * direction, -1 / (inverse * height * height), panel.normal);
    weight_by_translation = along(weight_by_translation, by_per_depth * panel.absorption, change);
  }
};

// Adds, for one direction of the incident beam, what does not concern the block.  times: the scale of the photons.
KOKKOS_FORCEINLINE_FUNCTION void add_responses(const MovableRay& ray, const SourceTable& sources,
                                               const Direction& direction, const Scattered& scattered, double times,
                                               Responses& sum) {
  const Vec3 d = ray.direction;
  const double c = dot(d, direction.incident), e = dot(d, direction.electric), m = dot(d, direction.magnetic);
  const double polarization = sources.polarization(direction, d), k = sources.kahn_factor;
  const double weight = times * ray.weight, light = weight * scattered.photons;
  const Vec3 by_scattering = (weight * polarization) * scattered.by_scattering;
  Vec3 by_polarized;  // by d, for fixed axes of the source
  if (sources.polarized) {
    by_polarized = light * along(along(c * direction.incident, -k * e, direction.electric), k * m, direction.magnetic);
    sum.by_kahn_factor -= 0.5 * light * (e * e - m * m);
  }
  // A rotation about the sample leaves distances and angles to the panel as they are; a translation does not.
  const Vec3 by_direction = by_scattering + by_polarized;
  const Vec3 across = by_direction - dot(by_direction, d) * d;
  sum.by_translation = sum.by_translation + ray.inverse_distance * across +
                       (times * polarization * scattered.photons) * ray.weight_by_translation;
  sum.by_panel_rotation = sum.by_panel_rotation + cross(d, by_direction);
  // What turns the source's axes turns the ray the other way in their frame.
  sum.by_beam_rotation = sum.by_beam_rotation - cross(direction.incident, by_scattering) - cross(d, by_polarized);
  sum.photons += light * polarization;
  sum.by_wavelength += weight * polarization * scattered.by_wavelength;
  sum.by_log_wavelength -= dot(by_scattering, d - direction.incident);
}

}  // namespace nanobragg
#endif
