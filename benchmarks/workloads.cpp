#include <cmath>
#include <cstdint>
#include <stdexcept>

#include "workloads.h"

namespace nanobragg {
namespace {

constexpr double pi = 3.14159265358979323846, degree = pi / 180;
constexpr double eV_angstrom = 12398.419843320025;  // h c (CODATA 2018)

// Sequences of random numbers, one for each purpose.
enum class Purpose : std::uint64_t { orientation = 1, blocks, amplitudes };

// Number n of a sequence, between 0 and 1, both excluded.
double uniform(Purpose purpose, std::uint64_t n) {
  std::uint64_t z = (std::uint64_t(purpose) << 60) + (n + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  z ^= z >> 31;
  return (double(z >> 11) + 0.5) / 9007199254740992.0;  // 2^53
}

// Number n of a sequence of normal deviates (Box & Muller).
double normal(Purpose purpose, std::uint64_t n) {
  return std::sqrt(-2 * std::log(uniform(purpose, 2 * n))) * std::cos(2 * pi * uniform(purpose, 2 * n + 1));
}

Mat3 rotation(Vec3 axis, double angle) {
  const Vec3 a = rotated({1, 0, 0}, axis, angle), b = rotated({0, 1, 0}, axis, angle);
  const Vec3 c = rotated({0, 0, 1}, axis, angle);
  return {{{a.x, b.x, c.x}, {a.y, b.y, c.y}, {a.z, b.z, c.z}}};
}

// Turned about random axes by normally distributed angles, whose root mean square is spread_deg.
std::vector<Mat3> random_blocks(int n, double spread_deg) {
  std::vector<double> angles;
  double sum2 = 0;
  for (std::uint64_t i = 0; i < std::uint64_t(n); ++i) {
    angles.push_back(normal(Purpose::blocks, 4 * i));
    sum2 += angles.back() * angles.back();
  }
  const double unit_of_angle = spread_deg * degree / std::sqrt(sum2 / n);
  std::vector<Mat3> blocks;
  for (std::uint64_t i = 0; i < std::uint64_t(n); ++i) {
    const Vec3 axis{normal(Purpose::blocks, 4 * i + 1), normal(Purpose::blocks, 4 * i + 2),
                    normal(Purpose::blocks, 4 * i + 3)};
    blocks.push_back(rotation(unit(axis), unit_of_angle * angles[i]));
  }
  return blocks;
}

// Upright, at right angles to the beam, its upper left corner at (x, y).
FlatPanel upright(double x_mm, double y_mm, double distance_mm, double pixel_mm, int n_fast, int n_slow) {
  return {{x_mm, y_mm, -distance_mm}, {1, 0, 0}, {0, -1, 0}, pixel_mm, n_fast, n_slow};
}

FlatPanel centred(double distance_mm, double pixel_mm, int n_fast, int n_slow) {
  return upright(-0.5 * n_fast * pixel_mm, 0.5 * n_slow * pixel_mm, distance_mm, pixel_mm, n_fast, n_slow);
}

// Modules of 4 x 2 chips, which leave two pixels free between them, in four quadrants of `columns` x `rows` modules.
// Each quadrant is moved along one side of its neighbour, so that a square hole is left for the beam.
std::vector<FlatPanel> jungfrau(double distance_mm, double pixel_mm, int chip, int columns, int rows) {
  constexpr int chips_fast = 4, chips_slow = 2, chip_gap = 2, module_gap_fast = 8, module_gap_slow = 36, hole = 68;
  const int module_fast = chips_fast * (chip + chip_gap) + module_gap_fast;
  const int module_slow = chips_slow * (chip + chip_gap) + module_gap_slow;
  const double half = 0.5 * hole, width = columns * module_fast, height = rows * module_slow;
  // Upper left corners, pixels to the right and up from the beam.
  const double corners[4][2] = {
      {half - width, half + height}, {half, height - half}, {-half, -half}, {-half - width, half}};
  std::vector<FlatPanel> panels;
  for (const auto& corner : corners)
    for (int module = 0; module < columns * rows; ++module)
      for (int i = 0; i < chips_fast * chips_slow; ++i) {
        const double right = corner[0] + module % columns * module_fast + i % chips_fast * (chip + chip_gap);
        const double down = -corner[1] + module / columns * module_slow + i / chips_fast * (chip + chip_gap);
        panels.push_back(upright(right * pixel_mm, -down * pixel_mm, distance_mm, pixel_mm, chip, chip));
      }
  return panels;
}

std::vector<double> even_spectrum(double mean_eV, double step_eV, int n) {
  std::vector<double> wavelengths;
  for (int i = 0; i < n; ++i) wavelengths.push_back(eV_angstrom / (mean_eV + step_eV * (i - 0.5 * (n - 1))));
  return wavelengths;
}

Workload rayonix(bool small) {
  Workload w;
  w.name = "rayonix";
  w.steps = {"spots", "background", "sum", "response", "transfer", "image", "write", "job"};
  w.engines = {"pixel", "reflection"};
  w.panels = {small ? centred(141.7, 1.76, 192, 192) : centred(141.7, 0.088, 3840, 3840)};
  w.channels = small ? 5 : 100;
  w.wavelengths_A = even_spectrum(9500, small ? 20 : 1, w.channels);
  w.cell_A = {67, 60, 47};
  w.d_min_A = small ? 3 : 1.8;
  w.blocks = random_blocks(small ? 3 : 25, 0.05);
  w.n_cells = small ? std::array<int, 3>{12, 12, 12} : std::array<int, 3>{57, 57, 57};
  w.shape = "gauss_argchk";
  if (small) w.images = 3;
  return w;
}

Workload rayonix_1ch(bool small, const std::string& shape) {
  Workload w = rayonix(small);
  w.name = shape == "gauss_argchk" ? "rayonix_1ch" : shape;
  w.steps = {"spots", "background", "sum"};
  w.wavelengths_A = even_spectrum(9500, 1, 1);
  w.channels = 1;
  w.shape = shape;
  if (shape == "square") w.engines = {"pixel"};
  return w;
}

Workload jungfrau_16m(bool small) {
  Workload w = rayonix(small);
  w.name = "jungfrau_16m";
  w.panels = small ? jungfrau(150, 0.6, 12, 1, 2) : jungfrau(150, 0.075, 254, 2, 4);
  return w;
}

Workload rotation_exposure(bool small) {
  Workload w = rayonix(small);
  w.name = "rotation";
  w.steps = {"spots", "background", "sum"};
  w.panels = {small ? centred(300, 1.72, 247, 253) : centred(300, 0.172, 2463, 2527)};  // Pilatus 6M
  w.wavelengths_A = even_spectrum(12000, 1, 1);
  w.channels = 1;
  w.blocks = random_blocks(small ? 3 : 50, 0.05);
  w.rotation_deg = 0.1;
  w.rotation_steps = small ? 2 : 10;
  return w;
}

// The rayonix workload with one set of amplitudes for all wavelengths; all reflections to d_min lie on its panel.  Then
// 2 and 4 times as much of one thing.
std::vector<Workload> scaling(bool small) {
  Workload base = rayonix(small);
  base.name = "scaling";
  base.steps = {"spots"};
  base.engines = {"reflection"};
  base.channels = 1;
  for (int& n : base.n_cells) n = n / 4 * 4;
  base.scaled = "base";
  std::vector<Workload> all{base};
  for (int factor : {2, 4}) {
    Workload w = base;
    w.factor = factor;
    const auto add = [&](const char* scaled, const Workload& grown) {
      all.push_back(grown);
      all.back().scaled = scaled;
    };
    {
      // Unlit: beyond d_min.
      Workload grown = w;
      const FlatPanel& p = base.panels[0];
      grown.panels = {centred(-p.origin_mm.z, p.pixel_mm, 2 * p.n_fast, factor / 2 * p.n_slow)};
      add("pixels", grown);
    }
    {
      // A larger cell, in blocks of the same size, so that spots are as large as before.
      Workload grown = w;
      grown.cell_A.x *= 2, grown.n_cells[0] /= 2;
      if (factor == 4) grown.cell_A.y *= 2, grown.n_cells[1] /= 2;
      add("reflections", grown);
    }
    {
      Workload grown = w;
      grown.blocks = random_blocks(factor * int(base.blocks.size()), 0.05);
      add("domains", grown);
    }
    {
      Workload grown = w;
      grown.rotation_deg = 0.1, grown.rotation_steps = factor;
      add("rotation_steps", grown);
    }
  }
  return all;
}

}  // namespace

std::size_t Workload::n_pixels() const {
  std::size_t n = 0;
  for (const FlatPanel& panel : panels) n += std::size_t(panel.n_fast) * panel.n_slow;
  return n;
}

double Workload::evaluations() const {
  return double(n_pixels()) * double(wavelengths_A.size()) * double(blocks.size()) * rotation_steps;
}

std::vector<std::string> workload_names() {
  return {"rayonix", "rayonix_1ch", "square", "gauss", "jungfrau_16m", "rotation", "scaling"};
}

std::vector<Workload> workloads(const std::string& name, bool small) {
  std::vector<Workload> found;
  if (name == "rayonix") found = {rayonix(small)};
  if (name == "rayonix_1ch") found = {rayonix_1ch(small, "gauss_argchk")};
  if (name == "square" || name == "gauss") found = {rayonix_1ch(small, name)};
  if (name == "jungfrau_16m") found = {jungfrau_16m(small)};
  if (name == "rotation") found = {rotation_exposure(small)};
  if (name == "scaling") found = scaling(small);
  if (found.empty()) throw std::invalid_argument("there is no workload '" + name + "'");
  if (small)
    for (Workload& w : found) w.name += "_small", w.small = true;
  return found;
}

// A unit quaternion in a random direction of four dimensions.
Mat3 random_orientation(int image) {
  const std::uint64_t n = 4 * std::uint64_t(image);
  const double w = normal(Purpose::orientation, n);
  const Vec3 v{normal(Purpose::orientation, n + 1), normal(Purpose::orientation, n + 2),
               normal(Purpose::orientation, n + 3)};
  return rotation(unit(v), 2 * std::atan2(norm(v), w));
}

std::vector<std::array<int, 3>> reflections(Vec3 cell_A, double d_min_A) {
  const double a = cell_A.x, b = cell_A.y, c = cell_A.z, d = d_min_A;
  const int most_h = int(a / d), most_k = int(b / d), most_l = int(c / d);
  std::vector<std::array<int, 3>> indices;
  for (int h = -most_h; h <= most_h; ++h)
    for (int k = -most_k; k <= most_k; ++k)
      for (int l = -most_l; l <= most_l; ++l) {
        const double inverse_d2 = h * h / (a * a) + k * k / (b * b) + l * l / (c * c);
        if (inverse_d2 > 0 && inverse_d2 <= 1 / (d * d)) indices.push_back({h, k, l});
      }
  return indices;
}

double random_amplitude(const std::array<int, 3>& hkl, int channel) {
  std::uint64_t n = 0;
  for (int index : hkl) n = n * 1024 + std::uint64_t(index + 512);
  return 100 * std::sqrt(-std::log(uniform(Purpose::amplitudes, n * 1024 + std::uint64_t(channel))));
}

}  // namespace nanobragg
