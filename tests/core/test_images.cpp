// Whole images against integrals that are known, and the life of device memory.
#include <stdexcept>

#include <nanobragg_kokkos/core/background/amorphous.h>
#include <nanobragg_kokkos/core/math/constants.h>
#include <nanobragg_kokkos/core/models/image.h>
#include <nanobragg_kokkos/core/spots/spots.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

const Source along_z{{0, 0, -1}, 1e-10, 1, 0};
const Polarization off{false, 0, {0, 1, 0}};

double sum_of(const Image& image) {
  const auto pixels = image.on_host(workspace());
  double sum = 0;
  for (std::size_t i = 0; i < image.size(); ++i) sum += pixels.get()[i];
  return sum;
}

}  // namespace

TEST(a_scatterer_of_one_electron_gives_the_solid_angle) {
  // A constant amplitude 1, one molecule: each pixel holds r_e^2 × fluence × its solid angle; that of a square of side
  // w in the distance d is 4 asin((w/2)^2 / ((w/2)^2 + d^2)).
  const int n = 400;
  const Panel panel = flat_panel(n, n, 1e-3);
  const Detector detector({panel}, {4, 1, 0, false});
  Image image(workspace(), detector.n_pixels());
  add_background(workspace(), image, detector, Sources({along_z}, off, 1e30), Amorphous({{0, 1}}, 1));
  const double half = n * 1e-3 / 2, exact = 4 * std::asin(half * half / (half * half + 0.01));
  CHECK_CLOSE(sum_of(image) / (thomson_cross_section * 1e30), exact, 1e-6 * exact);
}

TEST(unpolarized_light_scatters_into_two_thirds_of_the_sphere) {
  // ∫ (1 + cos^2 2theta) / 2 dOmega = 8 pi / 3, over the six faces of a cube
  std::vector<Panel> faces;
  const int n = 60;
  const double half = 0.1, pixel = 2 * half / n;
  const Vec3 axes[3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
  for (int i = 0; i < 3; ++i)
    for (double side : {-1.0, 1.0}) {
      Panel p = flat_panel(n, n, pixel);
      p.fast = axes[(i + 1) % 3];
      p.slow = axes[(i + 2) % 3];
      p.origin = (side * half) * axes[i] - half * p.fast - half * p.slow;
      faces.push_back(p);
    }
  const Detector cube(faces, {2, 1, 0, false});
  for (double kahn : {0.0, 1.0, -0.4}) {
    Image image(workspace(), cube.n_pixels());
    add_background(workspace(), image, cube, Sources({along_z}, {true, kahn, {1, 0, 0}}, 1e30), Amorphous({{0, 1}}, 1));
    CHECK_CLOSE(sum_of(image) / (thomson_cross_section * 1e30), 8 * M_PI / 3, 1e-3);
  }
}

TEST(a_table_is_followed_exactly_by_a_cubic) {
  const auto cubic = [](double s) { return 3 - 2 * s + 0.7 * s * s - 0.05 * s * s * s; };
  std::vector<std::pair<double, double>> table;
  for (double s : {0.0, 0.4, 1.0, 1.3, 2.2, 3.0, 4.0}) table.emplace_back(s * 1e9, cubic(s));
  Panel panel = flat_panel(200, 1, 1e-3);
  const Detector detector({panel}, {1, 1, 0, true});
  Image image(workspace(), detector.n_pixels());
  add_background(workspace(), image, detector, Sources({along_z}, off, 1e30), Amorphous(table, 1));
  for (int i = 0; i < 200; ++i) {
    const Vec3 position = panel.origin + (i + 0.5) * 1e-3 * panel.fast + 0.5e-3 * panel.slow;
    const Vec3 d = unit(position);
    const double s = norm(d - along_z.direction) / 2 / along_z.wavelength * 1e-9;
    if (s < 0.4 || s > 3.0) continue;  // at the ends of the table the order is lower
    const double f = cubic(s);
    CHECK_CLOSE(image.on_host(workspace()).get()[i] / (thomson_cross_section * 1e30) * dot(position, position),
                f * std::abs(f), 1e-12);
  }
}

TEST(a_thick_sensor_absorbs_the_same_in_few_layers_and_in_many) {
  Panel panel = flat_panel(1, 1, 1e-6);
  panel.sensor_thickness = 3e-4;
  panel.attenuation_length = 2e-4;
  const auto photons = [&](int layers) {
    const Detector detector({panel}, {1, layers, 0, true});
    Image image(workspace(), 1);
    add_background(workspace(), image, detector, Sources({along_z}, off, 1e30), Amorphous({{0, 1}}, 1));
    return sum_of(image) / (thomson_cross_section * 1e30);
  };
  CHECK_CLOSE(photons(1), (1 - std::exp(-1.5)) / 0.01, 1e-8);
  CHECK_CLOSE(photons(200), (1 - std::exp(-1.5)) / 0.01, 0.5);  // 1/r^2 falls through the depth
}

TEST(photons_lie_where_they_are_put_in_a_layer) {
  // One layer, one pixel: the solid angle is that of the depth, the absorption that of the whole sensor.
  Panel panel = flat_panel(1, 1, 1e-6);
  panel.sensor_thickness = 1e-2;
  panel.attenuation_length = 2e-2;
  for (double placement : {0.0, 0.5, 1.0}) {
    Image image(workspace(), 1);
    add_background(workspace(), image, Detector({panel}, {1, 1, placement, true}), Sources({along_z}, off, 1e30),
                   Amorphous({{0, 1}}, 1));
    const double r = 0.1 + placement * 1e-2;
    CHECK_CLOSE(sum_of(image) / (thomson_cross_section * 1e30), (1 - std::exp(-0.5)) / (r * r), 1e-6);
  }
}

TEST(images_add_and_clear) {
  const Detector detector({flat_panel(3, 1)}, {});
  Image a(workspace(), 3), b(workspace(), 3);
  add_background(workspace(), a, detector, Sources({along_z}, off, 1e30), Amorphous({{0, 1}}, 1));
  b.add(workspace(), a);
  b.add(workspace(), a);
  for (int i = 0; i < 3; ++i)
    CHECK(a.on_host(workspace()).get()[i] > 0 &&
          b.on_host(workspace()).get()[i] == 2 * a.on_host(workspace()).get()[i]);
  b.clear(workspace());
  CHECK(sum_of(b) == 0);
  CHECK_THROWS(a.add(workspace(), Image(workspace(), 4)), std::invalid_argument);
}

TEST(an_image_of_another_size_is_refused) {
  const Detector detector({flat_panel(4, 3)}, {});
  Image image(workspace(), 11);
  const Sources sources({along_z}, off, 1);
  CHECK_THROWS(add_background(workspace(), image, detector, sources, Amorphous({{0, 1}}, 1)), std::invalid_argument);
  CHECK_THROWS(add_spots_pixel_driven(
                   workspace(), image,
                   {detector, sources, Crystal({Mat3{}}, {1, 1, 1}, Shape::gauss), StructureFactors({{}}, 1, 1)},
                   Interpolation::nearest),
               std::invalid_argument);
}
