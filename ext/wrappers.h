// Each of these registers one class, or a group of functions, with Python: wrap_NAME is in NAME.cpp.
#ifndef NANOBRAGG_KOKKOS_EXT_WRAPPERS_H
#define NANOBRAGG_KOKKOS_EXT_WRAPPERS_H

void wrap_amorphous();
void wrap_blur();
void wrap_counts();
void wrap_crystal();
void wrap_detector();
void wrap_host_array();
void wrap_image();
void wrap_jacobian();
void wrap_point_spread();
void wrap_readout();
void wrap_runtime();
void wrap_sources();
void wrap_spots();
void wrap_structure_factors();
void wrap_tangents();
void wrap_workload();
void wrap_workspace();

#endif
