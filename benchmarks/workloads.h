// The experiments that are timed, as plain numbers in the toolkit's units: the Python command and the C++ program make
// their models from the same ones.  docs/performance.md lists them.
//
// What is random in them comes from SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), whose n-th number is a function of
// n: the same on every machine.
#ifndef NANOBRAGG_KOKKOS_BENCHMARKS_WORKLOADS_H
#define NANOBRAGG_KOKKOS_BENCHMARKS_WORKLOADS_H

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include <nanobragg_kokkos/core/math/vector.h>

namespace nanobragg {

// Photons are counted at the surface, one ray a pixel.
struct FlatPanel {
  Vec3 origin_mm, fast, slow;
  double pixel_mm = 0;
  int n_fast = 0, n_slow = 0;
};

struct Workload {
  std::string name;  // ends in _small if it is
  bool small = false;
  std::vector<std::string> steps;    // which it is good for; docs/performance.md lists them
  std::vector<std::string> engines;  // which do its spots: pixel, reflection
  std::string scaled;                // of the workload "scaling": what there is factor times as much of
  int factor = 1;

  std::vector<FlatPanel> panels;         // the beam flies along -z
  std::vector<double> wavelengths_A;     // all of the same weight
  int channels = 1;                      // of structure factors: 1, or one a wavelength
  double polarization_fraction = 0.999;  // along x
  double fluence_per_mm2 = 1e15;
  double beam_size_mm = 0.01;
  double water_mm = 0.01, air_mm = 5;

  Vec3 cell_A;  // edges of the orthorhombic cell
  double d_min_A = 0;
  std::vector<Mat3> blocks;  // misorientations of the mosaic blocks
  std::array<int, 3> n_cells{};
  std::string shape;
  double volume_mm3 = 2.7e-8;  // of crystal in the beam: a cube of 3 micrometres
  double rotation_deg = 0;     // about x, during the exposure
  int rotation_steps = 1;

  // Counts have 16 bits; one photon adds one to them.
  double readout_noise = 3, adc_offset = 10, saturation = 65533;
  double spread_fwhm_mm = 0.08;  // of a taper of glass fibres, where there is one
  int spread_radius = 10;        // pixels
  int images = 20;               // of a batch

  std::size_t n_pixels() const;
  double bytes_of_counts() const { return 2.0 * double(n_pixels()); }
  // What the pixel-driven engine is asked: pixels x rays x sources x blocks, the latter in each rotation step.
  double evaluations() const;
};

// The names that workloads() knows.
std::vector<std::string> workload_names();

// The workload of a name; of "scaling": the base and what grows from it.  small: a few thousand pixels, for tests.
// Throws std::invalid_argument for an unknown name.
std::vector<Workload> workloads(const std::string& name, bool small);

// Of the crystal of an image: turns a, b, c from along x, y, z.  From all rotations alike.
Mat3 random_orientation(int image);

// All reflections of the P1 lattice of an orthorhombic cell to d_min, without 0, 0, 0.
std::vector<std::array<int, 3>> reflections(Vec3 cell_A, double d_min_A);

// Amplitudes as of independent atoms placed at random (Wilson's distribution), 100 root mean square, independent in
// each channel.
double random_amplitude(const std::array<int, 3>& hkl, int channel);

}  // namespace nanobragg
#endif
