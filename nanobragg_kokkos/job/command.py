"""A job of nanobragg_kokkos.simulate, from its arguments to its files, on any number of MPI ranks.

The first rank reads the parameters and prepares the models; all ranks share the images, a data file at a time, as they
become free; the first writes what is about all images, the master last. What a data file holds does not depend on how
many ranks there are, nor on how often the job was killed and started again.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import libtbx.phil
from cctbx import factor_ev_angstrom
from libtbx.utils import Sorry

from nanobragg_kokkos.files import nxmx
from nanobragg_kokkos.files.picture import write_picture
from nanobragg_kokkos.files.true_models import write_amplitudes, write_experiments
from nanobragg_kokkos.imaging.experiment import Experiment
from nanobragg_kokkos.imaging.from_parameters import experiment
from nanobragg_kokkos.imaging.image_simulator import ImageSimulator
from nanobragg_kokkos.job import help_text, parameters, plan, reduction, same_job, summary
from nanobragg_kokkos.job.dry_run import estimate
from nanobragg_kokkos.job.file_names import Files
from nanobragg_kokkos.job.output import Output, log_to
from nanobragg_kokkos.job.reduction import Reduction
from nanobragg_kokkos.job.summary import MOST_FAILURES, Report, failure_line, overloads, peak_memory
from nanobragg_kokkos.job.writer import Writer
from nanobragg_kokkos.models.beam import parameters as beam_parameters
from nanobragg_kokkos.models.detector import warnings as detector_warnings
from nanobragg_kokkos.models.detector.from_parameters import described
from nanobragg_kokkos.models.sample import parameters as sample_parameters
from nanobragg_kokkos.mpi import ranks, shared_amplitudes
from nanobragg_kokkos.mpi.work_sharing import FirstRank, News, OtherRank, crew
from nanobragg_kokkos.util.progress import counted, progress


def main(arguments: list[str]) -> int:
    """Runs the command on this rank; returns the exit code of the process."""
    try:
        comm = ranks.world()
    except ranks.Failed as failure:
        print(failure, end="\n" if str(failure) else "", file=sys.stderr)
        return 1
    try:
        if {"-h", "--help"} & set(arguments):
            text = help_text.help_text()
        elif {"-c", "--show-config"} & set(arguments):
            others = [argument for argument in arguments if argument not in ("-c", "--show-config")]
            text = ranks.on_first(comm, lambda: _parameters(others).as_str(attributes_level=1))
        else:
            others = [argument for argument in arguments if argument not in ("-n", "--dry-run")]
            text = run(comm, others, dry=len(others) < len(arguments))
        if comm.rank == 0:
            print(text, flush=True)
        return 0
    except ranks.Failed as failure:
        if comm.rank == 0:
            print(failure, file=sys.stderr, flush=True)
        # A launcher may end all processes as soon as one has ended with an error.
        comm.barrier()
        return 1
    except KeyboardInterrupt:
        if comm.rank == 0:
            print("\nInterrupted", file=sys.stderr, flush=True)
        return _left(comm, 130)
    except BrokenPipeError:
        # Whoever read the output (head, say) has seen enough; Python's last flush is not to complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _left(comm, 141)
    except Exception:
        # Not where all ranks would hear of it: they are not to wait for this one.
        traceback.print_exc()
        return _left(comm, 1)


def _left(comm: Any, code: int) -> int:
    """The exit code of a rank that ends of its own accord, for which the others are not to wait."""
    comm.Abort(code)
    return code


def run(comm: Any, arguments: list[str], dry: bool = False) -> str:
    """Simulates and writes; returns what there is to say about it.

    Args:
        dry: only find out what there is to be done.

    Raises:
        ranks.Failed: on all ranks.
    """
    ranks.on_all(comm, lambda: ranks.choose_device(comm))
    working = ranks.on_first(comm, lambda: _parameters(arguments))
    params = working.extract()
    files = files_of(params)
    finished = ranks.on_first(comm, lambda: None if dry else _finished(files, working))
    if finished:
        return finished
    common, amplitudes = _prepare(comm, params)
    if comm.rank == 0:
        print(_announcement(params, common, comm.size), amplitudes, sep="\n", flush=True)
    sums = ranks.on_all(comm, lambda: _empty_sums(params, common))
    if dry:
        todo, _ = plan.tasks(comm, files, params.n_images, params.output.images, sums)
        return estimate(comm, params, common, amplitudes.box, files, todo, sums)

    simulator = ranks.on_all(comm, lambda: ImageSimulator(common, params.engine, params.tolerance, amplitudes.box))
    with ExitStack() as held:
        ranks.on_first(comm, lambda: _claim(held, files, working))
        todo, taken_over = plan.tasks(comm, files, params.n_images, params.output.images, sums)
        there = params.n_images - sum(len(task.simulated) for task in todo)
        engine_line = ranks.on_first(comm, simulator.engine_line)
        if comm.rank == 0:
            print(engine_line, flush=True)
            if there:
                print(f"{counted(there, 'image')} of {params.n_images} are there already", flush=True)
        missing, noted = _share(comm, params, common, files, todo, simulator, sums, taken_over)
        if sums is not None:
            ranks.on_all(comm, lambda: None)  # whoever has no memory left says so before the others wait for it
            sums.over_ranks(comm)
        conclusion = ranks.on_first(comm, lambda: _conclude(files, working, common, missing, sums, noted))
        if missing:
            if comm.rank == 0:
                print(conclusion, flush=True)
            raise ranks.Failed(
                f"Sorry: {len(missing)} of {counted(params.n_images, 'image')} failed (the reasons are above); the "
                "same command tries them again"
            )
        return conclusion


class _News:
    """What the first rank hears from all: shows it, and stops the job if that is what it means."""

    def __init__(self, n_images: int, report: Any) -> None:
        self._report = report
        self._n_images = n_images
        self.done = 0
        self.failed: set[int] = set()
        self.crew: FirstRank | None = None

    def __call__(self, news: News) -> None:
        self.done += news.images
        for failure in news.failures:
            if len(self.failed) < MOST_FAILURES:
                print(failure_line(failure), file=sys.stderr, flush=True)
            self.failed.update(failure.images)
            if self.done <= 0 and MOST_FAILURES <= len(self.failed) < self._n_images:
                self.crew.tell(News(stop=f"Sorry: the first {len(self.failed)} images have failed, the last because: "
                                    f"{failure.cause}"))  # fmt: skip
        if news.images or news.failures:
            self._report(self.done + len(self.failed))


def _share(
    comm: Any,
    params: libtbx.phil.scope_extract,
    common: Experiment,
    files: Files,
    todo: Sequence[plan.Task],
    simulator: ImageSimulator,
    sums: Reduction | None,
    taken_over: Sequence[Path],
) -> tuple[list[int], dict[str, Any] | None]:
    """Makes all images together with the other ranks.

    Returns:
        images that failed, counted from 0, and on the first rank a summary.
    """
    n_images = sum(len(task.needed) for task in todo)
    with progress(n_images, show=comm.rank == 0) as report:
        news = _News(n_images, report)
        work = crew(comm, len(todo), news)
        news.crew = work
        output = Output(
            files,
            common.saturation + 1,
            work.tell,
            sums,
            None if params.output.images or sums is None else files.partial_sums(comm.rank),
            taken_over,
            partial(log_to, files.log(comm.rank)) if params.output.log else lambda line: None,
        )
        begun = time.monotonic()
        _, failure = ranks.attempt(lambda: _work(work, todo, simulator, output))
        if failure:
            where = "" if failure.startswith("Sorry") or comm.size == 1 else f"Rank {comm.rank}:\n"
            work.tell(News(stop=where + failure.rstrip()))
        seconds = time.monotonic() - begun
        reports = work.finish(
            Report(output.made, seconds, work.waited_s, output.times, output.overloads, peak_memory())
        )
    stopped_by, failed = ranks.on_first(comm, lambda: (work.stopped_by, sorted(news.failed)))
    noted = summary.summary(reports, failed) if comm.rank == 0 else None
    if comm.rank == 0:
        for text in (overloads(common.saturation, reports), summary.described(noted)):
            if text:
                print(text, flush=True)
    if stopped_by:
        raise ranks.Failed(stopped_by)
    return failed, noted


def _work(work: FirstRank | OtherRank, todo: Sequence[plan.Task], simulator: ImageSimulator, output: Output) -> None:
    """Makes this rank's images."""
    with output, Writer(output) as writer:
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
                # What is wrong with this image alone. Other errors are those of the program or the computer.
                except (Sorry, ValueError, OSError) as error:
                    output.failed((image,), str(error))
                else:
                    output.times.simulate += time.monotonic() - begun
                    writer.put(task, image, counts)
            else:
                writer.put(task, None, None)
        writer.finish()
        output.save_sums()


