#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <stdexcept>

#include "arguments.h"
#include "workloads.h"

namespace nanobragg {
namespace {

std::invalid_argument refused(const std::string& name, const std::string& value, const std::string& expected) {
  return std::invalid_argument(name + "=" + value + ": expected " + expected);
}

// Splits words with + between them, each of which must be known.
std::vector<std::string> choice(const std::string& name, const std::string& value,
                                const std::vector<std::string>& known) {
  std::vector<std::string> chosen;
  for (std::size_t begin = 0; begin <= value.size();) {
    const std::size_t end = std::min(value.find('+', begin), value.size());
    const std::string word = value.substr(begin, end - begin);
    if (std::find(known.begin(), known.end(), word) == known.end())
      throw refused(name, value, joined(known, ", ") + ", or several with + between them");
    if (std::find(chosen.begin(), chosen.end(), word) == chosen.end()) chosen.push_back(word);
    begin = end + 1;
  }
  return chosen;
}

double number(const std::string& value) {
  char* end = nullptr;
  const double x = std::strtod(value.c_str(), &end);
  return end == value.c_str() || *end != 0 ? std::numeric_limits<double>::quiet_NaN() : x;
}

}  // namespace

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : between) + word;
  return all;
}

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "-h" || argument == "--help") {
      arguments.help = true;
      return arguments;
    }
    const std::size_t equals = argument.find('=');
    if (equals == std::string::npos) throw std::invalid_argument(argument + ": expected --help or name=value");
    const std::string name = argument.substr(0, equals), value = argument.substr(equals + 1);
    if (name == "workload") {
      std::vector<std::string> known = workload_names();
      known.push_back("all");
      arguments.workloads = choice(name, value, known);
      if (std::find(arguments.workloads.begin(), arguments.workloads.end(), "all") != arguments.workloads.end())
        arguments.workloads = workload_names();
    } else if (name == "step") {
      arguments.steps = choice(name, value, Arguments().steps);
    } else if (name == "engine") {
      arguments.engines = choice(name, value, Arguments().engines);
    } else if (name == "runs") {
      const double runs = number(value);
      if (!(runs >= 1 && runs <= 1e6 && runs == std::floor(runs)))
        throw refused(name, value, "a whole number, 1 or more (at most 1000000)");
      arguments.runs = int(runs);
    } else if (name == "limit") {
      arguments.limit = number(value);
      if (!(arguments.limit > 0 && std::isfinite(arguments.limit))) throw refused(name, value, "more than 0 s");
    } else if (name == "small") {
      if (value != "True" && value != "False") throw refused(name, value, "True or False");
      arguments.small = value == "True";
    } else if (name == "json") {
      if (value.empty()) throw refused(name, value, "the name of a file");
      arguments.json = value;
    } else {
      throw std::invalid_argument(name +
                                  ": there is no such parameter; there are workload, step, engine, runs, limit, "
                                  "small, json");
    }
  }
  return arguments;
}

std::string help_text() {
  const Arguments d;
  return "Times the steps of simulating an image.\n\n"
         "Usage: nanobragg_kokkos_benchmark [name=value] ...\n\n"
         "  workload   " +
         joined(workload_names(), ", ") +
         " or all,\n"
         "             or several with + between them (" +
         joined(d.workloads, "+") +
         ")\n"
         "  step       steps of an image, one or several; transfer: on a GPU only\n"
         "             (" +
         joined(d.steps, "+") +
         ")\n"
         "  engine     engines of the Bragg spots, one or both (" +
         joined(d.engines, "+") +
         ")\n"
         "  runs       number of measurements of each step, after one to warm up (" +
         std::to_string(d.runs) +
         ")\n"
         "  limit      seconds after which a step is not measured again; the first run counts if it alone takes as\n"
         "             long (" +
         std::to_string(int(d.limit)) +
         ")\n"
         "  small      True: small versions of the workloads, for tests; their times mean nothing (False)\n"
         "  json       file to write the results to (none)\n";
}

}  // namespace nanobragg
