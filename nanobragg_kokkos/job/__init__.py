"""The nanobragg_kokkos.simulate command."""
