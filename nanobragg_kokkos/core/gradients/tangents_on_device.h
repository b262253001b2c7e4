// The tangents as kernels see them, a few parameters at a time.
#ifndef NANOBRAGG_KOKKOS_CORE_GRADIENTS_TANGENTS_ON_DEVICE_H
#define NANOBRAGG_KOKKOS_CORE_GRADIENTS_TANGENTS_ON_DEVICE_H

#include <nanobragg_kokkos/core/gradients/responses.h>
#include <nanobragg_kokkos/core/gradients/tangents.h>
#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

// What does not differ between blocks and panels.
struct CommonTangent {
  Vec3 cells, beam_rotation;
  double log_spots, log_background, kahn_factor, wavelength, log_wavelength;
};

struct TangentTable {
  int n = 0;
  bool moves_blocks = false, moves_panels = false, moves_weights = false;
  bool moves_rays = false;  // panels, the beam's direction, polarization or wavelengths
  DeviceTable<CommonTangent> common;
  DeviceTable<Mat3> blocks;         // (block, parameter)
  DeviceTable<PanelMotion> panels;  // (panel, parameter)
  DeviceTable<double> weights;      // (source as the table of sources has it, parameter)

  // Of what concerns the rays.
  KOKKOS_INLINE_FUNCTION double along_tangent(const Responses& by, int panel, int parameter) const {
    const CommonTangent& to = common(parameter);
    double sum = dot(by.by_beam_rotation, to.beam_rotation) + by.by_kahn_factor * to.kahn_factor +
                 by.by_wavelength * to.wavelength + by.by_log_wavelength * to.log_wavelength;
    if (moves_panels) {
      const PanelMotion& motion = panels(panel * n + parameter);
      sum += dot(by.by_translation, motion.translation) + dot(by.by_panel_rotation, motion.rotation);
    }
    return sum;
  }
};

struct Tangents::OnDevice : ResidentTable<TangentTable> {};

}  // namespace nanobragg
#endif
