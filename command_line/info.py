"""nanobragg_kokkos.info: shows versions, backend, device, threads and build options."""

from __future__ import annotations

import argparse
import json
import sys

from libtbx.utils import Sorry


def run(args: list[str]) -> None:
    """Prints the information; raises Sorry if the compiled extension is missing."""
    parser = argparse.ArgumentParser(
        prog="nanobragg_kokkos.info",
        usage="\n  nanobragg_kokkos.info\n  nanobragg_kokkos.info --json",
        description="Shows the versions of this module and of what it stands on, the backend, device and "
        "threads that it computes with, and how it was built.",
    )
    parser.add_argument("--json", action="store_true", help="write JSON instead of lines for people")
    options = parser.parse_args(args)
    try:
        from nanobragg_kokkos.info import as_text, information
    except ImportError as error:
        raise Sorry(str(error)) from None
    found = information()
    print(json.dumps(found, indent=1) if options.json else as_text(found))


if __name__ == "__main__":
    run(sys.argv[1:])
