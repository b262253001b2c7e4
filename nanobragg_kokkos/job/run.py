"""A job of nanobragg_kokkos.simulate, from its parameters to its files, on any number of MPI ranks.

The first rank prepares the models; all ranks share the images, a data file at a time, as they become free; the first
writes the files about all images, the master last. The contents of a data file depend neither on the number of ranks
nor on how often the job was killed and started again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.files import nxmx
from nanobragg_kokkos.imaging.experiment import Experiment
from nanobragg_kokkos.imaging.from_parameters import experiment
from nanobragg_kokkos.imaging.image_simulator import ImageSimulator
from nanobragg_kokkos.job import conclusion, directory, plan, summary
from nanobragg_kokkos.job.directory import Workspace
from nanobragg_kokkos.job.dry_run import estimate
from nanobragg_kokkos.job.file_names import FileNames
from nanobragg_kokkos.job.output import Output, log_to
from nanobragg_kokkos.job.reduction import Reduction
from nanobragg_kokkos.job.summary import MOST_FAILURES, RankSummary, failure_line, overloads, peak_memory
from nanobragg_kokkos.job.verification import sound_and_damaged
from nanobragg_kokkos.job.writer import Writer
from nanobragg_kokkos.models.beam import parameters as beam_parameters
from nanobragg_kokkos.models.detector import warnings as detector_warnings
from nanobragg_kokkos.models.detector.from_parameters import described
from nanobragg_kokkos.models.sample import parameters as sample_parameters
from nanobragg_kokkos.mpi import ranks, shared_amplitudes
from nanobragg_kokkos.mpi.work_sharing import Event, FirstRank, OtherRank, share_work
from nanobragg_kokkos.util.failures import Failed, attempt
from nanobragg_kokkos.util.failures import described as message
from nanobragg_kokkos.util.progress import counted, now_and_then, progress
from nanobragg_kokkos.util.whole_files import CannotWrite, Checksum


def run(comm: Any, working: libtbx.phil.scope, dry: bool = False) -> str:
    """Simulates and writes images together with the other ranks; returns the text to print at the end.

    Args:
        comm: mpi4py's communicator, or ranks.OneRank.
        working: the effective parameters.
        dry: estimate time and disk space, and write nothing.

    Raises:
        Failed: on all ranks.
    """
    ranks.on_all(comm, lambda: ranks.choose_device(comm))
    params = working.extract()
    files = directory.file_names(params)
    workspace = Workspace(files, working, comm.size) if comm.rank == 0 else None
    with ExitStack() as held:
        ranks.on_first(comm, lambda: _own(workspace).enter(held, dry))
        sound = _sound_files(comm, files, workspace)
        if not dry and ranks.on_first(comm, lambda: _own(workspace).is_finished(sound)):
            return f"All images already exist; nothing to do\n{conclusion.contents(files, params)}"
        common, amplitudes = _prepare(comm, params)
        if comm.rank == 0:
            print(_announcement(params, common, comm.size), *filter(None, [amplitudes]), sep="\n", flush=True)
        box = None if amplitudes is None else amplitudes.box
        sums = ranks.on_all(comm, lambda: _empty_sums(params, common))
        job = ranks.on_first(comm, lambda: _own(workspace).job.identifier)
        if dry:
            todo, _ = plan.plan(comm, files, params.n_images, params.output.images, sums, sound, job)
            return estimate(comm, params, common, box, files, todo, sums)

        simulator = ranks.on_all(comm, lambda: ImageSimulator(common, params.engine, params.tolerance, box))
        if ranks.on_first(comm, lambda: _own(workspace).claim()):
            sound = _sound_files(comm, files, workspace)
        todo, taken_over = plan.plan(comm, files, params.n_images, params.output.images, sums, sound, job)
        existing = params.n_images - todo.n_simulated
        engine_line = ranks.on_first(comm, simulator.engine_line)
        if comm.rank == 0:
            print(engine_line, flush=True)
            if existing:
                print(f"{existing} of {counted(params.n_images, 'image')} already exist", flush=True)
        if todo.n_needed:
            ranks.on_first(comm, lambda: _own(workspace).begin_images())
        missing, measured = _share(comm, params, common, workspace, files, todo, simulator, sums, taken_over, job)
        if sums is not None:
            ranks.on_all(comm, lambda: None)  # a rank without memory reports this before the others wait for it
            sums.over_ranks(comm)
        text = ranks.on_first(
            comm, lambda: conclusion.conclude(_own(workspace), params, common, missing, sums, measured)
        )
        if missing:
            if comm.rank == 0:
                print(text, flush=True)
            raise Failed(
                f"Sorry: {len(missing)} of {counted(params.n_images, 'image')} failed (reasons above); run the "
                "same command to try them again"
            )
        return text


class _Monitor:
    """Follows the job on the first rank: shows progress and failures, records files, notices when all images fail.

    Args:
        n_images: number of images to make.
        written: called with the path and the checksum of each file that is complete.
        show_progress: called with the number of images that are done or have failed.

    Attributes:
        done: number of images.
        failed: images, counted from 0.
    """

    def __init__(
        self, n_images: int, written: Callable[[Path, Checksum], None], show_progress: Callable[[int], None]
    ) -> None:
        self._written = written
        self._show_progress = show_progress
        self._n_images = n_images
        self.done = 0
        self.failed: set[int] = set()

    def on_event(self, event: Event) -> str | None:
        """Records an event; returns the reason to stop the job, or None.

        The reason is that all images have failed so far, or that the record cannot be written.
        """
        reason = None
        try:
            for path, checksum in event.files:
                self._written(path, checksum)
        except CannotWrite as error:
            reason = message(error)
        self.done += event.images
        for failure in event.failures:
            if len(self.failed) < MOST_FAILURES:
                print(failure_line(failure), file=sys.stderr, flush=True)
            self.failed.update(failure.images)
            if reason is None and self.done <= 0 and MOST_FAILURES <= len(self.failed) < self._n_images:
                reason = f"Sorry: the first {len(self.failed)} images have failed, the last because: {failure.cause}"
        if event.images or event.failures:
            self._show_progress(self.done + len(self.failed))
        return reason


def _share(
    comm: Any,
    params: libtbx.phil.scope_extract,
    common: Experiment,
    workspace: Workspace | None,
    files: FileNames,
    todo: plan.Plan,
    simulator: ImageSimulator,
    sums: Reduction | None,
    taken_over: Sequence[Path],
    job: str,
) -> tuple[list[int], dict[str, Any]]:
    """Makes all images together with the other ranks.

    Returns:
        The images that failed, counted from 0, and a summary, which is empty on other ranks than the first.

    Raises:
        Failed: on all ranks: the job was stopped.
    """
    n_images = todo.n_needed
    with progress(n_images, show=comm.rank == 0) as show_progress:
        monitor = _Monitor(n_images, workspace.written if workspace else lambda path, checksum: None, show_progress)
        work = share_work(comm, len(todo), monitor.on_event)
        output = Output(
            files,
            common.saturation + 1,
            work.report,
            sums,
            None if params.output.images or sums is None else files.partial_sums(comm.rank),
            job,
            taken_over,
            partial(log_to, files.log(comm.rank)) if params.output.log else lambda line: None,
            partial(conclusion.require_memory, common, sums) if comm.rank == 0 else lambda: None,
        )
        begun = time.monotonic()
        _, failure = attempt(lambda: _work(work, todo, simulator, output))
        if failure:
            where = "" if failure.startswith("Sorry") or comm.size == 1 else f"Rank {comm.rank}:\n"
            work.report(Event(stop=where + failure.rstrip()))
        seconds = time.monotonic() - begun
        shares = work.finish(
            RankSummary(output.made, seconds, work.waited_s, output.times, output.overloads, peak_memory())
        )
    stopped_by, failed = ranks.on_first(comm, lambda: (work.stopped_by, sorted(monitor.failed)))
    measured: dict[str, Any] = {}
    if shares is not None:
        measured = summary.summary(shares, failed)
        for text in (overloads(common.saturation, shares), summary.described(measured)):
            if text:
                print(text, flush=True)
    if stopped_by:
        raise Failed(stopped_by)
    return failed, measured


def _work(work: FirstRank | OtherRank, todo: plan.Plan, simulator: ImageSimulator, output: Output) -> None:
    """Makes this rank's share of the images."""
    with output, Writer(output.take) as writer:
        for item in work.items():
            task = todo[item]
            for image in task.needed:
                if work.stopped():
                    break
                if not task.simulated:
                    writer.put(task, image, None)
                    continue
                begun = time.monotonic()
                try:
                    counts = simulator.start(image)
                # These concern this image alone; other errors are those of the program or the computer.
                except (Sorry, ValueError, OSError) as error:
                    output.failed((image,), str(error))
                else:
                    output.times.simulate += time.monotonic() - begun
                    writer.put(task, image, counts)
            else:
                writer.put(task, None, None)
        writer.finish()
        output.save_sums()


