// Times the steps of an image with the core alone: for machines without Python and cctbx.
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../nanobragg_kokkos/core/device_memory.h"
#include "../nanobragg_kokkos/core/spots.h"
#include "arguments.h"
#include "floors.h"
#include "measurement.h"
#include "models.h"
#include "report.h"

namespace nanobragg {
namespace {

bool among(const std::vector<std::string>& words, const std::string& word) {
  for (const std::string& w : words)
    if (w == word) return true;
  return false;
}

// What is timed: one step of an image, by one engine or of one sample.
struct Step {
  std::string name, engine, sample;
  std::function<void()> run;
};

// The models of a workload; an image that the steps write to.
class Bench {
 public:
  explicit Bench(const Workload& w)
      : workload_(w), detector_(detector_of(w)), sources_(sources_of(w)), crystal_(crystal_of(w)), water_(water_of(w)),
        air_(air_of(w)), image_(detector_.n_pixels()) {}

  std::vector<Result> measure_all(const Arguments& arguments) {
    std::vector<Result> results;
    // Structure factors take most of the set-up, a second image as much memory as the first: made where needed.
    if (chosen(arguments, "spots")) {
      const StructureFactors structure_factors = structure_factors_of(workload_);
      for (const std::string& engine : workload_.engines) {
        if (!among(arguments.engines, engine)) continue;
        results.push_back(measured({"spots", engine, "", [&, pixel = engine == "pixel"] {
          if (pixel)
            add_spots_pixel_driven(image_, detector_, sources_, crystal_, structure_factors, Interpolation::nearest);
          else
            add_spots_reflection_driven(image_, detector_, sources_, crystal_, structure_factors, Interpolation::nearest);
        }}, arguments));
      }
    }
    if (chosen(arguments, "background"))
      for (const auto& [sample, amorphous] : {std::pair("water", &water_), std::pair("air", &air_)})
        results.push_back(measured({"background", "", sample, [this, a = amorphous] {
          add_background(image_, detector_, sources_, *a);
        }}, arguments));
    if (chosen(arguments, "sum")) {
      Image more(detector_.n_pixels());
      add_background(more, detector_, sources_, water_);
      results.push_back(measured({"sum", "", "", [&] { image_.add(more); }}, arguments));
    }
    return results;
  }

 private:
  bool chosen(const Arguments& arguments, const char* step) const {
    return among(arguments.steps, step) && among(workload_.steps, step);
  }

  Result measured(const Step& step, const Arguments& arguments) {
    Result result;
    result.workload = workload_;
    result.step = step.name, result.engine = step.engine, result.sample = step.sample;
    peak_memory();
    result.timing = measure([this] { image_.clear(); }, step.run, arguments.runs, arguments.limit);
    result.device_memory = peak_memory();
    result.contents = contents(image_);
    return result;
  }

  const Workload& workload_;
  Detector detector_;
  Sources sources_;
  Crystal crystal_;
  Amorphous water_, air_;
  Image image_;
};

void require_something_to_measure(const Arguments& arguments) {
  for (const std::string& name : arguments.workloads)
    for (const Workload& w : workloads(name, arguments.small))
      for (const std::string& step : w.steps) {
        if (!among(arguments.steps, step)) continue;
        if (step != "spots") return;
        for (const std::string& engine : w.engines)
          if (among(arguments.engines, engine)) return;
      }
  std::string wanted;
  for (const std::string& engine : arguments.engines) wanted += (wanted.empty() ? "" : "+") + engine;
  throw std::invalid_argument("engine=" + wanted + ": expected another engine or step, with these there is nothing to " +
                              "measure in workload=" + arguments.workloads.front());
}

// Written under another name first: there is a whole file in the end, or none.
class JsonFile {
 public:
  explicit JsonFile(std::string path) : path_(std::move(path)), temporary_(path_ + ".part") {
    if (path_.empty()) return;
    require(!std::ifstream(path_ + "/."));                     // a directory
    file_.open(temporary_);
    require(bool(file_));
  }
  ~JsonFile() {
    if (!path_.empty()) std::remove(temporary_.c_str());       // no longer there if all went well
  }
  JsonFile(const JsonFile&) = delete;
  JsonFile& operator=(const JsonFile&) = delete;

  void write(const std::string& text) {
    if (path_.empty()) return;
    file_ << text;
    file_.close();
    require(bool(file_) && std::rename(temporary_.c_str(), path_.c_str()) == 0);
  }

 private:
  void require(bool good) const {
    if (!good)
      throw std::invalid_argument("json=" + path_ + ": expected the name of a file that can be written");
  }
  std::string path_, temporary_;
  std::ofstream file_;
};

void run(const Arguments& arguments) {
  require_something_to_measure(arguments);
  JsonFile file(arguments.json);
  watch_memory();
  const Machine machine = this_machine();
  std::fputs(heading(machine).c_str(), stdout);
  std::vector<Result> results;
  for (const std::string& name : arguments.workloads) {
    double base = 0;
    for (const Workload& workload : workloads(name, arguments.small))
      for (Result& result : Bench(workload).measure_all(arguments)) {
        if (workload.scaled == "base") base = result.timing.median;
        if (base > 0) result.of_base = result.timing.median / base;
        result.floor = floor_seconds(workload, result.step, result.engine, machine.ceilings);
        if (machine.backend.device == "host") result.device_memory = 0;        // where images are not counted
        std::fputs(line(result).c_str(), stdout);
        std::fflush(stdout);
        results.push_back(result);
      }
  }
  file.write(json(machine, results));
}

}  // namespace
}  // namespace nanobragg

int main(int argc, char** argv) {
  int code = 0;
  try {
    const nanobragg::Arguments arguments = nanobragg::parse(argc, argv);
    if (arguments.help) std::fputs(nanobragg::help_text().c_str(), stdout);
    else nanobragg::run(arguments);
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "nanobragg_kokkos_benchmark: %s\n", error.what());
    code = 1;
  }
  nanobragg::stop();
  return code;
}
