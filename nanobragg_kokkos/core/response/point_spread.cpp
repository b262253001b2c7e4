#include <nanobragg_kokkos/core/response/point_spread.h>

#include <cmath>
#include <map>
#include <mutex>
#include <stdexcept>
#include <tuple>
#include <variant>
#include <vector>

#include <nanobragg_kokkos/core/models/image_on_device.h>
#include <nanobragg_kokkos/core/response/direct_blur.h>
#include <nanobragg_kokkos/core/response/fourier_blur.h>
#include <nanobragg_kokkos/core/runtime/workspace_on_device.h>

namespace nanobragg {
namespace {

// Panels that one kernel serves.
struct Group {
  PanelTotals totals;
  std::variant<DirectBlur, FourierBlur> blur;
};

std::variant<DirectBlur, FourierBlur> blur_of(const ExecutionSpace& space, const AlikePanels& panels,
                                              const SpreadKernel& kernel, BlurMethod method) {
  if (method == BlurMethod::direct) return DirectBlur(space, panels, kernel);
  const FourierPlan plan = fourier_plan(kernel, panels.n_fast, panels.n_slow, panels.size());
  if (method == BlurMethod::automatic &&
      DirectBlur::seconds(kernel, panels.n_fast, panels.n_slow, panels.size()) <= plan.seconds)
    return DirectBlur(space, panels, kernel);
  return FourierBlur(space, panels, kernel, plan);
}

}  // namespace

struct Blur::OnDevice : Resident {
  std::vector<Group> groups;
  std::mutex mutex;  // the groups have intermediate results of their own
  BlurMethod of_panel_0 = BlurMethod::direct;
  void release() noexcept override { groups.clear(); }
};

Blur::Blur(Workspace& workspace, const Detector& detector, const PointSpread& psf, BlurMethod method)
    : on_device_(std::make_shared<OnDevice>()), n_pixels_(detector.n_pixels()) {
  if (!(psf.fwhm > 0 && std::isfinite(psf.fwhm)))
    throw std::invalid_argument("the width of the point-spread function must be positive and finite");
  if (psf.radius < 1) throw std::invalid_argument("the radius of the point-spread function must be at least 1 pixel");
  const Calculation calculation(workspace, "nanobragg::response::prepare_blur");
  const ExecutionSpace& space = calculation.space();
  std::map<std::tuple<double, double, int, int>, std::vector<std::int64_t>> alike;
  for (std::size_t i = 0; i < detector.panels().size(); ++i) {
    const Panel& p = detector.panels()[i];
    alike[{p.pixel_fast, p.pixel_slow, p.n_fast, p.n_slow}].push_back(std::int64_t(detector.first_pixel(i)));
  }
  for (const auto& [size, first_pixels] : alike) {
    const auto& [pixel_fast, pixel_slow, n_fast, n_slow] = size;
    const SpreadKernel kernel = spread_kernel(psf, pixel_fast, pixel_slow, n_fast, n_slow);
    const AlikePanels panels{n_fast, n_slow, to_device(space, "nanobragg::psf::first_pixels", first_pixels)};
    on_device_->groups.push_back({PanelTotals(space, panels), blur_of(space, panels, kernel, method)});
    const bool direct = std::holds_alternative<DirectBlur>(on_device_->groups.back().blur);
    if (first_pixels.front() == 0) on_device_->of_panel_0 = direct ? BlurMethod::direct : BlurMethod::fourier;
  }
}

void Blur::apply(Workspace& workspace, const Image& photons, Image& blurred) const {
  const Calculation calculation(workspace, "nanobragg::response::apply_blur");
  const ExecutionSpace& space = calculation.space();
  if (photons.size() != n_pixels_ || blurred.size() != n_pixels_)
    throw std::invalid_argument(
        "an image does not have the pixels of the detector that the point-spread function is prepared for");
  if (&photons.on_device() == &blurred.on_device()) throw std::invalid_argument("an image cannot be blurred in place");
  const std::lock_guard<std::mutex> lock(on_device_->mutex);
  const DeviceBuffer<const double> from = photons.on_device().pixels;
  for (const Group& group : on_device_->groups)
    std::visit(
        [&](const auto& blur) { blur.apply(space, from, group.totals.of(space, from), blurred.on_device().pixels); },
        group.blur);
  space.fence("nanobragg::psf");
}

BlurMethod Blur::method() const { return on_device_->of_panel_0; }

}  // namespace nanobragg
