"""What a run wrote, on one page: see nanobragg_kokkos.report."""
