#include "arithmetic.h"
#include "detector_on_device.h"
#include "image_on_device.h"
#include "spot_terms.h"
#include "spots.h"

namespace nanobragg {
namespace {

template <Shape shape, Interpolation interpolation>
struct AddSpots {
  using Index = typename SpotTerms<shape, interpolation>::Index;
  Kokkos::View<double*, DeviceSpace> image;
  PixelTable rays;
  SpotTerms<shape, interpolation> term;

  KOKKOS_FUNCTION void operator()(const std::int64_t pixel) const {
    if (!rays.active(pixel)) return;
    double sum = 0;
    rays.for_each(pixel, [&](Vec3 diffracted, double weight) {
      for (std::size_t i = 0; i < term.sources.directions.extent(0); ++i) {
        const Direction& direction = term.sources.directions(i);
        const double from_crystal = over_blocks(diffracted - direction.incident, direction.begin, direction.end);
        if (from_crystal != 0) sum += from_crystal * weight * term.sources.polarization(direction, diffracted);
      }
    });
    image(pixel) += term.scale * sum;
  }

  // The Miller indices at a wavelength are those for wavenumber 1, times the wavenumber: so the product with the cell
  // vectors is done once for all wavelengths of a direction.
  KOKKOS_FUNCTION double over_blocks(Vec3 scattering, int begin, int end) const {
    double sum = 0;
    for (std::size_t block = 0; block < term.blocks.extent(0); ++block) {
      const Vec3 index = term.blocks(block) * scattering;
      if (any_reached(index, begin, end)) sum += over_wavelengths(index, begin, end);
    }
    return sum;
  }

  KOKKOS_FUNCTION double over_wavelengths(Vec3 index, int begin, int end) const {
    double sum = 0;
    for (int i = begin; i < end; ++i) {
      const double x = term.sources.wavenumber(i);
      sum += term(Index(index.x, x), Index(index.y, x), Index(index.z, x), i);
    }
    return sum;
  }

  // Nearly always no wavelength brings a block near a reflection.  A CPU finds that out for several wavelengths at a
  // time, in a loop without branches that the compiler turns into vector code.
  KOKKOS_FUNCTION bool any_reached(Vec3 index, int begin, int end) const {
    KOKKOS_IF_ON_HOST((
      if constexpr (reach2<shape>() >= 0) {
        int reached = 0;
        const double* x = term.sources.wavenumber.data();
        for (int i = begin; i < end; ++i) {
          const Index h(index.x, x[i]), k(index.y, x[i]), l(index.z, x[i]);
          reached += reduced_distance2(h.rest, k.rest, l.rest, term.cells) < reach2<shape>();
        }
        return reached > 0;
      }))
    return true;
  }
};

template <Shape shape, Interpolation interpolation>
void run(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
         const StructureFactors& structure_factors) {
  const AddSpots<shape, interpolation> kernel{image.on_device().pixels, detector.on_device().table,
                                              {sources, crystal, structure_factors}};
  // Dynamic: masked or dark regions take no time, others a lot.
  Kokkos::parallel_for("nanobragg::spots::pixel_driven",
                       Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(
                           0, std::int64_t(image.size())), kernel);
  Kokkos::fence("nanobragg::spots::pixel_driven");
}

}  // namespace

void add_spots_pixel_driven(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
                            const StructureFactors& structure_factors, Interpolation interpolation) {
  start();
  const StandardArithmetic standard;
  check_spots(image, detector, sources, structure_factors);
  with_shape(crystal.shape(), interpolation, [&](auto shape, auto how) {
    run<shape(), how()>(image, detector, sources, crystal, structure_factors);
  });
}

double pixel_driven_work(const Detector& detector, const Sources& sources, const Crystal& crystal) {
  // Measured with one core of a recent x86 processor.
  constexpr double a_ray = 30e-9, a_product = 5e-9, a_wavelength = 1.2e-9;
  double rays = 0;
  for (const Panel& panel : detector.panels())
    rays += double(panel.n_fast) * panel.n_slow * (panel.sensor_thickness > 0 ? detector.sampling().sensor_layers : 1);
  rays *= double(detector.sampling().oversample) * detector.sampling().oversample;
  return rays * (a_ray + double(crystal.n_blocks()) * (a_product * sources.n_directions() + a_wavelength * sources.size()));
}

}  // namespace nanobragg
