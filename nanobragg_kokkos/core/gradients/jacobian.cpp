#include <nanobragg_kokkos/core/gradients/jacobian.h>

namespace nanobragg {

Jacobian::Jacobian(Workspace& workspace, std::size_t n_parameters, std::size_t n_pixels)
    : n_parameters_(n_parameters), image_(workspace, n_pixels), derivatives_(workspace, n_parameters * n_pixels) {}

void Jacobian::clear(Workspace& workspace) {
  image_.clear(workspace);
  derivatives_.clear(workspace);
}

}  // namespace nanobragg
