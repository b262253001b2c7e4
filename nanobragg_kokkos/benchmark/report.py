"""Formats the results of the benchmark as a table and as JSON; docs/performance.md describes both."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import nanobragg_kokkos
from nanobragg_kokkos.benchmark.timing import Timing
from nanobragg_kokkos.extension import ext

# name, width
COLUMNS = (
    ("workload", -32),
    ("step", -11),
    ("of", -11),
    ("runs", 5),
    ("median ms", 11),
    ("min ms", 11),
    ("max ms", 11),
    ("first ms", 11),
    ("", 2),
    ("rate", -22),
    ("of floor", 9),
    ("memory", 10),
    ("of base", 9),
)

# A checksum weights pixel i by i modulo this number.
CHECKSUM_PERIOD = 1009


def this_machine() -> dict[str, Any]:
    """Describes the machine, and measures its ceilings in a second or two."""
    backend, ceilings = nanobragg_kokkos.backend(), ext.measure_ceilings()
    return {
        "program": "Python",
        "version": nanobragg_kokkos.__version__,
        "commit": _commit(),
        "backend": backend["backend"],
        "device": backend["device"],
        "threads": backend["threads"],
        "processor": _processor_name(),
        "kokkos": backend["kokkos"],
        "compiler": backend["compiler"],
        "bytes_per_s": ceilings["bytes_per_second"],
        "fma_per_s": ceilings["fma_per_second"],
    }


def heading(machine: dict[str, Any]) -> str:
    """Returns the lines above the table, and its first line."""
    device = machine["processor"] if machine["device"] == "host" else machine["device"]
    return (
        f"nanobragg_kokkos {machine['version']}, Python; Kokkos {machine['kokkos']}, {machine['backend']}, "
        f"threads: {machine['threads']}, device: {device}\n"
        f"Ceilings: memory {machine['bytes_per_s'] * 1e-9:.4g} GB/s, arithmetic {machine['fma_per_s'] * 1e-9:.4g} "
        "G fused multiply-adds/s\n\n" + _line(name for name, _ in COLUMNS)
    )


@dataclass(frozen=True)
class Result:
    """A measurement of one step of an image.

    Args:
        engine, sample: as in Step.
        floor: least seconds that the step can take on the machine; 0: unknown.
        device_memory: largest number of bytes in use at once; None: unknown.
        contents: numbers that identify the image of the last run, see contents().
        of_base: time divided by that of the base of a scaling; None: the step belongs to no scaling.
    """

    workload: ext.Workload
    step: str
    engine: str | None
    sample: str | None
    timing: Timing
    floor: float
    device_memory: int | None
    contents: dict[str, float]
    of_base: float | None = None

    @property
    def _evaluations(self) -> float | None:
        return self.workload.evaluations if (self.step, self.engine) == ("spots", "pixel") else None

    @property
    def _bytes(self) -> float | None:
        return self.workload.bytes_of_counts if self.step in ("transfer", "write") else None

    def as_line(self) -> str:
        """Returns a line of the table."""
        workload, timing = self.workload, self.timing
        amounts = {"evaluations": self._evaluations, "bytes": self._bytes, "pixels": workload.n_pixels}
        unit, amount = next((unit, amount) for unit, amount in amounts.items() if amount)
        times = (timing.median, min(timing.runs), max(timing.runs), timing.first)
        return _line(
            (
                " ".join(
                    filter(None, (workload.name, workload.scaled, f"x{workload.factor}" if workload.factor > 1 else ""))
                ),
                self.step,
                self.engine or self.sample or "",
                str(len(timing.runs)),
                *(f"{1e3 * seconds:.3f}" for seconds in times),
                "",
                _rate(amount / timing.median, unit),
                f"{100 * self.floor / timing.median:.1f} %" if self.floor else "-",
                f"{1e-6 * self.device_memory:.0f} MB" if self.device_memory is not None else "-",
                f"{self.of_base:.2f}" if self.of_base is not None else "-",
            )
        )

    def as_row(self, machine: dict[str, Any]) -> dict[str, Any]:
        """Returns an entry of the JSON file."""
        workload, median = self.workload, self.timing.median
        return {
            "workload": workload.name,
            "scaled": workload.scaled or None,
            "factor": workload.factor,
            "of_base": self.of_base,
            "step": self.step,
            "engine": self.engine,
            "sample": self.sample,
            "backend": machine["backend"],
            "threads": machine["threads"],
            "runs": len(self.timing.runs),
            "median_ms": 1e3 * median,
            "min_ms": 1e3 * min(self.timing.runs),
            "max_ms": 1e3 * max(self.timing.runs),
            "first_ms": 1e3 * self.timing.first,
            "pixels": workload.n_pixels,
            "pixels_per_s": workload.n_pixels / median,
            "evaluations": self._evaluations,
            "evaluations_per_s": self._evaluations / median if self._evaluations else None,
            "bytes": self._bytes,
            "bytes_per_s": self._bytes / median if self._bytes else None,
            "floor_ms": 1e3 * self.floor or None,
            "fraction_of_floor": self.floor / median or None,
            "device_memory_MB": 1e-6 * self.device_memory if self.device_memory is not None else None,
            **self.contents,
        }


def contents(panels: tuple[np.ndarray, ...]) -> dict[str, float]:
    """Returns numbers by which to compare the images of two machines.

    Args:
        panels: images of the panels, (slow, fast) each.

    Returns:
        The sum of all photons (or counts), those of the brightest pixel, and a checksum: the sum of pixel i times i
        modulo CHECKSUM_PERIOD, which changes if photons lie in another place.
    """
    pixels = np.concatenate([panel.ravel() for panel in panels])
    whole = len(pixels) // CHECKSUM_PERIOD * CHECKSUM_PERIOD
    columns = pixels[:whole].reshape(-1, CHECKSUM_PERIOD).sum(axis=0)
    columns[: len(pixels) - whole] += pixels[whole:]
    return {
        "photons": float(columns.sum()),
        "brightest": float(pixels.max()),
        "checksum": float(columns @ np.arange(CHECKSUM_PERIOD)),
    }


def _line(cells) -> str:
    return "".join(
        cell.ljust(-width) if width < 0 else cell.rjust(width) for cell, (_, width) in zip(cells, COLUMNS)
    ).rstrip()


def _rate(per_second: float, of_what: str) -> str:
    for prefix in ("", "k ", "M ", "G "):
        if per_second < 1000:
            return f"{per_second:.3g} {prefix}{of_what}/s"
        per_second /= 1000
    return f"{per_second:.3g} T {of_what}/s"


def _commit() -> str | None:
    """Returns the commit of the package's files, with "-dirty" if they have changed since; None if git knows none."""
    line = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    try:
        return subprocess.run(line, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _processor_name() -> str:
    """Returns the name of the processor in /proc/cpuinfo."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    return next((line.split(": ", 1)[1] for line in lines if line.startswith("model name") and ": " in line), "unknown")
