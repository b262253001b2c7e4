"""The nanobragg_kokkos.benchmark command: times the chosen steps and writes the results."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.benchmark import parameters as benchmark_parameters
from nanobragg_kokkos.benchmark.report import Result, contents, heading, this_machine
from nanobragg_kokkos.benchmark.steps import chosen, steps
from nanobragg_kokkos.benchmark.timing import measure
from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.util import command
from nanobragg_kokkos.util.whole_files import whole_file


def main(arguments: list[str]) -> int:
    """Runs the command; returns the exit code of the process."""
    return command.main(arguments, benchmark_parameters.help_text, benchmark_parameters.validated, _measure)


def _measure(working: libtbx.phil.scope, arguments: list[str]) -> None:
    params = working.extract()
    workloads = _workloads(params)
    ext.watch_memory()
    machine = this_machine()
    print(heading(machine), flush=True)
    rows = []
    base = math.nan
    for workload in workloads:
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


def _workloads(params: libtbx.phil.scope_extract) -> list[ext.Workload]:
    """Returns the chosen workloads that have a step to measure, in order.

    Raises:
        Sorry: there is none.
    """
    names = ext.workload_names() if "all" in params.workload else params.workload
    found = [
        workload
        for name in names
        for workload in ext.workloads(name, params.small)
        if chosen(workload, params.step, params.engine)
    ]
    if not found:
        raise Sorry(
            f"workload={'+'.join(params.workload)}, step={'+'.join(params.step)} and engine={'+'.join(params.engine)}: "
            "expected at least one step that these workloads have on this device"
        )
    return found


def _results(workload: ext.Workload, params: libtbx.phil.scope_extract, machine: dict[str, Any]) -> Iterator[Result]:
    for step in steps(workload, params.step, params.engine):
        ext.peak_memory()  # resets the peak
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
            # On a CPU, the images are not counted.
            device_memory=device_memory if machine["device"] != "host" else None,
            contents=contents(step.panels()),
        )
