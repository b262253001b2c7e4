#include <nanobragg_kokkos/core/gradients/tangents.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

#include <nanobragg_kokkos/core/gradients/tangents_on_device.h>

namespace nanobragg {
namespace {

bool finite(Vec3 v) { return std::isfinite(v.x) && std::isfinite(v.y) && std::isfinite(v.z); }

void require(bool holds, std::size_t parameter, const char* what) {
  if (!holds) throw std::invalid_argument("the tangent of parameter " + std::to_string(parameter) + " " + what);
}

void check(const Tangent& t, std::size_t parameter, std::size_t n_blocks, std::size_t n_sources, std::size_t n_panels) {
  require(t.blocks.empty() || t.blocks.size() == n_blocks, parameter,
          "must have a matrix for each block, as the others do");
  require(t.weights.empty() || t.weights.size() == n_sources, parameter, "must have a weight for each source");
  require(t.panels.empty() || t.panels.size() == n_panels, parameter, "must have a motion for each panel");
  bool all = finite(t.cells) && finite(t.beam_rotation) &&
             std::isfinite(t.log_spots + t.log_background + t.kahn_factor + t.wavelength + t.log_wavelength);
  for (const Mat3& m : t.blocks)
    for (const Vec3& row : m.row) all = all && finite(row);
  for (double w : t.weights) all = all && std::isfinite(w);
  for (const PanelMotion& m : t.panels) all = all && finite(m.translation) && finite(m.rotation);
  require(all, parameter, "must be finite");
}

}  // namespace

Tangents::Tangents(const std::vector<Tangent>& tangents, const Detector& detector, const Sources& sources)
    : size_(tangents.size()) {
  if (tangents.empty()) throw std::invalid_argument("there must be a parameter at least");
  const std::size_t n = tangents.size(), n_panels = detector.panels().size();
  on_device_ = std::make_shared<OnDevice>();
  TangentTable& table = on_device_->table;
  for (const Tangent& t : tangents) n_blocks_ = std::max(n_blocks_, t.blocks.size());
  for (std::size_t k = 0; k < n; ++k) {
    check(tangents[k], k, n_blocks_, sources.size(), n_panels);
    table.moves_panels |= !tangents[k].panels.empty();
    table.moves_weights |= !tangents[k].weights.empty();
    const Tangent& t = tangents[k];
    table.moves_rays |= table.moves_panels || norm(t.beam_rotation) > 0 || t.kahn_factor != 0 || t.wavelength != 0 ||
                        t.log_wavelength != 0;
  }
  table.n = int(n), table.moves_blocks = n_blocks_ > 0;
  constexpr Mat3 none{{{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}};
  std::vector<CommonTangent> common;
  std::vector<Mat3> blocks(n * n_blocks_, none);
  std::vector<PanelMotion> panels(table.moves_panels ? n * n_panels : 0);
  std::vector<double> weights(table.moves_weights ? n * sources.size() : 0);
  for (std::size_t k = 0; k < n; ++k) {
    const Tangent& t = tangents[k];
    common.push_back(
        {t.cells, t.beam_rotation, t.log_spots, t.log_background, t.kahn_factor, t.wavelength, t.log_wavelength});
    for (std::size_t i = 0; i < t.blocks.size(); ++i) blocks[i * n + k] = t.blocks[i];
    for (std::size_t i = 0; i < t.panels.size(); ++i) panels[i * n + k] = t.panels[i];
    if (!t.weights.empty())
      for (std::size_t i = 0; i < sources.size(); ++i) weights[i * n + k] = t.weights[sources.given(i)];
  }
  table.common = to_device("nanobragg::gradients::common", common);
  table.blocks = to_device("nanobragg::gradients::blocks", blocks);
  table.panels = to_device("nanobragg::gradients::panels", panels);
  table.weights = to_device("nanobragg::gradients::weights", weights);
}

}  // namespace nanobragg
