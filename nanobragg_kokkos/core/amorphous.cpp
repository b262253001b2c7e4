#include "amorphous.h"

#include <algorithm>
#include <stdexcept>

#include "arithmetic.h"
#include "constants.h"
#include "detector_on_device.h"
#include "image_on_device.h"
#include "sources_on_device.h"

namespace nanobragg {

// Between two points of the table: a polynomial in s - start.
struct Piece {
  double start;
  double coefficient[4];
};

struct PieceTable {
  DeviceArray<double> knots;     // s of the table
  DeviceArray<Piece> pieces;     // piece i is for knots(i - 1) < s <= knots(i)
};

struct Amorphous::OnDevice : Kept<PieceTable> {};

namespace {

// The polynomial through points [first, last) as powers of s - start: Newton's divided differences, multiplied out.
Piece piece_through(const std::vector<std::pair<double, double>>& table, int first, int last, double start) {
  const int n = last - first;
  double x[4], difference[4];
  for (int i = 0; i < n; ++i) x[i] = table[first + i].first - start, difference[i] = table[first + i].second;
  for (int order = 1; order < n; ++order)
    for (int i = n - 1; i >= order; --i) difference[i] = (difference[i] - difference[i - 1]) / (x[i] - x[i - order]);
  Piece p{start, {0, 0, 0, 0}};
  for (int i = n - 1; i >= 0; --i) {                     // p = p * (s - x[i]) + difference[i]
    for (int k = 3; k > 0; --k) p.coefficient[k] = p.coefficient[k - 1] - x[i] * p.coefficient[k];
    p.coefficient[0] = difference[i] - x[i] * p.coefficient[0];
  }
  return p;
}

struct AddBackground {
  Kokkos::View<double*, DeviceSpace> image;
  PixelTable rays;
  SourceTable sources;
  PieceTable table;
  double scale;

  KOKKOS_FUNCTION void operator()(const std::int64_t pixel) const {
    if (!rays.active(pixel)) return;
    double sum = 0;
    rays.for_each(pixel, [&](Vec3 diffracted, double weight) {
      for (std::size_t i = 0; i < sources.directions.extent(0); ++i) {
        const Direction& direction = sources.directions(i);
        const double half = 0.5 * norm(diffracted - direction.incident);     // sin(theta)
        sum += over_wavelengths(half, direction.begin, direction.end) * weight * sources.polarization(direction, diffracted);
      }
    });
    image(pixel) += scale * sum;
  }

  // The wavenumbers ascend, so s does, and the piece of the table is found by moving on from the last one.
  KOKKOS_FUNCTION double over_wavelengths(double half, int begin, int end) const {
    const int n = int(table.knots.extent(0));
    int piece = first_piece(half * sources.wavenumber(begin));
    double sum = 0;
    for (int i = begin; i < end; ++i) {
      const double s = half * sources.wavenumber(i);
      while (piece < n && table.knots(piece) < s) ++piece;
      const Piece& p = table.pieces(piece);
      const double t = s - p.start;
      const double f = Kokkos::fma(Kokkos::fma(Kokkos::fma(p.coefficient[3], t, p.coefficient[2]), t, p.coefficient[1]), t,
                                   p.coefficient[0]);
      sum += sources.weight(i) * f * Kokkos::abs(f);
    }
    return sum;
  }

  KOKKOS_FUNCTION int first_piece(double s) const {      // the number of knots below s
    int low = 0, high = int(table.knots.extent(0));
    while (low < high) {
      const int middle = (low + high) / 2;
      if (table.knots(middle) < s) low = middle + 1; else high = middle;
    }
    return low;
  }
};

}  // namespace

Amorphous::Amorphous(const std::vector<std::pair<double, double>>& table, double molecules) : molecules_(molecules) {
  if (table.empty()) throw std::invalid_argument("the table of a background has no point");
  if (!(molecules >= 0 && std::isfinite(molecules)))
    throw std::invalid_argument("the number of molecules of a background must be finite and not negative");
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (!std::isfinite(table[i].first) || !std::isfinite(table[i].second))
      throw std::invalid_argument("the table of a background must be finite");
    if (i > 0 && !(table[i].first - table[i - 1].first > 1e-9 * (table.back().first - table.front().first)))
      throw std::invalid_argument("the table of a background must ascend in sin(theta)/lambda, by 1e-9 of its range or more");
  }
  const int n = int(table.size());
  std::vector<double> knots;
  std::vector<Piece> pieces;
  for (const auto& point : table) knots.push_back(point.first);
  for (int i = 0; i <= n; ++i)
    pieces.push_back(piece_through(table, std::max(i - 2, 0), std::min(i + 2, n), knots[std::clamp(i - 1, 0, n - 1)]));
  for (const Piece& piece : pieces)
    for (double c : piece.coefficient)
      if (!std::isfinite(c)) throw std::invalid_argument("the points of a background's table are too close to each other, or too large");
  on_device_ = std::make_shared<OnDevice>();
  on_device_->table.knots = to_device("nanobragg::background::knots", knots);
  on_device_->table.pieces = to_device("nanobragg::background::pieces", pieces);
}

void add_background(Image& image, const Detector& detector, const Sources& sources, const Amorphous& amorphous) {
  start();
  const StandardArithmetic standard;
  if (image.size() != detector.n_pixels()) throw std::invalid_argument("the image does not have the detector's pixels");
  const AddBackground kernel{image.on_device().pixels, detector.on_device().table, sources.on_device().table,
                             amorphous.on_device().table,
                             thomson_cross_section * sources.fluence() * amorphous.molecules()};
  Kokkos::parallel_for("nanobragg::background",
                       Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::int64_t>>(0, std::int64_t(image.size())), kernel);
  Kokkos::fence("nanobragg::background");
}

}  // namespace nanobragg
