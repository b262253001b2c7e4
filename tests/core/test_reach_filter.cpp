// The filter of the pixel-driven engine loses no term: against the sum over all terms, each in double precision, where
// rounding matters most: crystals of up to 1000 cells a side, edges of shapes, indices halfway between two reflections.
#include <algorithm>
#include <random>

#include <nanobragg_kokkos/core/models/detector_on_device.h>
#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/runtime/arithmetic.h>
#include <nanobragg_kokkos/core/spots/spot_terms.h>

#include "check.h"
#include "experiment.h"

using namespace nanobragg;

namespace {

template <Shape shape>
void add_all_terms(Image& image, const Scene& scene) {
  const StandardArithmetic standard;
  const SpotTerms<shape, Interpolation::nearest> term(scene);
  const PixelTable rays = scene.detector.on_device().table;
  const auto pixels = image.on_device().pixels;
  using Index = typename SpotTerms<shape, Interpolation::nearest>::Index;
  Kokkos::parallel_for(
      "all_terms", Kokkos::RangePolicy<ExecutionSpace>(0, image.size()), KOKKOS_LAMBDA(const int pixel) {
        double sum = 0;
        rays.for_each(pixel, [&](Vec3 diffracted, double weight) {
          for (std::size_t j = 0; j < term.sources.directions.extent(0); ++j) {
            const Direction& direction = term.sources.directions(j);
            double here = 0;
            for (std::size_t block = 0; block < term.blocks.extent(0); ++block)
              for (int i = direction.sources.begin; i < direction.sources.end; ++i) {
                const Vec3 index = term.blocks(block) * (diffracted - direction.incident);
                const double x = term.sources.wavenumber(i);
                here += term(Index(index.x, x), Index(index.y, x), Index(index.z, x), i);
              }
            sum += here * weight * term.sources.polarization(direction, diffracted);
          }
        });
        pixels(pixel) += term.scale * sum;
      });
  Kokkos::fence("all_terms");
}

struct Case {
  int cells, wavelengths, directions, blocks;
  double cell;         // a side, m
  double spots_apart;  // pixels from the middle of a spot to its edge at gauss_argchk's reach, about
  double offset;       // of the Miller indices in the middle of the panel from whole ones
  double tilt;         // of the panel, degrees
};

// The number of lit pixels.
template <Shape shape>
int compare(const Case& c, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  const double wavenumber = 1e10;
  const int side = 37;  // no multiple of anything
  // A panel at some angle to the beam, whose pixels resolve the spots.
  const double distance = 0.1, pixel = 4.7 / c.cells / c.spots_apart / (c.cell * wavenumber) * distance;
  const Vec3 to_middle = unit({0.5 * normal(random), 0.5 * normal(random), -1});
  const Vec3 across = unit(cross(to_middle, {normal(random), normal(random), normal(random)}));
  Panel panel = flat_panel(side, side, pixel);
  panel.fast = rotated(across, cross(across, to_middle), c.tilt * M_PI / 180);
  panel.slow = unit(cross(to_middle, across));
  const Vec3 middle = distance * to_middle;
  panel.origin = middle - (pixel * side / 2) * (panel.fast + panel.slow);
  const Detector detector({panel}, {});

  std::vector<Source> source;
  for (int d = 0; d < c.directions; ++d)
    for (int i = 0; i < c.wavelengths; ++i)
      source.push_back({{1e-3 * d / c.cells, 0, -1}, 1 / (wavenumber * (1 + 0.3 * i / c.cells / 100)), 1.0 + i % 3, 0});
  const Sources sources(source, {true, 0.9, {1, 0, 0}}, 1e20);

  // Whole indices plus the offset in the middle of the panel, turned a little from block to block.
  const Vec3 scattering = unit(middle) - Vec3{0, 0, -1};
  std::vector<Mat3> blocks;
  Mat3 first;
  for (Vec3& row : first.row) {
    row = c.cell * unit({normal(random), normal(random), normal(random)});
    const double index = wavenumber * dot(row, scattering), wanted = std::round(index) + c.offset;
    row = along(row, (wanted - index) / wavenumber / dot(scattering, scattering), scattering);
  }
  for (int b = 0; b < c.blocks; ++b) {
    Mat3 block;
    const Vec3 axis = unit({normal(random), normal(random), normal(random)});
    for (int i = 0; i < 3; ++i) block.row[i] = rotated(first.row[i], axis, b * 0.02 / c.cells / (c.cell * wavenumber));
    blocks.push_back(block);
  }
  const Crystal crystal(blocks, {double(c.cells), double(std::max(1, c.cells - 1)), double(c.cells + 1)}, shape);
  const StructureFactors structure_factors({{}}, 10, 10);

  Image got(workspace(), detector.n_pixels()), want(workspace(), detector.n_pixels());
  add_spots_pixel_driven(workspace(), got, {detector, sources, crystal, structure_factors}, Interpolation::nearest);
  add_all_terms<shape>(want, {detector, sources, crystal, structure_factors});
  const auto a = got.on_host(workspace()), b = want.on_host(workspace());
  const double brightest = *std::max_element(b.get(), b.get() + want.size());
  int lit = 0, lost = 0, invented = 0;
  double difference = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    lit += b.get()[i] != 0;
    lost += b.get()[i] != 0 && a.get()[i] == 0;
    invented += b.get()[i] == 0 && a.get()[i] != 0;
    difference = std::max(difference, std::abs(a.get()[i] - b.get()[i]));
  }
  CHECK(lost == 0);
  CHECK(invented == 0);
  CHECK_CLOSE(difference, 0, 1e-14 * brightest);
  return lit;
}

