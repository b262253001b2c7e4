"""Runs a script that was written for simtbx: see nanobragg_kokkos.simtbx --help."""

from __future__ import annotations

import sys

from nanobragg_kokkos.simtbx.script import main

if __name__ == "__main__":
    main(sys.argv[1:])