def _parameters(arguments: list[str]) -> libtbx.phil.scope:
    working = parameters.parse(arguments)
    parameters.validate(working.extract())
    return working


def _finished(files: Files, working: libtbx.phil.scope) -> str | None:
    """What to say if an earlier run of this job has done everything; None if there is something to do.

    Raises:
        Sorry: there are images of another job.
    """
    _check_same_job(files, working)
    params = working.extract()
    output = params.output
    try:
        if same_job.differences(files.parameters, working):
            return None
        if same_job.n_images(files.parameters, working) != params.n_images:
            return None
    except (OSError, ValueError):
        return None
    if output.images and not _is_complete(files, params.n_images):
        return None
    if output.reduce and not reduction.holds(files.reduced, output.reduce, params.n_images):
        return None
    return f"All images are there already\n{_contents(files, params)}"


def _is_complete(files: Files, n_images: int) -> bool:
    """Whether there is a master with nothing missing, and all of its data files."""
    try:
        with h5py.File(files.master, "r") as file:
            if "missing_images" in file[nxmx.IMAGE].attrs:
                return False
    except (OSError, KeyError):
        return False
    return set(range(files.n_data(n_images))) <= set(files.numbers_of_data())


def _check_same_job(files: Files, working: libtbx.phil.scope) -> None:
    """Refuses to go on with images of another job, unless they may be overwritten.

    Raises:
        Sorry: with the names of the parameters that differ.
    """
    there = [files.data(number) for number in files.numbers_of_data()]
    there += [files.partial_sums(number) for number in files.numbers_of_partial_sums()]
    there += [files.reduced] if files.reduced.is_file() else []
    if not there or working.extract().output.overwrite:
        return
    try:
        differences = same_job.differences(files.parameters, working)
    except (OSError, ValueError):
        differences = [f"unknown, as there is no readable {files.parameters.name}"]
    if differences:
        raise Sorry(
            f"output.prefix={files.prefix}: expected another one, or output.overwrite=True, as {there[0]} was "
            f"simulated with other parameters: {'; '.join(differences)}"
        )


