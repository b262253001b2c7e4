// Times the steps of an image with the core alone: for machines without Python and cctbx.
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <nanobragg_kokkos/core/runtime/device_memory.h>
#include <nanobragg_kokkos/core/runtime/runtime.h>

#include "arguments.h"
#include "floors.h"
#include "measurement.h"
#include "report.h"
#include "steps.h"

namespace nanobragg {
namespace {

void require_something_to_measure(const Arguments& arguments) {
  for (const std::string& name : arguments.workloads)
    for (const Workload& w : workloads(name, arguments.small))
      if (has_steps(w, arguments)) return;
  throw std::invalid_argument("workload=" + joined(arguments.workloads, "+") + ", step=" +
                              joined(arguments.steps, "+") + " and engine=" + joined(arguments.engines, "+") +
                              ": expected at least one step that these workloads have on this device");
}

Result measured(const Workload& workload, const Step& step, const Arguments& arguments) {
  Result result;
  result.workload = workload;
  result.step = step.name, result.engine = step.engine, result.sample = step.sample;
  peak_memory();  // forgets what was before
  result.timing = measure(step.prepare, step.run, arguments.runs, arguments.limit, step.images);
  result.device_memory = peak_memory();
  result.contents = step.contents();
  return result;
}

// A file that appears only when it is complete: it is written under another name first.
class JsonFile {
 public:
  explicit JsonFile(std::string path) : path_(std::move(path)), temporary_(path_ + ".part") {
    if (path_.empty()) return;
    require(!std::ifstream(path_ + "/."));  // a directory
    file_.open(temporary_);
    require(bool(file_));
  }
  ~JsonFile() {
    if (!path_.empty()) std::remove(temporary_.c_str());  // no longer there if all went well
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
    if (!good) throw std::invalid_argument("json=" + path_ + ": expected the name of a file that can be written");
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
      visit_steps(workload, arguments, [&](const Step& step) {
        Result result = measured(workload, step, arguments);
        if (workload.scaled == "base") base = result.timing.median;
        if (base > 0) result.of_base = result.timing.median / base;
        result.floor = floor_seconds(workload, result.step, result.engine + result.sample, machine.ceilings);
        if (machine.backend.device == "host") result.device_memory = 0;  // where images are not counted
        std::fputs(line(result).c_str(), stdout);
        std::fflush(stdout);
        results.push_back(result);
      });
  }
  file.write(json(machine, results));
}

}  // namespace
}  // namespace nanobragg

int main(int argc, char** argv) {
  int code = 0;
  try {
    const nanobragg::Arguments arguments = nanobragg::parse(argc, argv);
    if (arguments.help)
      std::fputs(nanobragg::help_text().c_str(), stdout);
    else
      nanobragg::run(arguments);
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::fprintf(stderr, "nanobragg_kokkos_benchmark: %s\n", error.what());
    code = 1;
  }
  nanobragg::stop();
  return code;
}
