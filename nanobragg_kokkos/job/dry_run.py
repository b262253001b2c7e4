"""--dry-run: estimates the time and the disk space of a job."""

from __future__ import annotations

import io
import math
import os
import time
from typing import Any

import libtbx.phil

from nanobragg_kokkos.files import nxmx
from nanobragg_kokkos.imaging.experiment import Experiment
from nanobragg_kokkos.imaging.image_simulator import ImageSimulator
from nanobragg_kokkos.job.file_names import FileNames
from nanobragg_kokkos.job.plan import Plan
from nanobragg_kokkos.job.reduction import Reduction
from nanobragg_kokkos.models.amplitudes.box import AmplitudeBox
from nanobragg_kokkos.mpi import ranks
from nanobragg_kokkos.util.progress import counted, duration

# An image is simulated this often, but not for longer than that.
REPEATS = 5
MOST_SECONDS = 10.0


def estimate(
    comm: Any,
    params: libtbx.phil.scope_extract,
    common: Experiment,
    amplitudes: AmplitudeBox | None,
    files: FileNames,
    todo: Plan,
    reduction: Reduction | None,
) -> str:
    """Estimates time and disk space from the next image, which all ranks simulate at once and write to memory.

    They do so several times. What else the computer has to do makes single times much longer than others, so that the
    shortest is the best estimate.

    Args:
        comm: mpi4py's communicator, or ranks.OneRank.
        params: parameters of the job.
        common: the experiment.
        amplitudes: amplitudes of the experiment in memory shared with other processes; None: there is no crystal.
        files: names of the files.
        todo: the remaining tasks.
        reduction: sums of this rank; None: no sums.

    Returns:
        The text to print.

    Raises:
        Failed: on all ranks: the image cannot be simulated.
    """
    n_images, first = todo.n_simulated, todo.first_simulated()
    lines = [
        f"Dry run, nothing is written. To do: {n_images} of {counted(params.n_images, 'image')}, "
        f"by {counted(comm.size, 'process', 'processes')}",
        f"Directory: {os.path.abspath(files.directory)}",
    ]
    if params.output.images:
        last = files.data(files.n_data(params.n_images) - 1).name
        lines.append(f"Data files: {files.data(0).name} to {last}, images in each: {params.output.images_per_file}")
    if params.output.reduce:
        lines.append(f"{files.reduced.name}: {', '.join(params.output.reduce)}")
    if first is None:
        return "\n".join([*lines, "All images already exist; nothing to do"])

    simulator = ranks.on_all(comm, lambda: ImageSimulator(common, params.engine, params.tolerance, amplitudes))
    simulate_s, write_s, n_bytes = ranks.on_all(
        comm, lambda: _measured(simulator, first, params.output.images, reduction)
    )
    # An image is written while the next one is simulated, and fast ranks take more images than slow ones.
    simulated, written = comm.allgather(simulate_s), comm.allgather(write_s)
    rate = sum(1 / max(*times, 1e-9) for times in zip(simulated, written))
    # No rank makes less than an image.
    seconds = max(n_images / rate, min(max(times) for times in zip(simulated, written)))
    simulate_s, write_s = sum(simulated) / comm.size, sum(written) / comm.size
    lines.append(
        f"Image {first + 1}, by every process at once: {1e3 * simulate_s:.3g} ms to simulate it, "
        f"{1e3 * write_s:.3g} ms to compress it and add it up (without the time of the disk)"
    )
    lines.append(f"Time: {duration(seconds)}, if the other images take as long")
    if params.output.images:
        lines.append(f"Disk: {_bytes(n_bytes * n_images)}, {_bytes(n_bytes)} for each image")
    return "\n".join(lines)


def _measured(
    simulator: ImageSimulator, image: int, write: bool, reduction: Reduction | None
) -> tuple[float, float, int]:
    """Returns the seconds to simulate and to write an image, and the bytes of its file."""
    simulator.start(image).panels()  # the first image takes longer than others
    simulate_s, write_s, n_bytes = math.inf, math.inf, 0
    end = time.monotonic() + MOST_SECONDS
    for repeat in range(REPEATS):
        begun = time.monotonic()
        if repeat > 0 and begun > end:
            break
        panels = simulator.start(image).panels()
        simulated = time.monotonic()
        stream = io.BytesIO()
        if write:
            nxmx.write_image_to(stream, panels)
        if reduction is not None:
            reduction.add(image + repeat, nxmx.stacked(panels))
        simulate_s = min(simulate_s, simulated - begun)
        write_s = min(write_s, time.monotonic() - simulated)
        n_bytes = len(stream.getvalue())
    return simulate_s, write_s, n_bytes


def _bytes(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            return f"{number:.3g} {unit}"
        number /= 1000
    raise AssertionError
