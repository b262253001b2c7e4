#include <nanobragg_kokkos/core/background/amorphous.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <type_traits>

#include <nanobragg_kokkos/core/background/intensity_curves.h>
#include <nanobragg_kokkos/core/math/constants.h>
#include <nanobragg_kokkos/core/models/detector_on_device.h>
#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/models/sources_on_device.h>
#include <nanobragg_kokkos/core/models/tile.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>

namespace nanobragg {

namespace {

// The intensity's curves of the last few samples in the beam that was asked for last.
class TabulatedCurves {
 public:
  // summed: a curve for each direction, the sum over its sources; otherwise one that all sources share.
  IntensityCurves of(const ExecutionSpace& space, const std::shared_ptr<const AmplitudeCurve>& sample,
                     const Sources& sources, bool summed) {
    const SourceTable& beam = sources.on_device().table;
    if (wavenumber_.data() != beam.wavenumber.data()) of_samples_.clear();
    wavenumber_ = beam.wavenumber;
    for (const OfSample& known : of_samples_)
      if (known.sample == sample && known.summed == summed) return known.curves;
    if (of_samples_.size() == most) of_samples_.erase(of_samples_.begin());
    const double limit = sources.largest_wavenumber();
    const AmplitudeCurve reached = sample->up_to(limit);
    of_samples_.push_back(
        {sample, summed, summed ? intensity_curves(space, reached, beam) : intensity_curve(space, reached, limit)});
    return of_samples_.back().curves;
  }

 private:
  struct OfSample {
    std::shared_ptr<const AmplitudeCurve> sample;
    bool summed;
    IntensityCurves curves;
  };
  static constexpr std::size_t most = 4;

  DeviceTable<double> wavenumber_;  // tells beams apart: while it is kept, no other has its own in the same place
  std::vector<OfSample> of_samples_;
};

// Of several pixels at a time, each in a lane of its own.
template <int lanes>
struct Rays {
  double x[lanes], y[lanes], z[lanes], weight[lanes];
  KOKKOS_INLINE_FUNCTION Vec3 direction(int k) const { return {x[k], y[k], z[k]}; }
};

// On a CPU, blocks of pixels as they are numbered, taken several in a row at a time, with vector code.  On a GPU, which
// calculates a few pixels in each thread, tiles.
// one_ray: no pixel has more than one ray; a GPU then needs half the registers.
template <bool one_ray>
struct AddBackground {
  DeviceBuffer<double> image;
  PixelTable rays;
  SourceTable sources;
  IntensityCurves curves;
  bool summed;  // see TabulatedCurves
  double scale;
  double sub_pixel = 1.0 / rays.oversample;  // side of a sub-pixel, in pixels

  static constexpr std::int64_t block = 1024;
  static constexpr int rows_of_thread = 4, threads_of_tile = tile_side * tile_side / rows_of_thread;

  std::int64_t n_iterations() const {
    return host_is_device ? (std::int64_t(image.extent(0)) + block - 1) / block
                          : std::int64_t(rays.n_tiles) * threads_of_tile;
  }

  KOKKOS_FUNCTION void operator()(const std::int64_t i) const {
    if constexpr (host_is_device)
      add_block(i);
    else
      add_in_tile(int(i / threads_of_tile), int(i % threads_of_tile));
  }

  KOKKOS_FUNCTION void add_block(std::int64_t i) const {
    constexpr int lanes = 64;
    const std::int64_t end = Kokkos::min((i + 1) * block, std::int64_t(image.extent(0)));
    for (std::int64_t pixel = i * block; pixel < end;) {
      const DevicePanel& panel = rays.panels(rays.panel_of(pixel));
      const std::int64_t in_panel = pixel - panel.first_pixel;
      const int slow = int(in_panel / panel.n_fast), fast = int(in_panel % panel.n_fast);
      const std::int64_t left = Kokkos::min(std::int64_t(panel.n_fast - fast), end - pixel);
      const int n = left < lanes ? int(left) : lanes;
      add<lanes>(panel, fast, slow, n);
      pixel += n;
    }
  }

  KOKKOS_FUNCTION void add_in_tile(int number, int thread) const {
    const Tile tile(rays, number);
    const int fast = thread % tile_side;
    if (fast >= tile.n_fast) return;
    for (int slow = thread / tile_side; slow < Kokkos::min(int(tile_side), tile.n_slow);
         slow += tile_side / rows_of_thread)
      add<1>(tile.panel, tile.fast + fast, tile.slow + slow, 1);
  }

  // The first n of `lanes` pixels in a row; what the other lanes calculate is not used.
  template <int lanes>
  KOKKOS_FUNCTION void add(const DevicePanel& panel, int fast, int slow, int n) const {
    const std::int64_t pixel = panel.first_pixel + std::int64_t(slow) * panel.n_fast + fast;
    bool any = false;
    for (int k = 0; k < n; ++k) any |= rays.active(pixel + k);
    if (!any) return;
    double sum[lanes] = {};
    if constexpr (one_ray) {
      add_rays(panel, fast, 0.5, slow + 0.5, 0, sum);
    } else {
      for (int layer = 0; layer < panel.layers; ++layer)
        for (int sub_slow = 0; sub_slow < rays.oversample; ++sub_slow)
          for (int sub_fast = 0; sub_fast < rays.oversample; ++sub_fast)
            add_rays(panel, fast, (sub_fast + 0.5) * sub_pixel, slow + (sub_slow + 0.5) * sub_pixel, layer, sum);
    }
    if (lanes == 1 || (n == lanes && rays.mask.extent(0) == 0)) {
      for (int k = 0; k < lanes; ++k) image(pixel + k) += scale * sum[k];
    } else {
      for (int k = 0; k < n; ++k)
        if (rays.active(pixel + k)) image(pixel + k) += scale * sum[k];
    }
  }

