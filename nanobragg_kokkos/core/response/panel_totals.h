// The photons of each panel, added up in an order that depends on its size alone, and its darkest pixel.
#ifndef NANOBRAGG_KOKKOS_CORE_RESPONSE_PANEL_TOTALS_H
#define NANOBRAGG_KOKKOS_CORE_RESPONSE_PANEL_TOTALS_H

#include <cfloat>
#include <cstdint>

#include <nanobragg_kokkos/core/runtime/device_buffers.h>

namespace nanobragg {

// Panels of the same number and size of pixels.
struct AlikePanels {
  int n_fast, n_slow;
  DeviceTable<std::int64_t> first_pixel;  // of each
  KOKKOS_FUNCTION int size() const { return int(first_pixel.extent(0)); }
  KOKKOS_FUNCTION std::int64_t n_pixels() const { return std::int64_t(n_fast) * n_slow; }
};

struct PanelTotal {
  double photons, darkest;
};

// Panels in blocks of pixels, then the blocks of each panel: in both, lane l adds up what comes at l, l + lanes, …, and
// then one half of the lanes is added to the other until one is left.
class PanelTotals {
 public:
  using Team = Kokkos::TeamPolicy<ExecutionSpace>::member_type;
  static constexpr int lanes = 64;
  static constexpr std::int64_t block = 4096;

  PanelTotals(const ExecutionSpace& space, const AlikePanels& panels)
      : panels_(panels),
        n_blocks_(int((panels.n_pixels() + block - 1) / block)),
        of_block_(Kokkos::view_alloc(space, "nanobragg::psf::blocks", Kokkos::WithoutInitializing),
                  n_blocks_ * panels.size()),
        of_panel_(Kokkos::view_alloc(space, "nanobragg::psf::totals", Kokkos::WithoutInitializing), panels.size()) {}

  DeviceBuffer<const PanelTotal> of(const ExecutionSpace& space, const DeviceBuffer<const double>& photons) const {
    run(space, "nanobragg::psf::sum_blocks", of_block_, SumBlock{panels_, n_blocks_, photons, of_block_});
    run(space, "nanobragg::psf::sum_panels", of_panel_, SumPanel{n_blocks_, of_block_, of_panel_});
    return of_panel_;
  }

  struct SumBlock {
    AlikePanels panels;
    int n_blocks;
    DeviceBuffer<const double> photons;
    DeviceBuffer<PanelTotal> totals;
    KOKKOS_FUNCTION void operator()(const Team& team) const {
      const int panel = team.league_rank() / n_blocks;
      const std::int64_t begin = team.league_rank() % n_blocks * block, left = panels.n_pixels() - begin;
      const double* const first = &photons(panels.first_pixel(panel) + begin);
      const auto term = [=](int i) { return PanelTotal{first[i], first[i]}; };
      sum(team, int(left < block ? left : block), term, totals(team.league_rank()));
    }
  };

  struct SumPanel {
    int n_blocks;
    DeviceBuffer<const PanelTotal> blocks;
    DeviceBuffer<PanelTotal> totals;
    KOKKOS_FUNCTION void operator()(const Team& team) const {
      const PanelTotal* const first = &blocks(team.league_rank() * n_blocks);
      sum(team, n_blocks, [=](int i) { return first[i]; }, totals(team.league_rank()));
    }
  };

 private:
  AlikePanels panels_;
  int n_blocks_;
  DeviceBuffer<PanelTotal> of_block_, of_panel_;

  template <class Kernel>
  static void run(const ExecutionSpace& space, const char* name, const DeviceBuffer<PanelTotal>& totals,
                  const Kernel& kernel) {
    Kokkos::TeamPolicy<ExecutionSpace> policy(space, int(totals.extent(0)), host_is_device ? 1 : lanes);
    policy.set_scratch_size(0, Kokkos::PerTeam(int(TeamBuffer<PanelTotal>::shmem_size(lanes))));
    Kokkos::parallel_for(name, light_weight(policy), kernel);
  }

  KOKKOS_FORCEINLINE_FUNCTION static void add(PanelTotal& total, const PanelTotal& more) {
    total.photons += more.photons;
    total.darkest = more.darkest < total.darkest ? more.darkest : total.darkest;
  }

  template <class Term>
  KOKKOS_FORCEINLINE_FUNCTION static void sum(const Team& team, int n, const Term& term, PanelTotal& total) {
    const TeamBuffer<PanelTotal> lane(team.team_scratch(0), lanes);
    if constexpr (host_is_device) {
      double photons[lanes] = {}, darkest[lanes];
      for (int l = 0; l < lanes; ++l) darkest[l] = DBL_MAX;
      const auto add_from = [&](int first, int many) {
        for (int l = 0; l < many; ++l) {
          const PanelTotal more = term(first + l);
          photons[l] += more.photons;
          darkest[l] = more.darkest < darkest[l] ? more.darkest : darkest[l];
        }
      };
      const int whole = n / lanes * lanes;
      for (int first = 0; first < whole; first += lanes) add_from(first, lanes);
      add_from(whole, n - whole);
      for (int l = 0; l < lanes; ++l) lane(l) = {photons[l], darkest[l]};
    } else {
      Kokkos::parallel_for(Kokkos::TeamThreadRange(team, int(lanes)), [&](int l) {
        PanelTotal mine{0, DBL_MAX};
        for (int i = l; i < n; i += lanes) add(mine, term(i));
        lane(l) = mine;
      });
      team.team_barrier();
    }
    for (int half = lanes / 2; half > 0; half /= 2) {
      Kokkos::parallel_for(Kokkos::TeamThreadRange(team, half), [&](int l) { add(lane(l), lane(l + half)); });
      team.team_barrier();
    }
    Kokkos::single(Kokkos::PerTeam(team), [&]() { total = lane(0); });
  }
};

}  // namespace nanobragg
#endif
