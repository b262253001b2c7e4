#include <nanobragg_kokkos/core/background/intensity_curves.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace nanobragg {
namespace {

using Point = std::pair<double, double>;

// The polynomial through points [first, last) as powers of s - start: Newton's divided differences, multiplied out.
AmplitudePiece piece_through(const std::vector<Point>& table, int first, int last, double start) {
  const int n = last - first;
  double x[4], difference[4];
  for (int i = 0; i < n; ++i) x[i] = table[first + i].first - start, difference[i] = table[first + i].second;
  for (int order = 1; order < n; ++order)
    for (int i = n - 1; i >= order; --i) difference[i] = (difference[i] - difference[i - 1]) / (x[i] - x[i - order]);
  AmplitudePiece p{start, {0, 0, 0, 0}};
  for (int i = n - 1; i >= 0; --i) {  // p = p * (s - x[i]) + difference[i]
    for (int k = 3; k > 0; --k) p.coefficient[k] = p.coefficient[k - 1] - x[i] * p.coefficient[k];
    p.coefficient[0] = difference[i] - x[i] * p.coefficient[0];
  }
  return p;
}

// Where a polynomial changes its sign between two values of s, ascending.
std::vector<double> sign_changes(const AmplitudePiece& p, double from, double to) {
  std::vector<double> stops{from, to};                                                // between which it rises or falls
  const double a = 3 * p.coefficient[3], b = p.coefficient[2], c = p.coefficient[1];  // derivative: a t^2 + 2 b t + c
  const double root = std::sqrt(std::max(b * b - a * c, 0.0)), q = -(b + std::copysign(root, b));
  for (double s : {p.start + q / a, p.start + c / q})
    if (s > from && s < to) stops.push_back(s);
  std::sort(stops.begin(), stops.end());
  std::vector<double> changes;
  for (std::size_t i = 1; i < stops.size(); ++i) {
    double low = stops[i - 1], high = stops[i];
    const bool negative = p(low) < 0;
    if ((p(high) < 0) == negative) continue;
    for (double s = low + (high - low) / 2; s > low && s < high; s = low + (high - low) / 2)
      ((p(s) < 0) == negative ? low : high) = s;
    changes.push_back(high);
  }
  return changes;
}

struct FillPieces {
  DeviceBuffer<IntensityPiece> pieces;
  DeviceTable<int> first_pieces;  // of the groups
  DeviceTable<Range> groups;      // of sources that share a curve
  DeviceTable<double> wavenumber, weight;
  DeviceTable<double> knots;
  DeviceTable<AmplitudePiece> amplitude;

  // F, as a polynomial in v = x (q - middle), is f0 + f1 v + f2 v^2 + f3 v^3; its square times weight and sign is added
  // up.
  KOKKOS_FUNCTION void operator()(const int i) const {
    const int after = first_where({1, int(first_pieces.extent(0))}, [&](int g) { return first_pieces(g) > i; });
    const Range group = groups(after - 1);
    const double middle = pieces(i).middle;
    double sum[7] = {0, 0, 0, 0, 0, 0, 0};
    int piece = 0;
    for (int source = group.begin; source < group.end; ++source) {
      const double x = wavenumber(source), s = x * middle;
      while (piece < int(knots.extent(0)) && knots(piece) < s) ++piece;
      const AmplitudePiece& p = amplitude(piece);
      const double t = s - p.start;
      const double f0 = p(s);
      const double f1 =
          x * Kokkos::fma(Kokkos::fma(3 * p.coefficient[3], t, 2 * p.coefficient[2]), t, p.coefficient[1]);
      const double f2 = x * x * Kokkos::fma(3 * p.coefficient[3], t, p.coefficient[2]);
      const double f3 = x * x * x * p.coefficient[3];
      const double w = p.sign * weight(source);
      sum[0] = Kokkos::fma(w, f0 * f0, sum[0]);
      sum[1] = Kokkos::fma(w, 2 * f0 * f1, sum[1]);
      sum[2] = Kokkos::fma(w, Kokkos::fma(2 * f0, f2, f1 * f1), sum[2]);
      sum[3] = Kokkos::fma(w, 2 * Kokkos::fma(f0, f3, f1 * f2), sum[3]);
      sum[4] = Kokkos::fma(w, Kokkos::fma(2 * f1, f3, f2 * f2), sum[4]);
      sum[5] = Kokkos::fma(w, 2 * f2 * f3, sum[5]);
      sum[6] = Kokkos::fma(w, f3 * f3, sum[6]);
    }
    for (int k = 0; k < 7; ++k) pieces(i).coefficient[k] = sum[k];
  }
};

// host_wavenumber: a copy of wavenumber.
IntensityCurves tabulate(const ExecutionSpace& space, const AmplitudeCurve& amplitude, const std::vector<Range>& groups,
                         const std::vector<double>& host_wavenumber, const DeviceTable<double>& wavenumber,
                         const DeviceTable<double>& weight, double limit) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  std::vector<double> ends;
  std::vector<IntensityPiece> pieces;
  std::vector<int> first_pieces;
  for (const Range& group : groups) {
    first_pieces.push_back(int(ends.size()));
    for (double knot : amplitude.knots)
      for (int source = group.end - 1; source >= group.begin; --source) {
        const double q = knot / host_wavenumber[source];
        if (q > 0 && q < limit) ends.push_back(q);
      }
    const auto begin = ends.begin() + first_pieces.back();
    if (!std::is_sorted(begin, ends.end())) std::sort(begin, ends.end());
    ends.erase(std::unique(begin, ends.end()), ends.end());
    ends.push_back(infinity);
    double from = 0;
    for (std::size_t i = first_pieces.back(); i < ends.size(); ++i) {
      const double to = std::min(ends[i], limit);
      pieces.push_back({from + (to - from) / 2, {}});
      from = to;
    }
  }

