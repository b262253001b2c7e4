"""Writes a page about a run: see nanobragg_kokkos.report --help."""

from __future__ import annotations

import sys

from nanobragg_kokkos.report.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
