"""Writes a page about a run: see nanobragg_kokkos.report --help."""

from __future__ import annotations

import sys

from nanobragg_kokkos.report.command import main
from nanobragg_kokkos.util.command import use_utf_8

if __name__ == "__main__":
    use_utf_8()
    sys.exit(main(sys.argv[1:]))
