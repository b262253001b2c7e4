"""Reads a finished run of nanobragg_kokkos.simulate from its files."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import libtbx.phil
import numpy as np
from cctbx import factor_ev_angstrom, miller
from dxtbx.model import Crystal as CrystalModel
from dxtbx.model import ExperimentList
from iotbx import mtz
from libtbx.utils import Sorry

from nanobragg_kokkos.files.reader import ImageReader
from nanobragg_kokkos.imaging.prediction import Imperfection, ScanImage, Spots, predict
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.job.file_names import FileNames
from nanobragg_kokkos.job.summary import headline, rows
from nanobragg_kokkos.models.beam.pulses import Pulse
from nanobragg_kokkos.models.detector.from_parameters import detector_response
from nanobragg_kokkos.models.sample.specimen import illuminated_volume_mm3
from nanobragg_kokkos.util.model_files import read_models
from nanobragg_kokkos.util.reading import reading

MASTER_END = "_master.h5"


@dataclass(frozen=True)
class Scale:
    """Converts counts to photons: (counts - offset) / gain."""

    gain: float = 1.0
    offset: float = 0.0


class Run:
    """The files of a run. Images, true models and the beam of the master file must exist; other files may be missing.

    Args:
        path: the master file, or its directory.

    Attributes:
        n_images: number of images that the run was to make.
        there: numbers of the images that have not failed, counted from 0.

    Raises:
        Sorry: there is no master file, there are several, or a file that must exist is missing or damaged.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.master = _master(Path(path))
        self.prefix = self.master.name[: -len(MASTER_END)]
        self.frames = ImageReader([self.master])
        self.truth = self._truth()
        self.n_images = len(self.frames)
        self.there = [image for image in range(self.n_images) if image not in self.frames.missing]
        if not self.there:
            raise Sorry(f"{self.master}: expected at least one image, but all have failed")

    def file(self, end: str) -> Path:
        """Returns the path of the run's file whose name has this end, whether the file exists or not."""
        return self.master.with_name(self.prefix + end)

    def crystals(self, image: int) -> list[CrystalModel]:
        """Returns the true crystals in an image, counted from 0."""
        return [crystal for crystal, images in self._crystals_and_images if images is None or image in images]

    @property
    def all_crystals(self) -> list[CrystalModel]:
        """Returns the true crystals of all images."""
        return [crystal for crystal, _ in self._crystals_and_images]

    def pulse(self, image: int) -> Pulse:
        """Returns the pulse of an image, counted from 0."""
        beam = next(
            (e.beam for e in self.truth if e.scan is not None or image in e.imageset.indices()), self.truth[0].beam
        )
        wavelengths, weights, _, _ = self._pulses
        row = image if wavelengths.ndim == 2 else ...
        energies = factor_ev_angstrom / wavelengths[row]
        return Pulse(beam, energies, weights[image if weights.ndim == 2 else ...], float(self.photons[image]))

    def fluence(self, image: int) -> float:
        """Returns the photons/mm² of an image's pulse; NaN if the file does not give them."""
        return float(self.photons[image]) / self._pulses[3]

    @cached_property
    def photons(self) -> np.ndarray:
        """Returns the photons of each pulse, (n_images,); NaN if the file does not give them."""
        return np.broadcast_to(self._pulses[2], self.n_images)

    @cached_property
    def amplitudes(self) -> miller.array | None:
        """Returns the true amplitudes, those of the first of several energies; None if their file is missing."""
        path = Path(getattr(self._asked("output"), "true_amplitudes", None) or self.file("_truth.mtz"))
        if not path.is_file():
            return None
        arrays = mtz.object(str(path)).as_miller_arrays()
        return next((array for array in arrays or [] if array.is_xray_amplitude_array()), None)

    @cached_property
    def parameters(self) -> libtbx.phil.scope | None:
        """Returns the effective parameters; None if their file is missing or of another version."""
        path = self.file(".phil")
        try:
            return parameters.parse([str(path)]) if path.is_file() else None
        except Sorry:
            return None

    @cached_property
    def summary(self) -> dict[str, Any] | None:
        """Returns the summary of times and failures (job.summary); None if its file is missing or damaged."""
        path = self.file("_summary.json")
        try:
            found = json.loads(path.read_text())
            headline(found), rows(found)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found

    @cached_property
    def imperfection(self) -> Imperfection:
        """Returns the imperfection of the crystals that the parameters give; defaults if these are unknown."""
        crystal = self._asked("crystal")
        values: dict[str, Any] = {"shape": getattr(crystal, "shape", None)}
        # Of three numbers, one for each axis, the root mean square.
        spread = np.atleast_1d(getattr(crystal, "mosaic_spread_deg", None) or [])
        values["mosaic_spread_deg"] = math.sqrt(np.mean(np.square(spread))) if len(spread) else None
        values["domain_A"] = getattr(crystal, "Deff_A", None)
        if getattr(crystal, "n_cells", None):
            axes = self.all_crystals[0].get_unit_cell().parameters()[:3]
            values["domain_A"] = float(np.prod(np.multiply(crystal.n_cells, axes)) ** (1 / 3))
        return Imperfection(**{name: value for name, value in values.items() if value is not None})

    @cached_property
    def volume_mm3(self) -> float:
        """Returns the volume of each crystal in the beam that the parameters give; NaN if these are unknown."""
        length, size = getattr(self._asked("crystal"), "length_um", None), getattr(self._asked("beam"), "size_mm", None)
        return math.nan if length is None or size is None else illuminated_volume_mm3(length, size)

    @cached_property
    def scale(self) -> Scale:
        """Returns the scale from counts to photons that the parameters give."""
        if self.parameters is None:
            return Scale()
        response = detector_response(self.parameters.extract(), self.truth[0].detector)
        return Scale(response.quantum_gain, response.adc_offset)

    def spots(self, image: int, d_min: float) -> Spots:
        """Predicts the spots of an image, counted from 0, to a resolution in angstrom."""
        experiment = self.truth[0]
        scan_image = None if experiment.scan is None else ScanImage(experiment.goniometer, experiment.scan, image)
        return predict(
            self.crystals(image),
            self.pulse(image),
            experiment.detector,
            d_min,
            self.imperfection,
            self.amplitudes,
            self.volume_mm3,
            self.fluence(image),
            scan_image,
        )

    def _truth(self) -> ExperimentList:
        path = self.file("_truth.expt")
        if not path.is_file():
            raise Sorry(f"{self.master}: expected its true models, but there is no {path.name} in this directory")
        with reading(str(path), "a dxtbx model file"):
            found = read_models(path).experiments
        if all(experiment.crystal is None for experiment in found):
            raise Sorry(f"{path}: expected at least one crystal")
        return found

    @cached_property
    def _crystals_and_images(self) -> list[tuple[CrystalModel, frozenset[int] | None]]:
        """Returns every crystal with the numbers of the images that contain it; None: all images."""
        return [
            (e.crystal, None if e.scan is not None else frozenset(e.imageset.indices()))
            for e in self.truth
            if e.crystal is not None
        ]

    @cached_property
    def _pulses(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """Returns wavelengths and weights, (n) or (images, n); photons (1 or images); the beam's cross-section, mm²."""
        name = "entry/instrument/beam"
        try:
            with h5py.File(self.master) as file:
                group = file[name]
                spectrum = "incident_wavelength_1Dspectrum"
                if spectrum in group:
                    wavelengths, weights = group[spectrum][()], group[spectrum + "_weights"][()]
                else:
                    wavelengths = np.atleast_1d(group["incident_wavelength"][()])
                    # Several wavelengths: each is the only one of its image.
                    wavelengths = wavelengths[:, None] if len(wavelengths) > 1 else wavelengths
                    weights = np.ones_like(wavelengths)
                photons = (
                    np.atleast_1d(group["total_flux_integrated"][()])
                    if "total_flux_integrated" in group
                    else [math.nan]
                )
                sides = group["incident_beam_size"][()] * 1e3 if "incident_beam_size" in group else (math.nan, math.nan)
        except (OSError, KeyError) as error:
            raise Sorry(f"{self.master}: expected a beam in {name}, but {' '.join(str(error).split())}") from error
        return wavelengths, weights, np.asarray(photons, float), float(np.prod(sides))

    def _asked(self, scope: str) -> Any:
        return None if self.parameters is None else getattr(self.parameters.extract(), scope, None)


def _why_no_master(directory: Path) -> str | None:
    """Returns why a job's directory has no master file; None if no job has written there."""
    for parameters_file in sorted(directory.glob("*.phil")):
        files = FileNames(directory, parameters_file.stem)
        if files.numbers_of_data():
            return (
                f"expected a finished run, but there is no {files.master.name}; the same nanobragg_kokkos.simulate "
                "command makes the missing images"
            )
        if files.reduced.is_file() or files.numbers_of_partial_sums():
            return f"expected images, but {parameters_file.name} has output.images=False: there are only sums"
    return None


def _master(path: Path) -> Path:
    if path.is_dir():
        found = sorted(path.glob("*" + MASTER_END))
        if not found and (reason := _why_no_master(path)):
            raise Sorry(f"{path}: {reason}")
        if len(found) != 1:
            names = ", ".join(p.name for p in found[:5]) or "none"
            raise Sorry(f"{path}: expected one finished run in this directory (*{MASTER_END}), but there is: {names}")
        return found[0]
    if not path.is_file():
        raise Sorry(f"{path}: there is no such file or directory")
    if not path.name.endswith(MASTER_END):
        raise Sorry(f"{path}: expected the master file of a run (*{MASTER_END}) or its directory")
    return path
