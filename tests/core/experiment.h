// A small experiment that several tests share.
#ifndef NANOBRAGG_KOKKOS_TESTS_CORE_EXPERIMENT_H
#define NANOBRAGG_KOKKOS_TESTS_CORE_EXPERIMENT_H

#include <nanobragg_kokkos/core/models/detector.h>
#include <nanobragg_kokkos/core/runtime/workspace.h>

// Where tests compute that need no other.
inline nanobragg::Workspace& workspace() {
  static nanobragg::Workspace all;
  return all;
}

// Perpendicular to the beam (which flies along -z), 100 mm away, centred on it.
inline nanobragg::Panel flat_panel(int n_fast, int n_slow, double pixel = 1e-4) {
  nanobragg::Panel p;
  p.fast = {1, 0, 0};
  p.slow = {0, -1, 0};
  p.pixel_fast = p.pixel_slow = pixel;
  p.n_fast = n_fast;
  p.n_slow = n_slow;
  p.origin = {-n_fast * pixel / 2, n_slow * pixel / 2, -0.1};
  return p;
}

#endif
