"""Writes a picture of a diffraction image: see nanobragg_kokkos.view --help."""

from __future__ import annotations

import sys

from nanobragg_kokkos.report.view import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
