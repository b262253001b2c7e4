"""nanobragg_kokkos.info: prints versions, backend, device, threads and build options."""

from __future__ import annotations

import argparse
import json
import sys

from libtbx.utils import Sorry


def run(args: list[str]) -> int:
    """Prints the information; returns the exit code. Raises Sorry if the compiled extension is missing."""
    parser = argparse.ArgumentParser(
        prog="nanobragg_kokkos.info",
        usage="\n  nanobragg_kokkos.info\n  nanobragg_kokkos.info --json",
        description="Prints the versions of this module and of its dependencies, the backend, device and "
        "threads that it uses, and how it was built.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(args)
    try:
        from nanobragg_kokkos.info import as_text, information
        from nanobragg_kokkos.util import command
    except ImportError as error:
        raise Sorry(str(error)) from None

    def show() -> None:
        found = information()
        print(json.dumps(found, indent=1) if options.json else as_text(found), flush=True)

    return command.run(show)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
