#include "sources.h"

#include <algorithm>
#include <map>
#include <stdexcept>
#include <tuple>

#include "sources_on_device.h"

namespace nanobragg {

Sources::Sources(const std::vector<Source>& sources, const Polarization& polarization, double fluence)
    : fluence_(fluence) {
  if (sources.empty()) throw std::invalid_argument("the beam has no source");
  if (!(fluence >= 0 && std::isfinite(fluence))) throw std::invalid_argument("the fluence must not be negative");
  if (!(std::abs(polarization.kahn_factor) <= 1)) throw std::invalid_argument("the Kahn factor must lie between -1 and 1");
  double total = 0;
  for (const Source& s : sources) {
    if (!(s.wavelength > 0 && std::isfinite(s.wavelength))) throw std::invalid_argument("the wavelength of a source must be positive");
    if (!(s.weight >= 0 && std::isfinite(s.weight))) throw std::invalid_argument("the weight of a source must not be negative");
    if (s.channel < 0) throw std::invalid_argument("the channel of a source must not be negative");
    if (!(norm(s.direction) > 0)) throw std::invalid_argument("the direction of a source must not be zero");
    total += s.weight;
    n_channels_ = std::max(n_channels_, s.channel + 1);
  }
  if (!(total > 0)) throw std::invalid_argument("the weights of the sources must not all be zero");

  std::map<std::tuple<double, double, double>, std::vector<Source>> by_direction;
  for (const Source& s : sources) by_direction[{s.direction.x, s.direction.y, s.direction.z}].push_back(s);

  std::vector<Direction> directions;
  std::vector<double> wavenumber, weight;
  std::vector<int> channel;
  for (auto& [key, group] : by_direction) {
    Direction d;
    d.incident = unit(group.front().direction);
    const Vec3 magnetic = cross(polarization.electric_vector, d.incident);
    if (polarization.on && !(norm(magnetic) > 1e-6 * norm(polarization.electric_vector)))
      throw std::invalid_argument("the electric vector must not lie along the beam");
    d.magnetic = unit(magnetic);
    d.electric = unit(cross(d.incident, d.magnetic));
    d.begin = int(weight.size());
    std::stable_sort(group.begin(), group.end(),
                     [](const Source& a, const Source& b) { return a.wavelength > b.wavelength; });
    for (const Source& s : group) {
      wavenumber.push_back(1 / s.wavelength);
      weight.push_back(s.weight / total);
      channel.push_back(s.channel);
    }
    d.end = int(weight.size());
    directions.push_back(d);
  }
  on_device_ = std::make_shared<OnDevice>();
  SourceTable& table = on_device_->table;
  table.directions = to_device("nanobragg::sources::directions", directions);
  table.wavenumber = to_device("nanobragg::sources::wavenumber", wavenumber);
  table.weight = to_device("nanobragg::sources::weight", weight);
  table.channel = to_device("nanobragg::sources::channel", channel);
  table.polarized = polarization.on;
  table.kahn_factor = polarization.kahn_factor;
}

}  // namespace nanobragg
