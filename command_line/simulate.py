"""Simulates X-ray diffraction images of a crystal: see nanobragg_kokkos.simulate --help."""

from __future__ import annotations

import sys

from nanobragg_kokkos.job import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
