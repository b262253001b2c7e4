#include <nanobragg_kokkos/core/response/spread_kernel.h>

#include <algorithm>
#include <cmath>

namespace nanobragg {
namespace {

using Real = long double;

constexpr Real pi = 3.14159265358979323846264338327950288L;

// Gauss-Legendre quadrature over -½ … ½.
template <int n>
struct Quadrature {
  double point[n], weight[n];
  Quadrature() {
    for (int i = 0; i < n; ++i) {
      Real x = std::cos(pi * (i + 0.75L) / (n + 0.5L)), slope = 1;
      for (int step = 0; step < 8; ++step) {  // Newton's, for a zero of the Legendre polynomial
        Real before = 1, p = x;
        for (int k = 2; k <= n; ++k) {
          const Real next = ((2 * k - 1) * x * p - (k - 1) * before) / k;
          before = p;
          p = next;
        }
        slope = n * (x * p - before) / (x * x - 1);
        x -= p / slope;
      }
      point[i] = double(x / 2);
      weight[i] = double(1 / ((1 - x * x) * slope * slope));
    }
  }
};

// Integrals of the PSF over pixels and over columns of them.  Lengths in units of a pixel's fast side; `side` is the
// slow one.
struct Gauss {
  Real scale, side;            // exp(-(scale r)^2)
  std::vector<Real> over_row;  // of the profile along the slow axis over a pixel, for slow = 0, 1, …

  Gauss(Real fwhm, Real slow_side, int rows) : scale(2 * std::sqrt(std::log(Real(2))) / fwhm), side(slow_side) {
    for (int slow = 0; slow < rows; ++slow) over_row.push_back(strip((slow - 0.5L) * side, (slow + 0.5L) * side));
  }
  // Of the profile along one axis; erfc where the difference of two erf would have lost its digits.
  Real strip(Real begin, Real end) const {
    if (begin > 0) return (std::erfc(scale * begin) - std::erfc(scale * end)) / 2;
    return (std::erf(scale * end) - std::erf(scale * begin)) / 2;
  }
  struct Column {
    Real strip;
    const std::vector<Real>& over_row;
    double over_pixel(int slow) const { return double(strip * over_row[slow]); }
  };
  Column column(int fast) const { return {strip(fast - 0.5L, fast + 0.5L), over_row}; }
  Real over_column(Real fast, Real height) const {
    const Real slow = (height + 0.5L) * side;
    return strip(fast - 0.5L, fast + 0.5L) * strip(-slow, slow);
  }
  Real beyond(Real radius) const { return std::exp(-scale * scale * radius * radius); }
};

struct Fiber {
  Real g, side;
  Fiber(Real fwhm, Real slow_side) : g(0.652383013252053L * fwhm), side(slow_side) {}

  // Over 0 … fast, 0 … slow.
  Real corner(Real fast, Real slow) const {
    return std::atan(fast * slow / (g * std::sqrt(g * g + fast * fast + slow * slow))) / (2 * pi);
  }

  // The four corners of a pixel cancel the more, the farther it is out or the wider the PSF.  But there the PSF is
  // smooth: as a function of one coordinate its singularities are, in the complex plane, d = √(g² + r²) from the
  // pixel's middle, and n points along a side h leave an error of some (4 d/h)^(-2n).
  double over_pixel(int fast, int row) const {
    static const Quadrature<4> far;
    static const Quadrature<8> near;
    const Real slow = row * side, d = std::sqrt(g * g + Real(fast) * fast + slow * slow) / std::max(Real(1), side);
    if (d > 40) return integral(far, fast, row);
    if (d > 4) return integral(near, fast, row);
    const Real begin = fast - 0.5L, end = fast + 0.5L, low = slow - side / 2, high = slow + side / 2;
    return double(corner(end, high) - corner(begin, high) - corner(end, low) + corner(begin, low));
  }

  template <int n>
  double integral(const Quadrature<n>& rule, int fast, int row) const {
    const double g_here = double(g), g2 = g_here * g_here, height = double(side);
    double sum = 0;
    for (int i = 0; i < n; ++i) {
      const double v = (row + rule.point[i]) * height, rest = g2 + v * v;
      double term[n], line = 0;
      for (int k = 0; k < n; ++k) {
        const double u = fast + rule.point[k], d2 = rest + u * u;
        term[k] = rule.weight[k] / (d2 * std::sqrt(d2));
      }
      for (int k = 0; k < n; ++k) line += term[k];
      sum += rule.weight[i] * line;
    }
    return g_here * height / (2 * double(pi)) * sum;
  }

  struct Column {
    const Fiber& psf;
    int fast;
    double over_pixel(int row) const { return psf.over_pixel(fast, row); }
  };
  Column column(int fast) const { return {*this, fast}; }
  Real over_column(Real fast, Real height) const {
    const Real slow = (height + 0.5L) * side;
    return 2 * (corner(fast + 0.5L, slow) - corner(fast - 0.5L, slow));
  }
  Real beyond(Real radius) const { return g / std::sqrt(g * g + radius * radius); }
};

// The pixels of a circle: how far from the fast axis the last one is in each column.  Pixels on the circle count,
// whatever rounding makes of the sides' ratio.
struct Circle {
  double radius, side;
  double height(double fast) const {
    return std::floor(std::sqrt((radius - fast) * (radius + fast)) / side * (1 + 1e-13));
  }
};

// Column by column; of so many that this takes long, a circle's pixels differ from the circle by less than rounding.
template <class Psf>
double missing(const Psf& psf, const Circle& circle) {
  if (circle.radius > (1 << 20)) return double(psf.beyond(circle.radius));
  Real sum = psf.over_column(0, circle.height(0));
  for (double fast = circle.radius; fast > 0; --fast) sum += 2 * psf.over_column(fast, circle.height(fast));
  return std::max(0.0, double(1 - sum));
}

template <class Psf>
SpreadKernel integrated(const Psf& psf, const Circle& circle, AddedBack added_back, int columns, int rows) {
  SpreadKernel kernel;
  const double least = 1e-61 * psf.column(0).over_pixel(0);
  for (int fast = 0; fast < columns; ++fast) {
    const auto column = psf.column(fast);
    const std::size_t first = kernel.values.size();
    const int last = int(std::min(circle.height(fast), rows - 1.0));
    for (int slow = 0; slow <= last; ++slow) {
      const double value = column.over_pixel(slow);
      if (!(value >= least)) break;
      kernel.values.push_back(value);
    }
    const int height = int(kernel.values.size() - first) - 1;
    if (height < 0) break;
    kernel.columns.push_back({height, first});
    kernel.tallest = std::max(kernel.tallest, height);
  }
  kernel.added_back = added_back == AddedBack::missing ? missing(psf, circle) : double(psf.beyond(circle.radius));
  return kernel;
}

}  // namespace

SpreadKernel spread_kernel(const PointSpread& psf, double pixel_fast, double pixel_slow, int n_fast, int n_slow) {
  const Circle circle{double(psf.radius), pixel_slow / pixel_fast};
  const int columns = int(std::min(circle.radius + 1, double(n_fast))),
            rows = int(std::min(circle.height(0) + 1, double(n_slow)));
  const Real fwhm = Real(psf.fwhm) / pixel_fast, side = circle.side;
  if (psf.shape == SpreadShape::gauss)
    return integrated(Gauss(fwhm, side, rows), circle, psf.added_back, columns, rows);
  return integrated(Fiber(fwhm, side), circle, psf.added_back, columns, rows);
}

}  // namespace nanobragg
