#include <nanobragg_kokkos/core/models/sources.h>

#include <Kokkos_Profiling_ScopedRegion.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <stdexcept>
#include <tuple>

#include <nanobragg_kokkos/core/models/sources_on_device.h>

namespace nanobragg {
namespace {

// From a source to the end; see Direction.
double sources_per_wavenumber(const std::vector<double>& wavenumber, std::size_t begin) {
  const double steps = double(wavenumber.size() - 1 - begin), span = wavenumber.back() - wavenumber[begin];
  if (!(span > 0)) return 0;
  for (std::size_t i = begin; i < wavenumber.size(); ++i)
    if (std::abs((wavenumber[i] - wavenumber[begin]) * steps / span - double(i - begin)) > 0.1) return 0;
  return steps / span;
}

bool has_direction(Vec3 v) { return norm(v) > 0 && std::isfinite(norm(v)); }

}  // namespace

Sources::Sources(const std::vector<Source>& sources, const Polarization& polarization, double fluence)
    : fluence_(fluence), size_(sources.size()) {
  if (sources.empty()) throw std::invalid_argument("the beam has no source");
  if (!(fluence >= 0 && std::isfinite(fluence)))
    throw std::invalid_argument("the fluence must be finite and not negative");
  if (!(std::abs(polarization.kahn_factor) <= 1))
    throw std::invalid_argument("the Kahn factor must lie between -1 and 1");
  double total = 0;
  for (const Source& s : sources) {
    if (!(s.wavelength > 0 && std::isfinite(s.wavelength) && std::isfinite(1 / s.wavelength)))
      throw std::invalid_argument("the wavelength of a source must be positive and finite");
    if (!(s.weight >= 0)) throw std::invalid_argument("the weight of a source must not be negative");
    if (s.channel < 0 || s.channel == std::numeric_limits<int>::max())
      throw std::invalid_argument("the channel of a source must not be negative, nor 2^31 - 1 or more");
    if (!has_direction(s.direction))
      throw std::invalid_argument("the direction of a source must be finite and not zero");
    total += s.weight;
    largest_wavenumber_ = std::max(largest_wavenumber_, 1 / s.wavelength);
    n_channels_ = std::max(n_channels_, s.channel + 1);
  }
  if (!(total > 0 && std::isfinite(total)))
    throw std::invalid_argument("the weights of the sources must have a positive and finite sum");
  const bool has_field = polarization.on && polarization.kahn_factor != 0;
  if (has_field && !has_direction(polarization.electric_vector))
    throw std::invalid_argument("the electric vector must be finite and not zero");

  std::map<std::tuple<double, double, double>, std::vector<std::size_t>> by_direction;
  for (std::size_t i = 0; i < sources.size(); ++i)
    by_direction[{sources[i].direction.x, sources[i].direction.y, sources[i].direction.z}].push_back(i);

  std::vector<Direction> directions;
  std::vector<double> wavenumber, weight;
  std::vector<int> channel;
  for (auto& [key, group] : by_direction) {
    Direction d;
    d.incident = unit(sources[group.front()].direction);
    if (has_field) {
      const Vec3 magnetic = cross(unit(polarization.electric_vector), d.incident);
      if (!(norm(magnetic) > 1e-6)) throw std::invalid_argument("the electric vector must not lie along the beam");
      d.magnetic = unit(magnetic);
      d.electric = unit(cross(d.incident, d.magnetic));
    }
    d.sources.begin = int(weight.size());
    std::stable_sort(group.begin(), group.end(),
                     [&](std::size_t a, std::size_t b) { return sources[a].wavelength > sources[b].wavelength; });
    for (std::size_t i : group) {
      const Source& s = sources[i];
      given_.push_back(i);
      wavenumber.push_back(1 / s.wavelength);
      weight.push_back(s.weight / total);
      channel.push_back(s.channel);
    }
    d.sources.end = int(weight.size());
    d.per_wavenumber = sources_per_wavenumber(wavenumber, d.sources.begin);
    d.channels_in_order = true;
    for (int i = d.sources.begin; i < d.sources.end; ++i)
      d.channels_in_order = d.channels_in_order && channel[i] == channel[d.sources.begin] + i - d.sources.begin;
    directions.push_back(d);
  }
  n_directions_ = directions.size();
  wavenumber.resize(wavenumber.size() + vector_lanes, wavenumber.back());
  weight.resize(weight.size() + vector_lanes, 0);
  channel.resize(channel.size() + vector_lanes, channel.back());
  on_device_ = std::make_shared<OnDevice>();
  const Kokkos::Profiling::ScopedRegion region("nanobragg::models::make_sources");
  SourceTable& table = on_device_->table;
  table.directions = to_device("nanobragg::sources::directions", directions);
  table.wavenumber = to_device("nanobragg::sources::wavenumber", wavenumber);
  table.weight = to_device("nanobragg::sources::weight", weight);
  table.channel = to_device("nanobragg::sources::channel", channel);
  std::vector<Wave> waves;
  for (std::size_t i = 0; i < wavenumber.size(); ++i) waves.push_back({wavenumber[i], weight[i]});
  table.waves = to_device("nanobragg::sources::waves", waves);
  table.polarized = polarization.on;
  table.kahn_factor = polarization.kahn_factor;
}

}  // namespace nanobragg