  IntensityCurves curves;
  curves.n_cells = 1;
  while (std::size_t(curves.n_cells) * groups.size() < ends.size()) curves.n_cells *= 2;
  curves.cells_per_unit = curves.n_cells / limit;
  std::vector<int> first;
  for (std::size_t g = 0; g < groups.size(); ++g) {
    int piece = first_pieces[g];
    for (int cell = 0; cell <= curves.n_cells; ++cell) {
      while (ends[piece] < infinity && std::min(int(ends[piece] * curves.cells_per_unit), curves.n_cells - 1) < cell)
        ++piece;
      first.push_back(piece);
    }
  }
  curves.ends = to_device(space, "nanobragg::background::ends", ends);
  curves.first = to_device(space, "nanobragg::background::first", first);

  DeviceBuffer<IntensityPiece> filled(
      Kokkos::view_alloc(space, "nanobragg::background::pieces", Kokkos::WithoutInitializing), pieces.size());
  Kokkos::deep_copy(
      space, filled,
      Kokkos::View<const IntensityPiece*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(pieces.data(), pieces.size()));
  Kokkos::parallel_for("nanobragg::background::tabulate",
                       Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<int>>(space, 0, int(pieces.size())),
                       FillPieces{filled, to_device(space, "nanobragg::background::first_pieces", first_pieces),
                                  to_device(space, "nanobragg::background::groups", groups), wavenumber, weight,
                                  to_device(space, "nanobragg::background::knots", amplitude.knots),
                                  to_device(space, "nanobragg::background::amplitude", amplitude.pieces)});
  space.fence("nanobragg::background::tabulate");
  curves.pieces = filled;
  return curves;
}

template <class T>
std::vector<T> to_host(const ExecutionSpace& space, const DeviceTable<T>& device) {
  std::vector<T> values(device.extent(0));
  Kokkos::deep_copy(space, Kokkos::View<T*, Kokkos::HostSpace, Kokkos::MemoryUnmanaged>(values.data(), values.size()),
                    device);
  space.fence("nanobragg::background::to_host");
  return values;
}

}  // namespace

AmplitudeCurve::AmplitudeCurve(const std::vector<Point>& table) {
  const int n = int(table.size());
  for (const Point& point : table) knots.push_back(point.first);
  for (int i = 0; i <= n; ++i)
    pieces.push_back(piece_through(table, std::max(i - 2, 0), std::min(i + 2, n), knots[std::clamp(i - 1, 0, n - 1)]));
}

AmplitudeCurve AmplitudeCurve::up_to(double limit) const {
  AmplitudeCurve curve;
  double from = 0;
  const auto end_piece_at = [&](AmplitudePiece piece, double to) {
    piece.sign = piece(from + (to - from) / 2) < 0 ? -1 : 1;
    curve.pieces.push_back(piece);
    from = to;
  };
  for (std::size_t i = 0; i < pieces.size() && from < limit; ++i) {
    const double to = i < knots.size() ? std::min(knots[i], limit) : limit;
    if (!(to > from)) continue;
    for (double s : sign_changes(pieces[i], from, to))
      if (s > from && s < to) end_piece_at(pieces[i], s), curve.knots.push_back(s);
    end_piece_at(pieces[i], to);
    if (to < limit) curve.knots.push_back(to);
  }
  return curve;
}

IntensityCurves intensity_curves(const ExecutionSpace& space, const AmplitudeCurve& amplitude,
                                 const SourceTable& sources) {
  std::vector<Range> groups;
  for (const Direction& direction : to_host(space, sources.directions)) groups.push_back(direction.sources);
  return tabulate(space, amplitude, groups, to_host(space, sources.wavenumber), sources.wavenumber, sources.weight, 1);
}

IntensityCurves intensity_curve(const ExecutionSpace& space, const AmplitudeCurve& amplitude, double limit) {
  const std::vector<double> one{1};
  const auto on_device = to_device(space, "nanobragg::background::one", one);
  return tabulate(space, amplitude, {{0, 1}}, one, on_device, on_device, limit);
}

}  // namespace nanobragg
