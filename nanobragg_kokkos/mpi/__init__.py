"""Sharing of work and memory among MPI ranks."""
