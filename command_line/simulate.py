"""Simulates X-ray diffraction images of a crystal: see nanobragg_kokkos.simulate --help."""

from __future__ import annotations

import signal
import sys

from nanobragg_kokkos.job.command import main

if __name__ == "__main__":
    # Launchers, batch systems and kill send this signal to stop a process; it then ends as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
