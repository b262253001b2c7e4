"""Simulates X-ray diffraction images of a crystal: see nanobragg_kokkos.simulate --help."""

from __future__ import annotations

import sys

from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.util.command import end_on_sigterm, use_utf_8

if __name__ == "__main__":
    use_utf_8()
    end_on_sigterm()
    sys.exit(main(sys.argv[1:]))
