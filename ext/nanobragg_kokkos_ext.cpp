// The core's models and functions for Python: dxtbx's, scitbx's and cctbx's types in, NumPy out.  Units change here,
// from the toolkit's (angstrom, mm, degrees) to the core's metres and radians; nothing is computed.
#include <boost/python.hpp>

#include "wrappers.h"

BOOST_PYTHON_MODULE(nanobragg_kokkos_ext) {
  wrap_runtime();
  wrap_workspace();
  wrap_detector();
  wrap_sources();
  wrap_crystal();
  wrap_structure_factors();
  wrap_amorphous();
  wrap_host_array();
  wrap_image();
  wrap_spots();
  wrap_tangents();
  wrap_jacobian();
  wrap_point_spread();
  wrap_blur();
  wrap_counts();
  wrap_readout();
  wrap_workload();
}
