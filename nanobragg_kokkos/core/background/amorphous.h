// Diffuse scattering of a sample without long-range order: water, air, oil, plastic.
//
// Its structure factor is given as a table over s = sin(theta) / lambda and interpolated by the cubic polynomial
// through the two points on either side; towards the ends of the table, where points are missing, the order falls.
#ifndef NANOBRAGG_KOKKOS_CORE_BACKGROUND_AMORPHOUS_H
#define NANOBRAGG_KOKKOS_CORE_BACKGROUND_AMORPHOUS_H

#include <memory>
#include <utility>
#include <vector>

#include <nanobragg_kokkos/core/models/detector.h>
#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/models/sources.h>

namespace nanobragg {

struct AmplitudeCurve;  // intensity_curves.h

class Amorphous {
 public:
  // table: (s in 1/m, ascending; amplitude in electrons of one molecule); a negative amplitude gives a negative
  // intensity. molecules: number of molecules in the beam. Throws std::invalid_argument if the table is empty or not
  // ascending, a value is not finite, or the number of molecules is negative.
  Amorphous(const std::vector<std::pair<double, double>>& table, double molecules);

  double molecules() const { return molecules_; }

  const std::shared_ptr<const AmplitudeCurve>& amplitude() const { return amplitude_; }

 private:
  double molecules_;
  std::shared_ptr<const AmplitudeCurve> amplitude_;
};

// Adds r_e^2 × fluence × molecules × Σ weight × solid angle × absorbed fraction × polarization × F(s)^2 to each pixel.
//
// The sum over the wavelengths of a direction is tabulated as a function of sin(theta) alone (intensity_curves.h), so
// the work of a pixel does not depend on their number; the workspace keeps the tables of the last samples until other
// sources are used. This is no approximation: a pixel is as exact as the sum term by term, some 1e-15 of the brightest
// unless the table is so steep that the rounding of theta matters. Throws std::invalid_argument if the image does not
// have the detector's pixels.
void add_background(Workspace& workspace, Image& image, const Detector& detector, const Sources& sources,
                    const Amorphous& amorphous);

}  // namespace nanobragg
#endif
