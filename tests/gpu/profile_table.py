"""A table of what Nsight Compute has measured of each kernel.

    profile_table.py FILE.csv

FILE is the output of `ncu --page details --csv`. Launches of one kernel are put together: durations are added up, of
everything else the median is shown.
"""

from __future__ import annotations

import csv
import re
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable

MICROSECONDS = {
    "nsecond": 1e-3,
    "ns": 1e-3,
    "usecond": 1.0,
    "us": 1.0,
    "msecond": 1e3,
    "ms": 1e3,
    "second": 1e6,
    "s": 1e6,
}
COLUMNS = {
    "compute %": "Compute (SM) Throughput",
    "memory %": "Memory Throughput",
    "DRAM %": "DRAM Throughput",
    "registers": "Registers Per Thread",
    "occupancy %": "Achieved Occupancy",
    "of possible %": "Theoretical Occupancy",
}


def short(kernel: str) -> str:
    """The step of this module that a kernel runs, or the end of another kernel's name."""
    if "ViewValueFunctor" in kernel:
        return "(Kokkos fills memory)"
    kind = " (scan)" if "ParallelScan" in kernel else ""
    in_function = re.search(r"(\w+)\([^()]*\) const::\[lambda", kernel)
    tag = re.search(r"TeamPolicy<[^,]*, nanobragg::\w+<[^>]*>::(\w+)", kernel)
    match = in_function or tag or re.search(r"nanobragg::(?:(?:\(anonymous namespace\)|<unnamed>|\w+)::)*(\w+)", kernel)
    return match[1] + kind if match else re.split(r"[<(]", kernel)[0][-40:]


def measured(lines: Iterable[str]) -> dict[str, dict[str, list[float]]]:
    """By kernel and metric, the values of all launches; of durations, microseconds."""
    table: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in csv.DictReader(line for line in lines if line.startswith('"')):
        name, value = row.get("Metric Name"), row.get("Metric Value", "").replace(",", "")
        try:
            number = float(value)
        except ValueError:  # a remark of ncu's
            continue
        if name == "Duration":
            number *= MICROSECONDS[row["Metric Unit"]]
        elif name == "Memory Throughput" and row["Metric Unit"] != "%":
            continue
        table[short(row["Kernel Name"])][name].append(number)
    return table


def main(path: str) -> int:
    with open(path, errors="replace") as lines:
        table = measured(lines)
    if not table:
        print(f"{path} holds no kernel")
        return 1
    print(f"{'kernel':40s}{'launches':>9s}{'µs':>12s}" + "".join(f"{title:>15s}" for title in COLUMNS))
    for kernel, values in sorted(table.items(), key=lambda item: -sum(item[1]["Duration"])):
        cells = [
            f"{statistics.median(values[name]):15.1f}" if values[name] else f"{'-':>15s}" for name in COLUMNS.values()
        ]
        print(f"{kernel:40s}{len(values['Duration']):9d}{sum(values['Duration']):12.1f}" + "".join(cells))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]) if len(sys.argv) == 2 else __doc__)
