#include <stdexcept>
#include <utility>

#include <nanobragg_kokkos/core/math/constants.h>

#include "models.h"

namespace nanobragg {
namespace {

constexpr double mm = 1e-3, angstrom = 1e-10, degree = 3.14159265358979323846 / 180;

Shape shape_of(const std::string& name) {
  if (name == "gauss_argchk") return Shape::gauss_argchk;
  if (name == "gauss") return Shape::gauss;
  if (name == "square") return Shape::square;
  throw std::invalid_argument("no workload has the shape " + name);
}

Amorphous amorphous(const Workload& w, const std::vector<std::pair<double, double>>& table_per_A, double thickness_mm,
                    double density_gcm3, double molecular_weight_Da) {
  std::vector<std::pair<double, double>> table;
  for (const auto& point : table_per_A) table.emplace_back(point.first / angstrom, point.second);
  const double volume_cm3 = thickness_mm * w.beam_size_mm * w.beam_size_mm * 1e-3;
  return Amorphous(table, volume_cm3 * density_gcm3 / molecular_weight_Da * avogadro);
}

}  // namespace

Detector detector_of(const Workload& w) {
  std::vector<Panel> panels;
  for (const FlatPanel& p : w.panels)
    panels.push_back({mm * p.origin_mm, p.fast, p.slow, mm * p.pixel_mm, mm * p.pixel_mm, p.n_fast, p.n_slow, 0, 0});
  return Detector(panels, Sampling());
}

Sources sources_of(const Workload& w) {
  std::vector<Source> sources;
  for (std::size_t i = 0; i < w.wavelengths_A.size(); ++i)
    sources.push_back({{0, 0, -1}, angstrom * w.wavelengths_A[i], 1, w.channels > 1 ? int(i) : 0});
  return Sources(sources, {true, 2 * w.polarization_fraction - 1, {1, 0, 0}}, w.fluence_per_mm2 / (mm * mm));
}

Crystal crystal_of(const Workload& w, int image) {
  const Mat3 orientation = random_orientation(image);
  const double edges[3] = {w.cell_A.x, w.cell_A.y, w.cell_A.z};
  Mat3 cell;
  for (int i = 0; i < 3; ++i) {
    const Vec3 column = orientation * Vec3{double(i == 0), double(i == 1), double(i == 2)};
    cell.row[i] = angstrom * edges[i] * column;
  }
  const double block_A3 = edges[0] * edges[1] * edges[2] * w.n_cells[0] * w.n_cells[1] * w.n_cells[2];
  return Crystal(
      orientations(cell, w.blocks, {1, 0, 0}, 0, degree * w.rotation_deg / w.rotation_steps, w.rotation_steps),
      {double(w.n_cells[0]), double(w.n_cells[1]), double(w.n_cells[2])}, shape_of(w.shape),
      w.volume_mm3 * 1e21 / block_A3);
}

StructureFactors structure_factors_of(const Workload& w) {
  const std::vector<std::array<int, 3>> indices = reflections(w.cell_A, w.d_min_A);
  std::vector<std::vector<Amplitude>> channels(w.channels);
  for (int c = 0; c < w.channels; ++c)
    for (const auto& hkl : indices) channels[c].push_back({hkl, random_amplitude(hkl, c)});
  return StructureFactors(channels, 0, 0);
}

// The structure factors of nanobragg_kokkos.water and nanobragg_kokkos.air.
Amorphous water_of(const Workload& w) {
  return amorphous(w, {{0, 2.57},     {0.0365, 2.58}, {0.07, 2.8},  {0.12, 5},    {0.162, 8}, {0.18, 7.32},
                       {0.2, 6.75},   {0.216, 6.75},  {0.236, 6.5}, {0.28, 4.5},  {0.3, 4.3}, {0.345, 4.36},
                       {0.436, 3.77}, {0.5, 3.17},    {0.6, 2.637}, {0.8, 2.121}, {1, 1.864}, {1.3, 1.55},
                       {1.7, 1.16},   {2.2, 0.771},   {3, 0.396},   {4, 0.182},   {6, 0.051}},
                   w.water_mm, 1.0, 18.0);
}

Amorphous air_of(const Workload& w) {
  return amorphous(w,
                   {{0, 14.1},
                    {0.045, 13.5},
                    {0.174, 8.35},
                    {0.35, 4.78},
                    {0.5, 4.22},
                    {0.6, 3.689},
                    {0.8, 3.162},
                    {1, 2.762},
                    {1.3, 2.182},
                    {1.7, 1.524},
                    {2.2, 0.947},
                    {3, 0.443},
                    {4, 0.19},
                    {6, 0.047}},
                   w.air_mm, 1.2e-3, 28.0);
}

DetectorResponse response_of(const Workload& w, bool blurred) {
  DetectorResponse response;
  if (blurred) response.point_spread = PointSpread{SpreadShape::fiber, mm * w.spread_fwhm_mm, w.spread_radius};
  response.readout_noise = w.readout_noise;
  response.adc_offset = w.adc_offset;
  return response;
}

}  // namespace nanobragg
