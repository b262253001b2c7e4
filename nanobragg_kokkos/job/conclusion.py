"""The end of a job: writes the files about all images, and lists all files."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import libtbx.phil
import numpy as np
from cctbx import factor_ev_angstrom

from nanobragg_kokkos.files import nxmx
from nanobragg_kokkos.files.picture import write_picture
from nanobragg_kokkos.files.true_models import write_amplitudes, write_experiments
from nanobragg_kokkos.imaging.experiment import Experiment
from nanobragg_kokkos.job import summary
from nanobragg_kokkos.job.directory import Workspace
from nanobragg_kokkos.job.file_names import FileNames
from nanobragg_kokkos.job.reduction import Reduction
from nanobragg_kokkos.models.detector.from_parameters import described
from nanobragg_kokkos.util.progress import counted

# Bytes a pixel that the picture takes, and the results of sums; measured with 15 million pixels.
PICTURE_BYTES = 16
RESULTS_BYTES = 33


def require_memory(common: Experiment, sums: Reduction | None) -> None:
    """Finds out whether there will be memory for the end of the job, before all images are made.

    Raises:
        MemoryError: there will not.
    """
    pixels = sum(fast * slow for fast, slow in (panel.get_image_size() for panel in common.detector))
    results = sums is not None and {"mean", "variance", "radial"} & set(sums.quantities)
    # Never touched, it takes address space alone, of which limits of memory are made.
    np.empty(pixels * (RESULTS_BYTES if results else PICTURE_BYTES), np.uint8)


def conclude(
    workspace: Workspace,
    params: libtbx.phil.scope_extract,
    common: Experiment,
    missing: Sequence[int],
    sums: Reduction | None,
    measured: dict[str, Any],
) -> str:
    """Writes the files about all images, the master last.

    Args:
        workspace: the files and their record.
        params: the effective parameters.
        common: the experiment.
        missing: images that failed, counted from 0.
        sums: sums over all images; None: none are requested.
        measured: the summary of the job.

    Returns:
        The text that lists the files.
    """
    files, n_images = workspace.files, params.n_images
    exposures = [common.exposure(index) for index in range(n_images)]
    pulses = [exposure.pulse for exposure in exposures]
    beams = [pulse.beam for pulse in pulses]
    mean_wavelength = factor_ev_angstrom / common.scattering.mean_energy
    if common.amplitudes is not None:
        write_amplitudes(files.true_amplitudes, common.amplitudes, mean_wavelength)
        workspace.written(files.true_amplitudes)
    if common.scan is None:
        true_beams, true_crystals = beams, [exposure.models for exposure in exposures]
        blocks: list[Any] = [exposure.mosaic_blocks for exposure in exposures]
    else:
        true_beams, true_crystals = beams[0], exposures[0].models
        blocks = common.blocks_at_datum()
    write_experiments(
        files.true_models,
        files.master,
        common.detector,
        true_beams,
        true_crystals,
        scan=common.scan,
        goniometer=common.goniometer,
        mosaic_blocks=blocks,
    )
    workspace.written(files.true_models)
    # After a run that had nothing to make, there is the summary of the one that made the images.
    last = workspace.record.summary
    if last is None or measured["images"] or measured["failed_images"]:
        last = measured
        workspace.record.summarize(measured)
    summary.save(files.summary, last)
    workspace.written(files.summary)
    if sums is not None:
        sums.save(files.reduced, common.detector)
        workspace.written(files.reduced)
        workspace.remove_partial_sums()
    first = next((image for image in range(n_images) if image not in set(missing)), None)
    if params.output.images and first is not None:
        number, index = divmod(first, files.images_per_file)
        shapes = [panel.get_image_size()[::-1] for panel in common.detector]
        panels = nxmx.as_panels(nxmx.read_image(files.data(number), index), shapes)
        write_picture(files.picture, panels, common.detector, beams[0], common.masks)
        workspace.written(files.picture)
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
            scan=common.scan,
            goniometer=common.goniometer,
            description=described(params, common.response, common.saturation),
        )
        workspace.written(files.master)
    if not missing:
        workspace.conclude()
    return f"\n{contents(files, params)}"


def contents(files: FileNames, params: libtbx.phil.scope_extract) -> str:
    """Returns the text that lists the files of a job."""
    first, last = files.data(0).name, files.data(files.n_data(params.n_images) - 1).name
    names = first if first == last else f"{first} to {last}"
    entries = {
        files.master: f"{counted(params.n_images, 'image')}, {names}",
        files.reduced: f"over all images: {', '.join(params.output.reduce)}" if params.output.reduce else "",
        files.true_models: "true models, one for each crystal",
        files.true_amplitudes: "true amplitudes",
        files.parameters: "parameters",
        files.record: "record of the job: parameters, checksums of all files",
        files.summary: "times of each step",
        files.picture: "first image",
    }
    if not params.output.images:
        del entries[files.master], entries[files.picture]
    lines = [f"Written to {files.directory}:"]
    lines += [
        f"  {_shown(path, files.directory):24} {text}" for path, text in entries.items() if text and path.exists()
    ]
    if params.output.images and files.master.exists():
        lines.append(f"Try: dials.import {shlex.quote(str(files.master))}")
    return "\n".join(lines)


def _shown(path: Path, directory: Path) -> str:
    return path.name if path.parent == directory else str(path)