def files_of(params: libtbx.phil.scope_extract) -> Files:
    """The files that a job with these parameters writes."""
    output = params.output
    return Files(Path(output.directory), output.prefix, output.images_per_file, output.true_amplitudes)


def _prepare(comm: Any, params: libtbx.phil.scope_extract) -> tuple[Experiment, shared_amplitudes.NodeAmplitudes]:
    """The experiment, which has amplitudes on the first rank only, and the amplitudes that all ranks of a node share.

    Raises:
        ranks.Failed: on all ranks.
    """
    whole: list[Experiment] = []  # on the first rank

    def prepare() -> Experiment:
        measured, model = params.crystal.structure_factors.file, params.crystal.pdb.file or "rubredoxin (PDB 1BRF)"
        print(f"Reading {measured}" if measured else f"Calculating structure factors of {model}", flush=True)
        whole.append(experiment(params))
        return whole[0].without_amplitudes()

    common = ranks.on_first(comm, prepare)
    amplitudes = shared_amplitudes.amplitudes(comm, whole[0].scattering.channels if whole else None)
    return (whole or [common])[0], amplitudes


def _empty_sums(params: libtbx.phil.scope_extract, common: Experiment) -> Reduction | None:
    if not params.output.reduce:
        return None
    shape = nxmx.stored_shape([panel.get_image_size()[::-1] for panel in common.detector])
    return Reduction(params.output.reduce, shape, common.data_type)


def _announcement(params: libtbx.phil.scope_extract, common: Experiment, n_ranks: int) -> str:
    symmetry = common.amplitudes.crystal_symmetry()
    cell = " ".join(f"{x:g}" for x in symmetry.unit_cell().parameters())
    pixels = sum(fast * slow for fast, slow in (panel.get_image_size() for panel in common.detector))
    lines = [
        f"{counted(params.n_images, 'image')} of {pixels} pixels in {counted(len(common.detector), 'panel')}, "
        f"by {counted(n_ranks, 'process', 'processes')}",
        f"Crystal: {symmetry.space_group_info()}, {cell}; {common.amplitudes.size()} amplitudes "
        f"to {common.amplitudes.d_min():.2f} angstrom",
        *common.scattering.messages,
        *sample_parameters.warnings(params, symmetry),
        *beam_parameters.warnings(params),
    ]
    if params.attenuation and common.sensor is None:
        lines.append("detector.reference says nothing of the sensor: attenuation=True has no effect")
    lines += detector_warnings.warnings(common.detector, common.exposure(0).pulse.energies_eV, common.amplitudes)
    lines.append(described(params, common.response, common.saturation))
    return "\n".join(lines)