  // A ray of each pixel, `offset` from its edge.
  template <int lanes>
  KOKKOS_FORCEINLINE_FUNCTION void add_rays(const DevicePanel& panel, int fast, double offset, double slow, int layer,
                                            double (&sum)[lanes]) const {
    Rays<lanes> ray;
    // The same loop for each kind of sensor: only with that settled outside do compilers make vector code of it.
    if (lanes == 1 || rays.point_pixel)
      trace(panel, fast, offset, slow, layer, ray);
    else if (panel.absorption > 0)
      trace(panel, fast, offset, slow, layer, ray);
    else
      trace(panel, fast, offset, slow, layer, ray);
    for (int d = 0; d < int(sources.directions.extent(0)); ++d) {
      const Direction direction = sources.directions(d);
      double half[lanes], intensity[lanes] = {};  // half: sin(theta)
      for (int k = 0; k < lanes; ++k) half[k] = 0.5 * norm(ray.direction(k) - direction.incident);
      if (summed) {
        add_curve(d, half, 1, 1, intensity);
      } else {
        for (int source = direction.sources.begin; source < direction.sources.end; ++source)
          add_curve(0, half, sources.wavenumber(source), sources.weight(source), intensity);
      }
      if (sources.polarized)
        for (int k = 0; k < lanes; ++k) intensity[k] *= sources.polarization(direction, ray.direction(k));
      for (int k = 0; k < lanes; ++k) sum[k] = Kokkos::fma(intensity[k], ray.weight[k], sum[k]);
    }
  }

  template <int lanes>
  KOKKOS_FORCEINLINE_FUNCTION void trace(const DevicePanel plane, int fast, double offset, double slow, int layer,
                                         Rays<lanes>& all) const {
    for (int k = 0; k < lanes; ++k) {
      const Ray ray = rays.ray(plane, fast + k + offset, slow, layer);
      all.x[k] = ray.direction.x, all.y[k] = ray.direction.y, all.z[k] = ray.direction.z, all.weight[k] = ray.weight;
    }
  }

  // Adds weight × B(half × wavenumber).
  template <int lanes>
  KOKKOS_FORCEINLINE_FUNCTION void add_curve(int curve, const double (&half)[lanes], double wavenumber, double weight,
                                             double (&intensity)[lanes]) const {
    int piece[lanes];
    for (int k = 0; k < lanes; ++k) piece[k] = curves.find(curve, half[k] * wavenumber);
    for (int k = 0; k < lanes; ++k)
      intensity[k] = Kokkos::fma(weight, curves.pieces(piece[k])(half[k] * wavenumber), intensity[k]);
  }
};

template <bool one_ray>
void run(const ExecutionSpace& space, const AddBackground<one_ray>& kernel) {
  Kokkos::parallel_for(
      "nanobragg::background",
      light_weight(
          Kokkos::RangePolicy<ExecutionSpace, Kokkos::Schedule<Kokkos::Dynamic>, Kokkos::IndexType<std::int64_t>>(
              space, 0, kernel.n_iterations())),
      kernel);
}

// Whether to sum the sources of each direction into a curve: if its pieces have fewer terms than all rays, and take no
// more than 64 MiB.  That depends on the models alone, not on what is there already.
bool worth_a_sum(double rays, const Sources& sources, const AmplitudeCurve& amplitude) {
  const double pieces = double(sources.size()) * double(amplitude.pieces.size());
  return sources.size() > sources.n_directions() && pieces <= std::min(rays, double(1 << 20));
}

}  // namespace

Amorphous::Amorphous(const std::vector<std::pair<double, double>>& table, double molecules) : molecules_(molecules) {
  if (table.empty()) throw std::invalid_argument("the table of a background has no point");
  if (!(molecules >= 0 && std::isfinite(molecules)))
    throw std::invalid_argument("the number of molecules of a background must be finite and not negative");
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (!std::isfinite(table[i].first) || !std::isfinite(table[i].second))
      throw std::invalid_argument("the table of a background must be finite");
    if (i > 0 && !(table[i].first - table[i - 1].first > 1e-9 * (table.back().first - table.front().first)))
      throw std::invalid_argument(
          "the table of a background must ascend in sin(theta)/lambda, by 1e-9 of its range or more");
  }
  amplitude_ = std::make_shared<const AmplitudeCurve>(table);
  for (const AmplitudePiece& piece : amplitude_->pieces)
    for (double c : piece.coefficient)
      if (!std::isfinite(c))
        throw std::invalid_argument("the points of a background's table are too close to each other, or too large");
}

void add_background(Workspace& workspace, Image& image, const Detector& detector, const Sources& sources,
                    const Amorphous& amorphous) {
  const Calculation calculation(workspace, "nanobragg::background::add_background");
  if (image.size() != detector.n_pixels()) throw std::invalid_argument("the image does not have the detector's pixels");
  const double n_rays = detector.n_rays();
  const bool summed = worth_a_sum(n_rays, sources, *amorphous.amplitude());
  const PixelTable& rays = detector.on_device().table;
  const SourceTable& source_table = sources.on_device().table;
  const IntensityCurves curves =
      workspace.on_device().scratch<TabulatedCurves>().of(calculation.space(), amorphous.amplitude(), sources, summed);
  const double scale = thomson_cross_section * sources.fluence() * amorphous.molecules();
  if (n_rays == double(detector.n_pixels()))
    run(calculation.space(), AddBackground<true>{image.on_device().pixels, rays, source_table, curves, summed, scale});
  else
    run(calculation.space(), AddBackground<false>{image.on_device().pixels, rays, source_table, curves, summed, scale});
  calculation.space().fence("nanobragg::background");
}

}  // namespace nanobragg
