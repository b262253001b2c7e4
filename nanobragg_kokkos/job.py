"""A job of nanobragg_kokkos.simulate, from its arguments to its files, on any number of MPI ranks.

The first rank reads the parameters and prepares the models; all ranks share the images; the first writes what is about
all images. Every image is a file of its own, which does not depend on how many ranks there are.
"""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator

import libtbx.phil
import numpy as np
from cctbx import factor_ev_angstrom
from libtbx.utils import Sorry

from nanobragg_kokkos import node_memory, parameters, ranks, response_parameters
from nanobragg_kokkos.atomic import whole_file
from nanobragg_kokkos.detector_remarks import remarks
from nanobragg_kokkos.detector_response import Counts
from nanobragg_kokkos.experiment import Experiment
from nanobragg_kokkos.images import Images
from nanobragg_kokkos.models import experiment
from nanobragg_kokkos.nxmx import write_image, write_master
from nanobragg_kokkos.picture import write_picture
from nanobragg_kokkos.progress import counted, progress
from nanobragg_kokkos.truth import write_amplitudes, write_experiments
from nanobragg_kokkos.writer import Writer


class Files:
    """The names of what a job writes."""

    def __init__(self, directory: str, prefix: str, true_amplitudes: str | None = None) -> None:
        self.directory = Path(directory)
        self.prefix = prefix
        self.true_amplitudes = Path(true_amplitudes or self.directory / f"{prefix}_truth.mtz")

    def image(self, index: int) -> Path:
        """Of image number index, counted from 0; names count from 1."""
        return self.directory / f"{self.prefix}_{index + 1:05d}.h5"

    @property
    def master(self) -> Path:
        return self.directory / f"{self.prefix}_master.h5"

    @property
    def true_models(self) -> Path:
        return self.directory / f"{self.prefix}_truth.expt"

    @property
    def parameters(self) -> Path:
        return self.directory / f"{self.prefix}.phil"

    @property
    def picture(self) -> Path:
        return self.directory / f"{self.prefix}.png"


def main(arguments: list[str]) -> int:
    """Runs the command on this rank; returns the exit code of the process."""
    try:
        comm = ranks.world()
    except ranks.Failed as failure:
        print(failure, end="\n" if str(failure) else "", file=sys.stderr)
        return 1
    try:
        if {"-h", "--help"} & set(arguments):
            text = parameters.help_text()
        elif {"-c", "--show-config"} & set(arguments):
            others = [argument for argument in arguments if argument not in ("-c", "--show-config")]
            text = ranks.on_first(comm, lambda: _parameters(others).as_str())
        else:
            text = run(comm, arguments)
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


def _left(comm: Any, code: int) -> int:
    """The exit code of a rank that ends of its own accord, for which the others are not to wait."""
    comm.Abort(code)
    return code


def run(comm: Any, arguments: list[str]) -> str:
    """Simulates and writes; returns what there is to say about it.

    Raises:
        ranks.Failed: on all ranks.
    """
    whole: list[Experiment] = []  # on the first rank

    def prepare() -> tuple[libtbx.phil.scope, Experiment]:
        working, experiment = _prepare(arguments)
        whole.append(experiment)
        return working, experiment.without_amplitudes()

    working, common = ranks.on_first(comm, prepare)
    amplitudes = node_memory.amplitudes(comm, whole[0].scattering.channels if whole else None)
    common = whole[0] if whole else common
    params = working.extract()
    files = Files(params.output.directory, params.output.prefix, params.output.true_amplitudes)
    if comm.rank == 0:
        print(_announcement(params, common, comm.size), amplitudes, sep="\n", flush=True)

    simulate = ranks.on_all(comm, lambda: Images(common, params.engine, params.tolerance, amplitudes.box))
    ranks.on_first(comm, lambda: _make_room(files))
    engine_line = ranks.on_first(comm, simulate.engine_line)
    if comm.rank == 0:
        print(engine_line, flush=True)
    written = _Written(common, files)
    with Writer(written) as writer, progress(params.n_images, show=comm.rank == 0) as report:

        def simulate_and_write(image: int) -> None:
            if image < params.n_images:
                writer.put(image, simulate(image))
            if image + comm.size >= params.n_images:  # this rank's last
                writer.finish()

        for first in range(0, params.n_images, comm.size):
            ranks.on_all(comm, lambda: simulate_and_write(first + comm.rank))
            report(min(first + comm.size, params.n_images))
    overloads = _overloads(common.saturation, sum(comm.allgather(written.overloads), []), params.n_images)
    if comm.rank == 0 and overloads:
        print(overloads, flush=True)
    return ranks.on_first(comm, lambda: _conclude(files, working, common, params.n_images, written.first_image))


class _Written:
    """Writes images, and keeps what there is to say of them."""

    def __init__(self, common: Experiment, files: Files) -> None:
        self.overload = common.saturation + 1
        self.files = files
        self.overloads: list[int] = []  # pixels of each image that has any
        self.first_image: tuple[np.ndarray, ...] | None = None

    def __call__(self, index: int, counts: Counts) -> None:
        panels = counts.panels()
        write_image(self.files.image(index), panels)
        overloads = sum(np.count_nonzero(panel == self.overload) for panel in panels)
        if overloads:
            self.overloads.append(overloads)
        if index == 0:
            self.first_image = panels


