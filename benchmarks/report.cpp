#include <cmath>
#include <cstdio>
#include <fstream>

#include "report.h"

#ifndef NANOBRAGG_KOKKOS_VERSION
#define NANOBRAGG_KOKKOS_VERSION "unknown"
#endif

namespace nanobragg {
namespace {

template <class... Values>
std::string formatted(const char* format, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

// What Linux calls the processor.
std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos)
      return line.substr(line.find(": ") + 2);
  return "unknown";
}

// Of things done in a second: 1.52 G evaluations/s.
std::string rate(double per_second, const char* of_what) {
  const char* const prefixes[] = {"", "k ", "M ", "G ", "T "};
  int i = 0;
  for (; i < 4 && per_second >= 1000; ++i) per_second /= 1000;
  return formatted("%.3g %s%s/s", per_second, prefixes[i], of_what);
}

bool pixel_driven(const Result& r) { return r.step == "spots" && r.engine == "pixel"; }
bool moves_counts(const Result& r) { return r.step == "transfer"; }

class JsonObject {
 public:
  void text(const char* name, const std::string& value) {
    std::string quoted = "\"";
    for (const char c : value) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += (unsigned char)(c) < 32 ? ' ' : c;
    }
    add(name, quoted + "\"");
  }
  void text_or_null(const char* name, const std::string& value) {
    value.empty() ? add(name, "null") : text(name, value);
  }
  void number(const char* name, double value) { add(name, std::isfinite(value) ? formatted("%.15g", value) : "null"); }
  void number_or_null(const char* name, double value) { value == 0 ? add(name, "null") : number(name, value); }
  std::string str() const { return "{" + members_ + "}"; }

 private:
  void add(const char* name, const std::string& value) {
    members_ += std::string(members_.empty() ? "" : ", ") + "\"" + name + "\": " + value;
  }
  std::string members_;
};

}  // namespace

Machine this_machine() { return {backend(), processor_name(), NANOBRAGG_KOKKOS_VERSION, measure_ceilings()}; }

std::string heading(const Machine& m) {
  const Backend& b = m.backend;
  return "nanobragg_kokkos " + m.version + ", C++; Kokkos " + b.kokkos_version + ", " + b.name +
         ", threads: " + std::to_string(b.threads) + ", device: " + (b.device == "host" ? m.processor : b.device) +
         formatted("\nCeilings: memory %.4g GB/s, arithmetic %.4g G fused multiply-adds/s\n\n",
                   m.ceilings.bytes_per_second * 1e-9, m.ceilings.fma_per_second * 1e-9) +
         formatted("%-32s%-11s%-11s%5s%11s%11s%11s%11s  %-22s%9s%10s%9s\n", "workload", "step", "of", "runs",
                   "median ms", "min ms", "max ms", "first ms", "rate", "of floor", "memory", "of base");
}

std::string line(const Result& r) {
  const Workload& w = r.workload;
  std::string label = w.name;
  if (!w.scaled.empty()) label += " " + w.scaled;
  if (w.factor > 1) label += " x" + std::to_string(w.factor);
  const std::string speed = pixel_driven(r)   ? rate(w.evaluations() / r.timing.median, "evaluations")
                            : moves_counts(r) ? rate(w.bytes_of_counts() / r.timing.median, "bytes")
                                              : rate(double(w.n_pixels()) / r.timing.median, "pixels");
  return formatted("%-32s%-11s%-11s%5d%11.3f%11.3f%11.3f%11.3f  %-22s", label.c_str(), r.step.c_str(),
                   (r.engine + r.sample).c_str(), r.timing.runs, r.timing.median * 1e3, r.timing.least * 1e3,
                   r.timing.most * 1e3, r.timing.first * 1e3, speed.c_str()) +
         (r.floor > 0 ? formatted("%7.1f %%", 100 * r.floor / r.timing.median) : formatted("%9s", "-")) +
         (r.device_memory > 0 ? formatted("%7.0f MB", double(r.device_memory) * 1e-6) : formatted("%10s", "-")) +
         (r.of_base > 0 ? formatted("%9.2f", r.of_base) : formatted("%9s", "-")) + "\n";
}

std::string json(const Machine& m, const std::vector<Result>& results) {
  JsonObject machine;
  machine.text("program", "C++");
  machine.text("version", m.version);
  machine.text("backend", m.backend.name);
  machine.text("device", m.backend.device);
  machine.number("threads", m.backend.threads);
  machine.text("processor", m.processor);
  machine.text("kokkos", m.backend.kokkos_version);
  machine.text("compiler", m.backend.compiler);
  machine.number("bytes_per_s", m.ceilings.bytes_per_second);
  machine.number("fma_per_s", m.ceilings.fma_per_second);
  std::string rows;
  for (const Result& r : results) {
    const double evaluations = pixel_driven(r) ? r.workload.evaluations() : 0, pixels = double(r.workload.n_pixels());
    const double bytes = moves_counts(r) ? r.workload.bytes_of_counts() : 0;
    JsonObject row;
    row.text("workload", r.workload.name);
    row.text_or_null("scaled", r.workload.scaled);
    row.number("factor", r.workload.factor);
    row.number_or_null("of_base", r.of_base);
    row.text("step", r.step);
    row.text_or_null("engine", r.engine);
    row.text_or_null("sample", r.sample);
    row.text("backend", m.backend.name);
    row.number("threads", m.backend.threads);
    row.number("runs", r.timing.runs);
    row.number("median_ms", r.timing.median * 1e3);
    row.number("min_ms", r.timing.least * 1e3);
    row.number("max_ms", r.timing.most * 1e3);
    row.number("first_ms", r.timing.first * 1e3);
    row.number("pixels", pixels);
    row.number("pixels_per_s", pixels / r.timing.median);
    row.number_or_null("evaluations", evaluations);
    row.number_or_null("evaluations_per_s", evaluations / r.timing.median);
    row.number_or_null("bytes", bytes);
    row.number_or_null("bytes_per_s", bytes / r.timing.median);
    row.number_or_null("floor_ms", r.floor * 1e3);
    row.number_or_null("fraction_of_floor", r.floor / r.timing.median);
    row.number_or_null("device_memory_MB", double(r.device_memory) * 1e-6);
    row.number("photons", r.contents.photons);
    row.number("brightest", r.contents.brightest);
    row.number("checksum", r.contents.checksum);
    rows += (rows.empty() ? "\n  " : ",\n  ") + row.str();
  }
  return "{\n \"machine\": " + machine.str() + ",\n \"results\": [" + rows + "\n ]\n}\n";
}

}  // namespace nanobragg
