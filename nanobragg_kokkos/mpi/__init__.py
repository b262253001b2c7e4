"""Work and memory shared among MPI ranks."""
