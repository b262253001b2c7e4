#include "spots_pixel_driven.h"

#include <stdexcept>

#include "arithmetic.h"
#include "constants.h"
#include "crystal_on_device.h"
#include "detector_on_device.h"
#include "image_on_device.h"
#include "lattice_shapes.h"
#include "sources_on_device.h"
#include "structure_factors_on_device.h"

namespace nanobragg {
namespace {

template <Shape shape, Interpolation interpolation>
struct AddSpots {
  Kokkos::View<double*, DeviceSpace> image;
  PixelTable rays;
  SourceTable sources;
  DeviceArray<Mat3> blocks;
  Cells cells;
  AmplitudeTable amplitude;
  double scale;

  KOKKOS_FUNCTION void operator()(const std::int64_t pixel) const {
    if (!rays.active(pixel)) return;
    double sum = 0;
    rays.for_each(pixel, [&](Vec3 diffracted, double weight) {
      for (std::size_t i = 0; i < sources.directions.extent(0); ++i) {
        const Direction& direction = sources.directions(i);
        const double from_crystal = over_blocks(diffracted - direction.incident, direction.begin, direction.end);
        if (from_crystal != 0) sum += from_crystal * weight * sources.polarization(direction, diffracted);
      }
    });
    image(pixel) += scale * sum;
  }

  // The Miller indices at a wavelength are those for wavenumber 1, times the wavenumber: so the product with the cell
  // vectors is done once for all wavelengths of a direction.
  KOKKOS_FUNCTION double over_blocks(Vec3 scattering, int begin, int end) const {
    double sum = 0;
    for (std::size_t block = 0; block < blocks.extent(0); ++block) {
      const Vec3 index = blocks(block) * scattering;
      if (any_reached(index, begin, end)) sum += over_wavelengths(index, begin, end);
    }
    return sum;
  }

  KOKKOS_FUNCTION double over_wavelengths(Vec3 index, int begin, int end) const {
    double sum = 0;
    for (int i = begin; i < end; ++i) {
      const double h = index.x * sources.wavenumber(i), k = index.y * sources.wavenumber(i), l = index.z * sources.wavenumber(i);
      const double h0 = nearest_index(h), k0 = nearest_index(k), l0 = nearest_index(l);
      const double dh = h - h0, dk = k - k0, dl = l - l0;
      if (reach2<shape>() >= 0 && reduced_distance2(dh, dk, dl, cells) >= reach2<shape>()) continue;
      const double f = interpolation == Interpolation::nearest ? amplitude(int(h0), int(k0), int(l0), sources.channel(i))
                                                               : amplitude.tricubic(h, k, l, sources.channel(i));
      if (f != 0) sum += sources.weight(i) * f * f * lattice_intensity<shape>(dh, dk, dl, cells);
    }
    return sum;
  }

  // Nearly always no wavelength brings a block near a reflection.  A CPU finds that out for several wavelengths at a
  // time, in a loop without branches that the compiler turns into vector code.
  KOKKOS_FUNCTION bool any_reached(Vec3 index, int begin, int end) const {
    KOKKOS_IF_ON_HOST((
      if constexpr (reach2<shape>() >= 0) {
        int reached = 0;
        const double* x = sources.wavenumber.data();
        for (int i = begin; i < end; ++i) {
          const double h = index.x * x[i], k = index.y * x[i], l = index.z * x[i];
          reached += reduced_distance2(h - nearest_index(h), k - nearest_index(k), l - nearest_index(l), cells) <
                     reach2<shape>();
        }
        return reached > 0;
      }))
    return true;
  }
};

template <Shape shape, Interpolation interpolation>
void run(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
         const StructureFactors& structure_factors) {
  const auto& blocks = crystal.on_device().table;
  const auto& n = crystal.cells();
  const AddSpots<shape, interpolation> kernel{
      image.on_device().pixels, detector.on_device().table, sources.on_device().table, blocks,
      Cells{double(n[0]), double(n[1]), double(n[2])}, structure_factors.on_device().table,
      thomson_cross_section * sources.fluence() * crystal.scale() / double(blocks.extent(0))};
  // Dynamic: masked or dark regions take no time, others a lot.
  Kokkos::parallel_for("nanobragg::spots::pixel_driven",
                       Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(
                           0, std::int64_t(image.size())), kernel);
  Kokkos::fence("nanobragg::spots::pixel_driven");
}

template <Shape shape>
void run(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
         const StructureFactors& structure_factors, Interpolation interpolation) {
  if (interpolation == Interpolation::tricubic)
    run<shape, Interpolation::tricubic>(image, detector, sources, crystal, structure_factors);
  else
    run<shape, Interpolation::nearest>(image, detector, sources, crystal, structure_factors);
}

}  // namespace

void add_spots_pixel_driven(Image& image, const Detector& detector, const Sources& sources, const Crystal& crystal,
                            const StructureFactors& structure_factors, Interpolation interpolation) {
  start();
  const StandardArithmetic standard;
  if (image.size() != detector.n_pixels()) throw std::invalid_argument("the image does not have the detector's pixels");
  if (sources.n_channels() > structure_factors.n_channels())
    throw std::invalid_argument("a source uses channel " + std::to_string(sources.n_channels() - 1) + " but there are only " +
                                std::to_string(structure_factors.n_channels()) + " channels of structure factors");
  switch (crystal.shape()) {
    case Shape::square: return run<Shape::square>(image, detector, sources, crystal, structure_factors, interpolation);
    case Shape::round: return run<Shape::round>(image, detector, sources, crystal, structure_factors, interpolation);
    case Shape::gauss: return run<Shape::gauss>(image, detector, sources, crystal, structure_factors, interpolation);
    case Shape::gauss_argchk: return run<Shape::gauss_argchk>(image, detector, sources, crystal, structure_factors, interpolation);
    case Shape::tophat: return run<Shape::tophat>(image, detector, sources, crystal, structure_factors, interpolation);
  }
}

}  // namespace nanobragg
