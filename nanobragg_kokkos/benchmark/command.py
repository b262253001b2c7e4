"""nanobragg_kokkos.benchmark, from its arguments to its results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import libtbx.phil

from nanobragg_kokkos.benchmark import parameters as benchmark_parameters
from nanobragg_kokkos.benchmark.report import Result, contents, heading, this_machine
from nanobragg_kokkos.benchmark.steps import steps
from nanobragg_kokkos.benchmark.timing import measure
from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.util import command
from nanobragg_kokkos.util.whole_files import whole_file


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code of the process."""
    return command.run(lambda: _run(arguments))


def _run(arguments: list[str]) -> None:
    if set(command.HELP_OPTIONS) & set(arguments):
        print(benchmark_parameters.help_text(), flush=True)
        return
    options = command.CONFIG_OPTIONS
    working = benchmark_parameters.validated([argument for argument in arguments if argument not in options])
    if set(options) & set(arguments):
        print(working.as_str(attributes_level=1), flush=True)
        return
    _measure(working.extract())


def _measure(params: libtbx.phil.scope_extract) -> None:
    chosen = benchmark_parameters.chosen_workloads(params)
    ext.watch_memory()
    machine = this_machine()
    print(heading(machine), flush=True)
    rows = []
    base = None
    for workload in chosen:
        for result in _results(workload, params, machine):
            if workload.scaled == "base":
                base = result.timing.median
            if workload.scaled:
                result = replace(result, of_base=result.timing.median / base)
            print(result.as_line(), flush=True)
            rows.append(result.as_row(machine))
    if params.json is not None:
        with whole_file(params.json) as temporary:
            Path(temporary).write_text(json.dumps({"machine": machine, "results": rows}, indent=1) + "\n")


def _results(workload: ext.Workload, params: libtbx.phil.scope_extract, machine: dict[str, Any]) -> Iterator[Result]:
    for step in steps(workload, params.step, params.engine):
        ext.peak_memory()  # forgets what was before
        timing = measure(step.prepare, step.run, params.runs, params.limit, step.images)
        device_memory = ext.peak_memory()
        yield Result(
            workload,
            step.name,
            step.engine,
            step.sample,
            timing,
            floor=workload.floor_seconds(
                step.name, step.engine or step.sample or "", machine["bytes_per_s"], machine["fma_per_s"]
            ),
            # On a CPU it would lack the images.
            device_memory=device_memory if machine["device"] != "host" else None,
            contents=contents(step.panels()),
        )