def _claim(held: ExitStack, files: Files, working: libtbx.phil.scope) -> None:
    """Makes the directory this job's own, until what is held is let go of.

    Raises:
        Sorry: it cannot be written, or another job writes there or has written there.
    """
    with _writable(files.directory, f"output.directory={files.directory}"):
        lock = held.enter_context(same_job.Lock(files.parameters))
        _check_same_job(files, working)
        if working.extract().output.overwrite and _differs(files, working):
            files.remove_results()
        files.remove_temporary()
        # An old master or summary beside new images would pass for theirs if this job does not come to its end.
        for path in (files.master, files.summary):
            path.unlink(missing_ok=True)
    with _writable(files.true_amplitudes.parent, f"output.true_amplitudes={files.true_amplitudes}"):
        pass
    lock.write(same_job.text(working))


@contextmanager
def _writable(directory: Path, name: str) -> Iterator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(0, "it is read-only")
        yield
    except OSError as error:
        raise Sorry(f"{name}: expected a directory to write in, but {error.strerror}") from error


def _differs(files: Files, working: libtbx.phil.scope) -> bool:
    try:
        return bool(same_job.differences(files.parameters, working))
    except (OSError, ValueError):
        return True


def _conclude(
    files: Files,
    working: libtbx.phil.scope,
    common: Experiment,
    missing: Sequence[int],
    sums: Reduction | None,
    noted: dict[str, Any],
) -> str:
    """Writes what is about all images, the master last."""
    params = working.extract()
    n_images = params.n_images
    exposures = [common.exposure(index) for index in range(n_images)]
    pulses = [exposure.pulse for exposure in exposures]
    beams = [pulse.beam for pulse in pulses]
    mean_wavelength = factor_ev_angstrom / common.scattering.mean_energy
    write_amplitudes(files.true_amplitudes, common.amplitudes, mean_wavelength)
    rotation = {"scan": common.scan, "goniometer": common.goniometer}
    if common.scan is None:
        true_beams, true_crystals = beams, [exposure.models for exposure in exposures]
    else:
        true_beams, true_crystals = beams[0], exposures[0].models
    write_experiments(files.true_models, files.master, common.detector, true_beams, true_crystals, **rotation)
    summary.save(files.summary, noted)
    if sums is not None:
        sums.save(files.reduced, common.detector)
        for rank in files.numbers_of_partial_sums():
            files.partial_sums(rank).unlink(missing_ok=True)
    first = next((image for image in range(n_images) if image not in set(missing)), None)
    if params.output.images and first is not None:
        number, index = divmod(first, files.images_per_file)
        shapes = [panel.get_image_size()[::-1] for panel in common.detector]
        panels = nxmx.as_panels(nxmx.read_image(files.data(number), index), shapes)
        write_picture(files.picture, panels, common.detector, beams[0], common.masks)
        # One object where images share it: files then hold it once.
        spectra = {id(pulse): pulse.spectrum for pulse in pulses}
        nxmx.write_master(
            files.master,
            [files.data(number) for number in range(files.n_data(n_images))],
            common.detector,
            beams,
            [spectra[id(pulse)] for pulse in pulses],
            n_images=n_images,
            images_per_file=files.images_per_file,
            missing=missing,
            photons=[pulse.photons for pulse in pulses],
            beam_size_mm=common.beam_size_mm,
            # Pulses may have wavelengths of their own.
            sensor_wavelength=mean_wavelength,
            **rotation,
            description=described(params, common.response, common.saturation),
        )
    return f"\n{_contents(files, params)}"


def _contents(files: Files, params: libtbx.phil.scope_extract) -> str:
    """What a job has written."""
    first, last = files.data(0).name, files.data(files.n_data(params.n_images) - 1).name
    lines = [f"Written to {files.directory}:"]
    if params.output.images:
        names = first if first == last else f"{first} to {last}"
        lines.append(f"  {files.master.name:24} {counted(params.n_images, 'image')}, {names}")
    if params.output.reduce:
        lines.append(f"  {files.reduced.name:24} of all images: {', '.join(params.output.reduce)}")
    lines += [
        f"  {files.true_models.name:24} the true models, one for each crystal",
        f"  {_shown(files.true_amplitudes, files.directory):24} the true amplitudes",
        f"  {files.parameters.name:24} the parameters",
        f"  {files.summary.name:24} how long it took",
    ]
    if params.output.images:
        lines.append(f"  {files.picture.name:24} the first image")
        lines.append(f"Try: dials.import {shlex.quote(str(files.master))}")
    return "\n".join(lines)


def _shown(path: Path, directory: Path) -> str:
    return path.name if path.parent == directory else str(path)
