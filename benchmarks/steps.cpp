#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <nanobragg_kokkos/core/response/readout.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>
#include <nanobragg_kokkos/core/spots/spots.h>

#include "models.h"
#include "steps.h"

namespace nanobragg {
namespace {

using Visit = std::function<void(const Step&)>;

bool among(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool chosen(const Workload& w, const Arguments& arguments, const std::string& step) {
  if (step == "transfer" && backend().device == "host") return false;
  return among(w.steps, step) && among(arguments.steps, step);
}

std::vector<std::string> chosen_engines(const Workload& w, const Arguments& arguments) {
  std::vector<std::string> engines;
  for (const std::string& engine : w.engines)
    if (among(arguments.engines, engine)) engines.push_back(engine);
  return engines;
}

// What all steps of a workload share: models, and an image that they write to.
struct Bench {
  const Workload& workload;
  const Visit& visit;
  Detector detector = detector_of(workload);
  Sources sources = sources_of(workload);
  Amorphous water = water_of(workload), air = air_of(workload);
  Workspace workspace{};
  Image image{workspace, detector.n_pixels()};

  // Gives a step of expected photons, which run adds to a dark image.
  void visit_dark(const std::string& name, const std::string& engine, const std::string& sample,
                  std::function<void()> run) {
    visit({name, engine, sample, [this] { image.clear(workspace); }, std::move(run),
           [this] { return contents(image.on_host(workspace).get(), image.size()); }});
  }
};

void visit_spots(Bench& b, const std::vector<std::string>& engines) {
  const Crystal crystal = crystal_of(b.workload);
  const StructureFactors structure_factors = structure_factors_of(b.workload);
  for (const std::string& engine : engines)
    b.visit_dark("spots", engine, "", [&, pixel = engine == "pixel"] {
      if (pixel)
        add_spots_pixel_driven(b.workspace, b.image, {b.detector, b.sources, crystal, structure_factors},
                               Interpolation::nearest);
      else
        add_spots_reflection_driven(b.workspace, b.image, {b.detector, b.sources, crystal, structure_factors},
                                    Interpolation::nearest);
    });
}

void visit_background(Bench& b) {
  for (const auto& [sample, amorphous] : {std::pair("water", &b.water), std::pair("air", &b.air)})
    b.visit_dark("background", "", sample,
                 [&b, a = amorphous] { add_background(b.workspace, b.image, b.detector, b.sources, *a); });
}

void visit_sum(Bench& b) {
  Image more(b.workspace, b.detector.n_pixels());
  add_background(b.workspace, more, b.detector, b.sources, b.water);
  b.visit_dark("sum", "", "", [&] { b.image.add(b.workspace, more); });
}

// Images from the crystal to the counts, as a job makes them: what they have in common is kept.
class WholeImage {
 public:
  explicit WholeImage(Bench& bench)
      : b_(bench), structure_factors_(structure_factors_of(b_.workload)), background_(b_.workspace, b_.image.size()) {
    for (const Amorphous* sample : {&b_.water, &b_.air})
      add_background(b_.workspace, background_, b_.detector, b_.sources, *sample);
  }

  void visit_response(const char* sample) {
    Readout readout = readout_of(sample);
    simulate(0);
    visit("response", sample, [this] { finish(); }, [&] { start(readout, 0); });
  }

  void visit_transfer() {
    Readout readout = readout_of("noise");
    simulate(0);
    visit(
        "transfer", "",
        [&] {
          finish();
          start(readout, 0);
        },
        [this] { counts_->on_host(); });
  }

  // The counts of an image are waited for when the next one has been started; those of the last one in the next run.
  void visit_image(const char* sample) {
    Readout readout = readout_of(sample);
    visit(
        "image", sample, [] {},
        [&] {
          for (int i = 0; i < b_.workload.images; ++i) {
            simulate(i);
            const std::optional<Counts> earlier = counts_;
            start(readout, i);
            if (earlier) earlier->on_host();
          }
        },
        b_.workload.images);
  }

 private:
  static constexpr std::uint64_t seed = 1;

  Readout readout_of(const std::string& sample) const {
    const DetectorResponse response = response_of(b_.workload, sample == "noise+psf");
    return Readout(b_.workspace, b_.detector, response, {CountType::uint16, b_.workload.saturation});
  }

  // Expected photons of an image of the batch.
  void simulate(int number) {
    const Crystal crystal = crystal_of(b_.workload, number);
    b_.image.clear(b_.workspace);
    b_.image.add(b_.workspace, background_);
    add_spots_reflection_driven(b_.workspace, b_.image, {b_.detector, b_.sources, crystal, structure_factors_},
                                Interpolation::nearest);
  }

  void start(Readout& readout, int number) {
    counts_ = readout.start(b_.workspace, b_.image, seed, std::uint32_t(number));
  }

  // Gives back the memory, too, which the next image would else have to allocate.
  void finish() {
    if (counts_) counts_->on_host();
    counts_.reset();
  }

  void visit(const char* name, const char* sample, std::function<void()> prepare, std::function<void()> run,
             int images = 1) {
    b_.visit({name, "", sample, std::move(prepare), std::move(run),
              [this] {
                const std::shared_ptr<const void> counts = counts_->on_host();
                return contents(static_cast<const std::uint16_t*>(counts.get()), b_.image.size());
              },
              images});
    finish();
  }

  Bench& b_;
  StructureFactors structure_factors_;
  Image background_;
  std::optional<Counts> counts_;  // of the latest image
};

}  // namespace

bool has_steps(const Workload& w, const Arguments& arguments) {
  return std::any_of(arguments.steps.begin(), arguments.steps.end(), [&](const std::string& step) {
    return chosen(w, arguments, step) && (step != "spots" || !chosen_engines(w, arguments).empty());
  });
}

void visit_steps(const Workload& w, const Arguments& arguments, const Visit& visit) {
  const auto wanted = [&](const char* step) { return chosen(w, arguments, step); };
  Bench bench{w, visit};
  // Structure factors take most of the set-up, a second image as much memory as the first: made where needed.
  if (wanted("spots")) visit_spots(bench, chosen_engines(w, arguments));
  if (wanted("background")) visit_background(bench);
  if (wanted("sum")) visit_sum(bench);
  if (!wanted("response") && !wanted("transfer") && !wanted("image")) return;
  WholeImage whole(bench);
  const auto samples = {"noise", "noise+psf"};
  if (wanted("response"))
    for (const char* sample : samples) whole.visit_response(sample);
  if (wanted("transfer")) whole.visit_transfer();
  if (wanted("image"))
    for (const char* sample : samples) whole.visit_image(sample);
}

}  // namespace nanobragg