def _own(workspace: Workspace | None) -> Workspace:
    """Returns the workspace, which only the first rank has."""
    assert workspace is not None
    return workspace


def _sound_files(comm: Any, files: FileNames, workspace: Workspace | None) -> set[str]:
    """Returns the names of the files of earlier runs that match their checksums; prints those that do not."""
    recorded = ranks.on_first(comm, lambda: _own(workspace).recorded())
    sound, damaged = sound_and_damaged(comm, files, recorded, show=comm.rank == 0)
    if damaged and comm.rank == 0:
        print(f"Not as this job wrote them, and made again: {directory.shown(damaged)}", flush=True)
    return sound


def _prepare(
    comm: Any, params: libtbx.phil.scope_extract
) -> tuple[Experiment, shared_amplitudes.NodeAmplitudes | None]:
    """Returns the experiment, with amplitudes only on the first rank, and the amplitudes that a node shares.

    Without any crystal, there are no amplitudes.

    Raises:
        Failed: on all ranks.
    """
    whole: list[Experiment] = []  # on the first rank

    def prepare() -> Experiment:
        measured, model = params.crystal.structure_factors.file, params.crystal.pdb.file or "rubredoxin (PDB 1BRF)"
        if params.crystal.count > 0:
            print(f"Reading {measured}" if measured else f"Calculating structure factors of {model}", flush=True)
        whole.append(experiment(params, now_and_then()))
        return whole[0].without_amplitudes()

    common = ranks.on_first(comm, prepare)
    if params.crystal.count == 0:
        return common, None
    amplitudes = shared_amplitudes.amplitudes(comm, whole[0].scattering.channels if whole else None)
    return (whole or [common])[0], amplitudes


