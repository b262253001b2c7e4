"""The nanobragg_kokkos.benchmark command."""
