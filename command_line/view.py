"""Writes a picture of a diffraction image: see nanobragg_kokkos.view --help."""

from __future__ import annotations

import sys

from nanobragg_kokkos.report.view import main
from nanobragg_kokkos.util.command import use_utf_8

if __name__ == "__main__":
    use_utf_8()
    sys.exit(main(sys.argv[1:]))
