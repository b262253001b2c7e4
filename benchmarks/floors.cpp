#include <algorithm>

#include "floors.h"

namespace nanobragg {
namespace {

constexpr double background_bytes = 16;  // a pixel: read and written
constexpr double sum_bytes = 24;         // a pixel: that of the other image read, too
constexpr double response_bytes = 10;    // a pixel: photons read, counts written

// Of a block and direction: the Miller indices at wavenumber 1, three products of vectors.
constexpr double operations_a_product = 9;
// Of a wavelength, a block and a direction: along each axis the index added to a constant that rounds it, the nearest
// integer, the rest (3), the rest times the squared number of cells, and that times the rest added up (2); in the end
// one comparison.
constexpr double operations_a_wavelength = 3 * (3 + 2) + 1;

// Of a pixel with photon noise and readout noise, in double precision, as poisson.h, normal.h and response_kernel.h of
// the core have them.
constexpr double operations_a_poisson_number = 2 + 1 + 13 + 2 + 5 * 5 - 2 + 1 + 1;
constexpr double operations_a_normal_pair = 1 + 19 + 2 + 5 + 2 * 9 + 2;
constexpr double operations_a_count = operations_a_poisson_number + 0.5 * operations_a_normal_pair + 7;

}  // namespace

double floor_seconds(const Workload& workload, const std::string& step, const std::string& of,
                     const Ceilings& ceilings) {
  if (workload.small) return 0;  // it stays in caches, and is over before the threads are awake
  const double pixels = double(workload.n_pixels());
  if (step == "background") return pixels * background_bytes / ceilings.bytes_per_second;
  if (step == "sum") return pixels * sum_bytes / ceilings.bytes_per_second;
  if (step == "response" && of == "noise")
    return pixels * std::max(response_bytes / ceilings.bytes_per_second, operations_a_count / ceilings.fma_per_second);
  // Shapes that do not end need more than a comparison, how much more depends on how sines are computed.
  const bool ends = workload.shape != "square" && workload.shape != "round";
  if (step != "spots" || of != "pixel" || !ends) return 0;
  const double blocks = double(workload.blocks.size()) * workload.rotation_steps;
  const double operations =
      pixels * blocks * (operations_a_product + operations_a_wavelength * double(workload.wavelengths_A.size()));
  return operations / ceilings.fma_per_second;
}

}  // namespace nanobragg
