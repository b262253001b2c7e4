"""Writes docs/parameters_reference.md: every parameter of every command, from the phil scopes that the commands use.

Run it as `build/bin/libtbx.python docs/make_reference.py`. With --check it writes nothing, and fails if the file is
out of date.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import libtbx.phil

from nanobragg_kokkos.benchmark import parameters as benchmark_parameters
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.report import parameters as report_parameters
from nanobragg_kokkos.report import view_parameters
from nanobragg_kokkos.util import phil

COMMAND = "build/bin/libtbx.python docs/make_reference.py"
PATH = Path(__file__).with_name("parameters_reference.md")
SCOPES = {
    "simulate": parameters.phil_scope,
    "report": report_parameters.phil_scope,
    "view": view_parameters.phil_scope,
    "benchmark": benchmark_parameters.phil_scope,
}


def reference() -> str:
    """Returns the contents of the file."""
    lines = [
        "# All parameters",
        "",
        f"Written by `{COMMAND}` from the parameters themselves:",
        "change their help, not this file.",
        "[parameters.md](parameters.md) explains those of `nanobragg_kokkos.simulate` together.",
    ]
    for name, scope in SCOPES.items():
        lines += ["", f"## nanobragg_kokkos.{name}", ""]
        lines += _table(scope.objects, "")
        lines += _scopes(scope, "")
    return "\n".join(lines) + "\n"


def _scopes(scope: libtbx.phil.scope, prefix: str) -> Iterator[str]:
    """Returns the scopes below a scope, each with a heading and its parameters."""
    for found in scope.objects:
        if found.is_scope:
            path = prefix + found.name
            yield from ("", f"### {path}", "")
            if found.help:
                yield from (*textwrap.wrap(_text(found.help), 120, break_on_hyphens=False), "")
            yield from _table(found.objects, path + ".")
            yield from _scopes(found, path + ".")


def _table(objects: list, prefix: str) -> Iterator[str]:
    definitions = [found for found in objects if not found.is_scope]
    if definitions:
        yield from ("| Parameter | Default | Meaning |", "| --- | --- | --- |")
    for found in definitions:
        meaning = _text(found.help or "")
        if found.type.phil_type == "choice":
            number = "One or several" if found.type.multi else "One"
            meaning = f"{number} of {', '.join(f'`{name}`' for name in phil.choices(found))}. {meaning}"
        yield f"| `{prefix}{found.name}` | `{phil.default(found)}` | {meaning} |"


def _text(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def main(arguments: list[str]) -> int:
    if "--check" in arguments:
        if PATH.is_file() and PATH.read_text() == reference():
            return 0
        print(f"{PATH.name} is out of date. Run: {COMMAND}", file=sys.stderr)
        return 1
    PATH.write_text(reference())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