template <Shape shape>
int compare_some(const Case& c) {
  int lit = 0;
  for (unsigned seed = 0; seed < 5; ++seed) lit += compare<shape>(c, seed);
  return lit;
}

}  // namespace

TEST(no_term_of_a_large_crystal_is_lost) {
  for (double tilt : {0.0, 70.0}) {
    const Case large{1000, 1, 1, 1, 2e-8, 30, 0, tilt};
    CHECK(compare_some<Shape::gauss_argchk>(large) > 100);
    CHECK(compare_some<Shape::gauss>(large) > 100);
    CHECK(compare_some<Shape::tophat>({1000, 1, 1, 1, 2e-8, 150, 0, tilt}) > 100);
  }
}

TEST(no_term_is_lost_among_many_blocks_wavelengths_and_directions) {
  CHECK(compare_some<Shape::tophat>({300, 1, 1, 70, 1e-8, 150, 0, 30}) > 100);
  CHECK(compare_some<Shape::tophat>({300, 70, 2, 3, 1e-8, 150, 0, 30}) > 100);
  CHECK(compare_some<Shape::gauss_argchk>({300, 33, 3, 33, 1e-8, 30, 0, 30}) > 100);
}

TEST(the_edge_of_a_tophat_is_decided_in_double_precision) {
  // The middle of the panel lies on the edge, whose squared distance 0.3969 the three axes share; the panel sees next
  // to nothing of the rest.
  const double off = std::sqrt(0.3969 / 3) / 1000;
  for (double pixels : {300, 3000, 30000}) {
    const int lit = compare_some<Shape::tophat>({1000, 1, 1, 1, 2e-8, pixels, off, 0});
    CHECK(lit > 100 && lit < 5 * 37 * 37);
  }
}

TEST(no_term_is_lost_halfway_between_reflections) {
  for (int cells : {1, 2, 3})
    for (double offset : {0.5, -0.5, 0.49999999, 0.25}) {
      const Case small{cells, 1, 1, 3, 5e-9, 1e6, offset, 0}, wide{cells, 4, 1, 3, 5e-9, 10, offset, 50};
      CHECK(compare_some<Shape::gauss_argchk>(small) > 100);
      CHECK(compare_some<Shape::gauss>(wide) > 100);
      compare_some<Shape::tophat>(small);
      compare_some<Shape::tophat>(wide);
    }
}

TEST(where_single_precision_says_nothing_all_terms_are_computed) {
  // Indices of 10^5 and a margin of hundreds.
  CHECK(compare_some<Shape::gauss_argchk>({3000, 1, 1, 2, 1e-5, 30, 0, 0}) > 100);
  CHECK(compare_some<Shape::tophat>({3000, 5, 1, 2, 1e-5, 150, 0, 0}) > 100);
}
