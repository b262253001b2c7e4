"""--dry-run: estimates the time and the disk space of a job."""

from __future__ import annotations

import io
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


def estimate(
    comm: Any,
    params: libtbx.phil.scope_extract,
    common: Experiment,
    amplitudes: AmplitudeBox,
    files: FileNames,
    todo: Plan,
    reduction: Reduction | None,
) -> str:
    """Estimates time and disk space from the next image, which all ranks simulate at once and write to memory.

    Args:
        comm: mpi4py's communicator, or ranks.OneRank.
        params: parameters of the job.
        common: the experiment.
        amplitudes: amplitudes of the experiment in memory shared with other processes.
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
    # The slowest rank; an image is written while the next one is simulated.
    simulate_s, write_s = (max(comm.allgather(seconds)) for seconds in (simulate_s, write_s))
    seconds = max(simulate_s, write_s) * -(-n_images // comm.size)
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
    begun = time.monotonic()
    panels = simulator.start(image).panels()
    simulated = time.monotonic()
    stream = io.BytesIO()
    if write:
        nxmx.write_image_to(stream, panels)
    if reduction is not None:
        reduction.add(image, nxmx.stacked(panels))
    return simulated - begun, time.monotonic() - simulated, len(stream.getvalue())


def _bytes(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            return f"{number:.3g} {unit}"
        number /= 1000
    raise AssertionError
