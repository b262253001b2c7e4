"""Simulates X-ray diffraction images of a crystal: see nanobragg_kokkos.simulate --help."""

from __future__ import annotations

import signal
import sys

if __name__ == "__main__":
    # Ctrl-C ends the program without a traceback while it is imported, too.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from nanobragg_kokkos.job.command import main
    from nanobragg_kokkos.util.command import end_on_signals, use_utf_8

    use_utf_8()
    end_on_signals()
    sys.exit(main(sys.argv[1:]))