def _overloads(saturation: int, overloads: list[int], n_images: int) -> str:
    """What to say of pixels, by image, that are brighter than is trusted; nothing if there are none."""
    if not overloads:
        return ""
    return (
        f"Overloads: {counted(sum(overloads), 'pixel')} in {len(overloads)} of {counted(n_images, 'image')} would "
        f"count more than {saturation}, and read {saturation + 1}"
    )


def _parameters(arguments: list[str]) -> libtbx.phil.scope:
    working = parameters.parse(arguments)
    parameters.validate(working.extract())
    return working


def _prepare(arguments: list[str]) -> tuple[libtbx.phil.scope, Experiment]:
    working = _parameters(arguments)
    params = working.extract()
    measured, model = params.crystal.structure_factors.file, params.crystal.pdb.file or "rubredoxin (PDB 1BRF)"
    print(f"Reading {measured}" if measured else f"Calculating structure factors of {model}", flush=True)
    return working, experiment(params)


def _announcement(params: libtbx.phil.scope_extract, common: Experiment, n_ranks: int) -> str:
    symmetry = common.amplitudes.crystal_symmetry()
    cell = " ".join(f"{x:g}" for x in symmetry.unit_cell().parameters())
    pixels = sum(fast * slow for fast, slow in (panel.get_image_size() for panel in common.detector))
    lines = [
        f"{counted(params.n_images, 'image')} of {pixels} pixels in {counted(len(common.detector), 'panel')}, "
        f"by {counted(n_ranks, 'process', 'processes')}",
        f"Crystal: {symmetry.space_group_info()}, {cell}; {common.amplitudes.size()} amplitudes "
        f"to {common.amplitudes.d_min():.2f} angstrom",
        *common.scattering.notes,
    ]
    if params.attenuation and common.sensor is None:
        lines.append("detector.reference says nothing of the sensor: attenuation=True has no effect")
    lines += remarks(common.detector, common.shot(0).pulse.energies_eV, common.amplitudes)
    lines.append(response_parameters.described(params, common.response, common.saturation))
    return "\n".join(lines)


def _make_room(files: Files) -> None:
    with _writable(files.directory, f"output.directory={files.directory}"):
        # An old master beside new images would pass for theirs if this job does not come to its end.
        files.master.unlink(missing_ok=True)
    with _writable(files.true_amplitudes.parent, f"output.true_amplitudes={files.true_amplitudes}"):
        pass


@contextmanager
def _writable(directory: Path, name: str) -> Iterator[None]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise Sorry(f"{name}: expected a directory to write in, but {error.strerror}") from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise Sorry(f"{name}: expected a directory to write in, but it is read-only")


def _conclude(
    files: Files,
    working: libtbx.phil.scope,
    common: Experiment,
    n_images: int,
    first_image: tuple[np.ndarray, ...],
) -> str:
    """Writes what is about all images, the master last."""
    with whole_file(files.parameters) as temporary:
        Path(temporary).write_text(working.as_str())
    shots = [common.shot(index) for index in range(n_images)]
    pulses = [shot.pulse for shot in shots]
    beams = [pulse.beam for pulse in pulses]
    # One object where images share it: files then hold it once.
    spectra = {id(pulse): pulse.spectrum for pulse in pulses}
    write_amplitudes(files.true_amplitudes, common.amplitudes, factor_ev_angstrom / common.scattering.mean_energy)
    rotation = {"scan": common.scan, "goniometer": common.goniometer}
    if common.scan is None:
        true_beams, true_crystals = beams, [shot.models for shot in shots]
    else:
        true_beams, true_crystals = beams[0], shots[0].models
    write_experiments(files.true_models, files.master, common.detector, true_beams, true_crystals, **rotation)
    write_picture(files.picture, first_image, common.detector, beams[0], common.masks)
    write_master(
        files.master,
        [files.image(index) for index in range(n_images)],
        common.detector,
        beams,
        [spectra[id(pulse)] for pulse in pulses],
        photons=[pulse.photons for pulse in pulses],
        beam_size_mm=common.beam_size_mm,
        **rotation,
        description=response_parameters.described(working.extract(), common.response, common.saturation),
    )
    first, last = files.image(0).name, files.image(n_images - 1).name
    return f"""
Written to {files.directory}:
  {files.master.name:24} {counted(n_images, "image")}, {first if n_images == 1 else f"{first} to {last}"}
  {files.true_models.name:24} the true models, one for each crystal
  {_shown(files.true_amplitudes, files.directory):24} the true amplitudes
  {files.parameters.name:24} the parameters
  {files.picture.name:24} the first image
Try: dials.import {shlex.quote(str(files.master))}"""


def _shown(path: Path, directory: Path) -> str:
    return path.name if path.parent == directory else str(path)
