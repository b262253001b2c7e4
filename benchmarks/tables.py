#!/usr/bin/env python3
"""Writes the tables of docs/performance.md from JSON files of nanobragg_kokkos.benchmark, one column per file.

Usage: benchmarks/tables.py docs/performance.md cpu.json gpu.json ...

It replaces the text between the two comments "measured" of the first file, and needs only Python.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

# Steps of whole images, which have a separate table.
WHOLE_IMAGE = ("response", "transfer", "image", "write", "job")

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"

Cell = Callable[[dict], "str | None"]


def title(machine: dict) -> str:
    """Returns the title of a machine's column."""
    on_host = machine["device"] == "host"
    processor = f"{machine['processor']}, threads: {machine['threads']}" if on_host else machine["device"]
    return f"{processor}; {machine['backend']}, {machine['program']}, version {machine['version']}"


def name(row: dict) -> str:
    """Returns the title of a measurement's line."""
    how = (row["engine"] and f"{row['engine']}-driven") or row["sample"]
    scaled = row["scaled"] and row["scaled"].replace("_", " ")
    if row["factor"] > 1:
        scaled = f"{scaled} × {row['factor']}"
    return ", ".join(filter(None, (row["workload"], scaled, row["step"], how)))


def table(heading: str, files: list[dict], cell: Cell) -> str:
    """Returns a table with a line for each measurement and a column for each file that have a cell."""
    columns = []
    for file in files:
        cells = {name(row): text for row in file["results"] if (text := cell(row)) is not None}
        if cells:
            columns.append((title(file["machine"]), cells))
    if not columns:
        return ""
    names = dict.fromkeys(line for _, cells in columns for line in cells)
    lines = [[heading, *(title for title, _ in columns)], ["---"] * (len(columns) + 1)]
    lines += [[line, *(cells.get(line, "") for _, cells in columns)] for line in names]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def rounded(number: float) -> str:
    """Returns a number with three digits, never as a power of ten."""
    return f"{float(f'{number:.3g}'):.12g}"


def milliseconds(row: dict) -> str:
    if row["runs"] == 1:
        return f"{rounded(row['median_ms'])} (one run)"
    return f"{rounded(row['median_ms'])} ({rounded(row['min_ms'])} to {rounded(row['max_ms'])})"


def expected_photons(row: dict) -> str | None:
    return None if row["scaled"] or row["step"] in WHOLE_IMAGE else milliseconds(row)


def whole_image(row: dict) -> str | None:
    if row["step"] not in WHOLE_IMAGE:
        return None
    return milliseconds(row) + (f", {rounded(row['bytes_per_s'] * 1e-6)} MB/s" if row["bytes"] else "")


def floor(row: dict) -> str | None:
    if row["fraction_of_floor"] is None:
        return None
    rate = row["evaluations_per_s"] and f", {row['evaluations_per_s'] * 1e-9:.3g} G evaluations/s"
    return f"{100 * row['fraction_of_floor']:.1f} %{rate or ''}"


def memory(row: dict) -> str | None:
    return None if row["device_memory_MB"] is None else f"{row['device_memory_MB']:.0f}"


def scaling(row: dict) -> str | None:
    return None if row["of_base"] is None else f"{row['of_base']:.2f} ({rounded(row['median_ms'])} ms)"


def tables(files: list[dict]) -> str:
    """Returns all tables as Markdown."""
    ceilings = "".join(
        f"- {title(file['machine'])}: {file['machine']['bytes_per_s'] * 1e-9:.3g} GB/s, "
        f"{file['machine']['fma_per_s'] * 1e-9:.4g} G fused multiply-adds/s\n"
        for file in files
    )
    parts = (
        "Ceilings:\n\n" + ceilings,
        table("Milliseconds: median (least to most)", files, expected_photons),
        table("Whole image, milliseconds: median (least to most)", files, whole_image),
        table("Share of the floor", files, floor),
        table("Time of the base = 1", files, scaling),
        table("Device memory, MB", files, memory),
    )
    return "\n".join(filter(None, parts))


def main(arguments: list[str]) -> None:
    if len(arguments) < 2:
        sys.exit(__doc__)
    document = Path(arguments[0])
    text = document.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{document}: expected one line {BEGIN} and one line {END}")
    before, rest = text.split(BEGIN)
    files = [json.loads(Path(path).read_text()) for path in arguments[1:]]
    document.write_text(f"{before}{BEGIN}\n{tables(files)}{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main(sys.argv[1:])
