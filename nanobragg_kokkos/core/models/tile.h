// A tile of a panel: a square of pixels that engines process together.
#ifndef NANOBRAGG_KOKKOS_CORE_MODELS_TILE_H
#define NANOBRAGG_KOKKOS_CORE_MODELS_TILE_H

#include <nanobragg_kokkos/core/models/detector_on_device.h>

namespace nanobragg {

constexpr int pixels_of_tile = tile_side * tile_side;

struct Tile {
  const DevicePanel& panel;
  int fast, slow;      // of the first pixel
  int n_fast, n_slow;  // pixels of the panel from there on: less than a tile's side at the edges
  KOKKOS_FUNCTION Tile(const PixelTable& rays, int tile) : panel(rays.panels(rays.panel_of_tile(tile))) {
    const int in_panel = tile - panel.first_tile;
    fast = in_panel % panel.tiles_fast * tile_side, slow = in_panel / panel.tiles_fast * tile_side;
    n_fast = panel.n_fast - fast, n_slow = panel.n_slow - slow;
  }
  KOKKOS_FUNCTION std::int64_t pixel(int from_first, int rows_below) const {
    return panel.first_pixel + std::int64_t(slow + rows_below) * panel.n_fast + fast + from_first;
  }
};

}  // namespace nanobragg
#endif
