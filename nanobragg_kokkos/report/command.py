"""The nanobragg_kokkos.report command: reads its arguments and writes its files."""

from __future__ import annotations

from pathlib import Path

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.report import parameters
from nanobragg_kokkos.report.contents import report
from nanobragg_kokkos.report.run import Run
from nanobragg_kokkos.util import command
from nanobragg_kokkos.util.whole_files import whole_file


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code of the process."""
    return command.main(
        arguments, parameters.help_text, lambda given: parameters.validated(command.split(given)[0]), _run
    )


def _run(working: libtbx.phil.scope, arguments: list[str]) -> None:
    _, files = command.split(arguments)
    if len(files) != 1:
        raise Sorry(f"{' '.join(files) or 'No file'}: expected one master file of a run (*_master.h5) or its directory")
    params = working.extract()
    run = Run(files[0])
    page = Path(params.output or run.file("_report.html"))
    folder = None
    if params.pngs and params.pngs.lower() not in ("none", "false"):
        folder = page.with_suffix("") if params.pngs.lower() == "true" else Path(params.pngs)
    made = report(run, params.images, params.photons, folder is not None)
    if folder is not None:
        _make_folder(folder)
        for name, contents in made.pngs.items():
            _write(folder / name, contents)
    _write(page, made.html)
    for warning in made.warnings:
        print(f"Warning: {warning}")
    print(f"Wrote {page}" + (f", and {len(made.pngs)} figures in {folder}" if folder else ""), flush=True)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Sorry(f"pngs={folder}: expected a folder to write in, but {error.strerror}") from error


def _write(path: Path, contents: bytes) -> None:
    with whole_file(path) as temporary:
        Path(temporary).write_bytes(contents)
