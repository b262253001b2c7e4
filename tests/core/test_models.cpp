// The models: what they accept, what they refuse, and the tables that kernels read.
#include <stdexcept>

#include <nanobragg_kokkos/core/background/amorphous.h>
#include <nanobragg_kokkos/core/models/crystal.h>
#include <nanobragg_kokkos/core/models/detector.h>
#include <nanobragg_kokkos/core/models/sources.h>
#include <nanobragg_kokkos/core/models/sources_on_device.h>
#include <nanobragg_kokkos/core/models/structure_factors.h>
#include <nanobragg_kokkos/core/models/structure_factors_on_device.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

// What the tables hold is in device memory: ask there.
double ask(const AmplitudeTable& table, int h, int k, int l, int channel) {
  double value = 0;
  Kokkos::parallel_reduce(
      "ask", Kokkos::RangePolicy<ExecutionSpace>(0, 1),
      KOKKOS_LAMBDA(const int, double& v) { v += table(h, k, l, channel); }, value);
  return value;
}

double ask_between(const AmplitudeTable& table, double h, double k, double l) {
  double value = 0;
  Kokkos::parallel_reduce(
      "ask_between", Kokkos::RangePolicy<ExecutionSpace>(0, 1),
      KOKKOS_LAMBDA(const int, double& v) { v += table.tricubic(h, k, l, 0); }, value);
  return value;
}

}  // namespace

TEST(rotation_is_right_handed) {
  const Vec3 v = rotated({1, 0, 0}, {0, 0, 1}, M_PI / 2);
  CHECK_CLOSE(v.x, 0, 1e-15);
  CHECK_CLOSE(v.y, 1, 1e-15);
  const Vec3 w = rotated({1, 2, 3}, unit({1, 1, 1}), 2 * M_PI / 3);  // permutes the axes
  CHECK_CLOSE(w.x, 3, 1e-14);
  CHECK_CLOSE(w.y, 1, 1e-14);
  CHECK_CLOSE(w.z, 2, 1e-14);
}

TEST(orientations_turn_first_and_then_apply_the_block) {
  Mat3 quarter_about_x;
  quarter_about_x.row[0] = {1, 0, 0};
  quarter_about_x.row[1] = {0, 0, -1};
  quarter_about_x.row[2] = {0, 1, 0};
  const auto all = orientations(Mat3{}, {Mat3{}, quarter_about_x}, {0, 0, 2}, 0, M_PI / 2, 2);
  CHECK(all.size() == 4);
  const Vec3 a = all[3].row[0];  // x turned about z to y, then about x to z
  CHECK_CLOSE(a.x, 0, 1e-15);
  CHECK_CLOSE(a.y, 0, 1e-15);
  CHECK_CLOSE(a.z, 1, 1e-15);
}

TEST(polarization_of_unpolarized_and_polarized_light) {
  Direction d;
  d.incident = {0, 0, -1};
  d.electric = {1, 0, 0};
  d.magnetic = {0, 1, 0};
  const auto factor = [&](double kahn_factor, Vec3 diffracted) {
    SourceTable sources;
    sources.kahn_factor = kahn_factor;
    return sources.polarization(d, diffracted);
  };
  const double theta2 = 0.7;
  const Vec3 along_e{std::sin(theta2), 0, -std::cos(theta2)}, across{0, std::sin(theta2), -std::cos(theta2)};
  const double c2 = std::cos(theta2) * std::cos(theta2);
  CHECK_CLOSE(factor(0, along_e), (1 + c2) / 2, 1e-15);
  CHECK_CLOSE(factor(0, across), (1 + c2) / 2, 1e-15);
  CHECK_CLOSE(factor(1, along_e), c2, 1e-15);  // a dipole does not radiate along itself
  CHECK_CLOSE(factor(1, across), 1, 1e-15);
}

TEST(amplitudes_outside_the_box_are_the_default) {
  const StructureFactors f({{{{1, 2, 3}, 10.0}, {{0, 0, 0}, 99.0}}, {{{1, 2, 3}, 20.0}}}, 4.0, 7.0);
  const AmplitudeTable& table = f.on_device().table;
  CHECK(ask(table, 1, 2, 3, 0) == 10);
  CHECK(ask(table, 1, 2, 3, 1) == 20);
  CHECK(ask(table, 1, 1, 1, 1) == 4);
  CHECK(ask(table, -1, 0, 0, 0) == 4);
  CHECK(ask(table, 0, 0, 4, 0) == 4);
  CHECK(ask(table, 0, 0, 0, 0) == 7);  // F000, whatever the data say
}

TEST(tricubic_interpolation_is_exact_for_cubics) {
  const auto cubic = [](double h, double k, double l) {
    return 2 + h * h * h - 0.5 * k * k * h + 3 * l * l * l - h * k * l + 5 * l;
  };
  std::vector<Amplitude> amplitudes;
  for (int h = -5; h <= 5; ++h)
    for (int k = -5; k <= 5; ++k)
      for (int l = -5; l <= 5; ++l) amplitudes.push_back({{h, k, l}, cubic(h, k, l)});
  const StructureFactors f({amplitudes}, 0, cubic(0, 0, 0));
  const AmplitudeTable& table = f.on_device().table;
  for (double h : {-2.7, 0.0, 1.4})
    for (double l : {-3.0, 0.01, 2.99})
      CHECK_CLOSE(ask_between(table, h, 0.3 * h - 1, l), cubic(h, 0.3 * h - 1, l), 1e-11);
}