def _empty_sums(params: libtbx.phil.scope_extract, common: Experiment) -> Reduction | None:
    """Returns empty sums; None if no quantity is requested."""
    if not params.output.reduce:
        return None
    shape = nxmx.stored_shape([panel.get_image_size()[::-1] for panel in common.detector])
    return Reduction(params.output.reduce, shape, common.data_type)


def _announcement(params: libtbx.phil.scope_extract, common: Experiment, n_ranks: int) -> str:
    """Returns the text to print before the first image."""
    pixels = sum(fast * slow for fast, slow in (panel.get_image_size() for panel in common.detector))
    lines = [
        f"{counted(params.n_images, 'image')} of {pixels} pixels in {counted(len(common.detector), 'panel')}, "
        f"by {counted(n_ranks, 'process', 'processes')}",
    ]
    if common.amplitudes is None:
        lines += ["No crystal: the background alone", *common.messages, *beam_parameters.warnings(params)]
    else:
        symmetry = common.amplitudes.crystal_symmetry()
        cell = " ".join(f"{x:g}" for x in symmetry.unit_cell().parameters())
        lines += [
            f"Crystal: {symmetry.space_group_info()}, {cell}; {common.amplitudes.size()} amplitudes "
            f"to {common.amplitudes.d_min():.2f} angstrom",
            *common.messages,
            *common.scattering.messages,
            *sample_parameters.warnings(params, symmetry),
            *beam_parameters.warnings(params),
        ]
        energies_eV = common.exposure(0).pulse.energies_eV
        lines += detector_warnings.warnings(common.detector, energies_eV, common.amplitudes)
    lines.append(described(params, common.response, common.saturation))
    return "\n".join(lines)
