"""Times the steps of simulating an image: see nanobragg_kokkos.benchmark --help."""

from __future__ import annotations

import sys

from nanobragg_kokkos.benchmark.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