TEST(models_refuse_what_cannot_be) {
  using std::invalid_argument;
  Panel panel = flat_panel(4, 3);
  CHECK_THROWS(Detector({}, {}), invalid_argument);
  CHECK_THROWS(Detector({panel}, {0, 1, 0, false}), invalid_argument);
  CHECK_THROWS(Detector({panel}, {1, 0, 0, false}), invalid_argument);
  CHECK_THROWS(Detector({panel}, {1, 1, -0.1, false}), invalid_argument);
  CHECK_THROWS(Detector({panel}, {}, std::vector<std::uint8_t>(11)), invalid_argument);
  panel.sensor_thickness = 1e-4;
  CHECK_THROWS(Detector({panel}, {}), invalid_argument);
  panel.attenuation_length = INFINITY;
  CHECK_THROWS(Detector({panel}, {}), invalid_argument);
  panel = flat_panel(4, 3);
  panel.slow = panel.fast;
  CHECK_THROWS(Detector({panel}, {}), invalid_argument);
  panel = flat_panel(0, 3);
  CHECK_THROWS(Detector({panel}, {}), invalid_argument);

  const Source good{{0, 0, -1}, 1e-10, 1, 0};
  const auto sources = [&](auto change) {
    Source s = good;
    change(s);
    return Sources({s}, {}, 1);
  };
  CHECK_THROWS(Sources({}, {}, 1), invalid_argument);
  CHECK_THROWS(sources([](Source& s) { s.wavelength = -1e-10; }), invalid_argument);
  CHECK_THROWS(sources([](Source& s) { s.wavelength = NAN; }), invalid_argument);
  CHECK_THROWS(sources([](Source& s) { s.weight = -1; }), invalid_argument);
  CHECK_THROWS(sources([](Source& s) { s.weight = 0; }), invalid_argument);
  CHECK_THROWS(sources([](Source& s) { s.channel = -1; }), invalid_argument);
  CHECK_THROWS(sources([](Source& s) { s.direction = {0, 0, 0}; }), invalid_argument);
  CHECK_THROWS(Sources({good}, {true, 0.5, {0, 0, 1}}, 1), invalid_argument);
  Sources({good}, {true, 0, {0, 0, 1}}, 1);  // not polarized: no field to be along the beam
  CHECK_THROWS(Sources({good}, {true, 1.5, {0, 1, 0}}, 1), invalid_argument);
  CHECK_THROWS(Sources({good}, {}, -1), invalid_argument);
  CHECK_THROWS(Sources({good}, {}, INFINITY), invalid_argument);
  CHECK_THROWS(sources([](Source& s) { s.channel = 2147483647; }), invalid_argument);
  CHECK_THROWS(sources([](Source& s) { s.direction = {0, 1e300, 0}; }), invalid_argument);
  CHECK_THROWS(sources([](Source& s) { s.wavelength = 1e-315; }), invalid_argument);

  const Mat3 flat{{{1, 0, 0}, {0, 1, 0}, {1, 1, 0}}};
  CHECK_THROWS(Crystal({}, {1, 1, 1}, Shape::gauss), invalid_argument);
  CHECK_THROWS(Crystal({flat}, {1, 1, 1}, Shape::gauss), invalid_argument);
  CHECK_THROWS(Crystal({Mat3{}}, {1, 0, 1}, Shape::gauss), invalid_argument);
  CHECK_THROWS(Crystal({Mat3{}}, {1, 1, 1}, Shape::gauss, -1), invalid_argument);
  CHECK_THROWS(orientations(Mat3{}, {Mat3{}}, {1, 0, 0}, 0, 1, 0), invalid_argument);
  CHECK_THROWS(orientations(Mat3{}, {Mat3{}}, {0, 0, 0}, 1, 0, 1), invalid_argument);
  CHECK_THROWS(orientations(Mat3{}, {Mat3{}}, {0, 1e300, 0}, 1, 0, 1), invalid_argument);
  CHECK_THROWS(orientations(Mat3{}, {Mat3{}}, {0, 1, 0}, NAN, 0, 1), invalid_argument);

  CHECK_THROWS(StructureFactors({}, 0, 0), invalid_argument);
  CHECK_THROWS(StructureFactors({{{{1, 0, 0}, NAN}}}, 0, 0), invalid_argument);
  CHECK_THROWS(StructureFactors({{{{100000, 100000, 100000}, 1}}}, 0, 0), invalid_argument);
  const std::vector<double> values(1 + structure_factors_padding, 1.0);
  const std::vector<float> finite{1}, infinite{INFINITY};
  const auto in_memory = [&](std::array<int, 3> low, std::array<int, 3> size, int channels,
                             const std::vector<float>& strongest) {
    StructureFactors(AmplitudesInMemory{low, size, channels, values.data(), strongest.data(), nullptr});
  };
  in_memory({0, 0, 0}, {1, 1, 1}, 1, finite);
  CHECK_THROWS(in_memory({1, 0, 0}, {1, 1, 1}, 1, finite), invalid_argument);
  CHECK_THROWS(in_memory({0, -1, 0}, {1, 1, 1}, 1, finite), invalid_argument);
  CHECK_THROWS(in_memory({0, 0, 0}, {1, 1, 1}, 0, finite), invalid_argument);
  CHECK_THROWS(in_memory({0, 0, 0}, {1, 1, 1}, 1, infinite), invalid_argument);
  CHECK_THROWS(in_memory({-999, -999, -999}, {2000, 2000, 2000}, 1, finite), invalid_argument);
  CHECK_THROWS(Amorphous({}, 1), invalid_argument);
  CHECK_THROWS(Amorphous({{1, 1}, {1, 2}}, 1), invalid_argument);
  CHECK_THROWS(Amorphous({{0, 1}, {1, 1}, {1 + 1e-15, 2}}, 1), invalid_argument);
  CHECK_THROWS(Amorphous({{1, 1}}, -1), invalid_argument);
}
