"""Attacks with random sets of parameters: each gives a right image or one message."""

from __future__ import annotations

import random
from pathlib import Path

import h5py
import numpy as np
from harness import Attack, Ended, Result, left_by, run
from inputs import copy_inputs

from nanobragg_kokkos.job import parameters

# Some plausible values of each parameter, which leave a job that takes seconds; {} is the folder of input files.
PLAUSIBLE: dict[str, tuple[str, ...]] = {
    "n_images": ("1", "2", "3"),
    "seed": ("0", "2", "2147483647"),
    "oversample": ("1", "2", "3"),
    "engine": ("auto", "pixel", "reflection"),
    "tolerance": ("None", "1e-6", "1e-12"),
    "noise": ("True", "False"),
    "attenuation": ("True", "False"),
    "beam.mean_energy": ("None", "9500", "7120", "12658.5", "30000"),
    "beam.total_flux": ("0", "1", "1e9", "1e12", "1e15"),
    "beam.size_mm": ("0.001", "0.01", "1"),
    "spectrum.shape": ("gaussian", "tophat", "file", "sase"),
    "spectrum.nchannels": ("1", "2", "7"),
    "spectrum.channel_width": ("0.1", "1", "20"),
    "spectrum.fwhm": ("0.5", "10", "300"),
    "spectrum.file": ("None", "{}/spectra.txt", "{}/spectra.h5", "{}/image_master.h5", "{}/none.txt"),
    "spectrum.energy_jitter_eV": ("0", "3", "100"),
    "spectrum.pulse_energy_jitter": ("None", "0", "0.3"),
    "spectrum.sase.pulse_length_fs": ("None", "5", "40"),
    "spectrum.sase.spike_width_eV": ("None", "0.3"),
    "crystal.pdb.file": ("None", "{}/model.pdb", "{}/model.cif", "{}/salt.cif", "{}/model.pdb.gz", "{}/data.mtz"),
    "crystal.pdb.model": ("None", "1", "2", "mean"),
    "crystal.structure_factors.file": ("None", "{}/data.mtz", "{}/data.cif", "{}/data.mtz.bz2"),
    "crystal.structure_factors.label": ("None", "F", "I"),
    "crystal.unit_cell": ("None", "20,25,30,90,90,90", "20.4,25,30,90,90,90", "30,30,30,90,90,120"),
    "crystal.space_group": ("None", "P212121", "19", "P 1", "P63", "I 41/a m d"),
    "crystal.b_iso": ("None", "5", "40"),
    "crystal.anomalous": ("sasaki", "henke", "None"),
    "crystal.anomalous_tables": ("None", "S={}/iron.txt", "Fe={}/iron.txt", "Zz={}/iron.txt", "S"),
    "crystal.anomalous_channels": ("None", "1", "3"),
    "crystal.k_sol": ("0", "0.35", "1"),
    "crystal.b_sol": ("0", "46", "300"),
    "crystal.length_um": ("0.5", "3", "50"),
    "crystal.count": ("0", "1", "3"),
    "crystal.cell_variation": ("0", "0.01", "0.01 0.02 0.03"),
    "crystal.orientation.file": ("None", "{}/crystals.expt", "{}/detector.expt"),
    "crystal.Deff_A": ("100", "1000", "4000"),
    "crystal.n_cells": ("None", "5 5 5", "30 20 10", "1 1 1"),
    "crystal.shape": ("square", "round", "gauss", "gauss_argchk", "tophat"),
    "crystal.symmetrize": ("True", "False"),
    "crystal.mosaic_domains": ("1", "2", "5"),
    "crystal.mosaic_spread_deg": ("0", "0.05", "1", "0.1 0.2 0.3"),
    "crystal.mosaic_distribution": ("normal", "peaked"),
    "scan.width_deg": ("None", "0", "0.1", "1"),
    "scan.start_deg": ("0", "30", "-90"),
    "scan.axis": ("1 0 0", "0 1 0", "1 -1 0.5"),
    "scan.steps": ("Auto", "1", "4"),
    "background.water_mm": ("0", "0.01", "1"),
    "background.air_mm": ("0", "5", "100"),
    "detector.name": ("rayonix_mx340", "jungfrau_4m", "cspad"),
    "detector.reference": ("{}/detector.expt", "{}/masked.expt", "{}/image_master.h5", "{}/crystals.expt"),
    "detector.distance_mm": ("None", "100"),
    "detector.offset_mm": ("0", "20", "-20"),
    "detector.beam_center_mm": ("None", "30,30", "10,45"),
    "detector.beam_center_shift_mm": ("None", "1,-1"),
    "detector.layers": ("None", "1", "3"),
    "psf.shape": ("none", "gauss", "fiber"),
    "psf.fwhm_mm": ("None", "0.08", "3"),
    "psf.radius_pixels": ("None", "5"),
    "detector_response.preset": ("auto", "none", "rayonix", "jungfrau", "pilatus", "eiger", "cspad"),
    "detector_response.flicker": ("None", "0", "0.1"),
    "detector_response.calibration_noise": ("None", "0", "0.03"),
    "detector_response.calibration_seed": ("None", "3"),
    "detector_response.quantum_gain": ("None", "1", "2.5"),
    "detector_response.readout_noise": ("None", "0", "3"),
    "detector_response.adc_offset": ("None", "0", "10"),
    "detector_response.saturation": ("None", "1000", "65000"),
    "detector_response.data_type": ("auto", "int32", "uint16"),
    "output.directory": ("out",),
    "output.prefix": ("shot", "run.1", "é", "a b"),
    "output.overwrite": ("True", "False"),
    "output.images": ("True", "True", "False"),
    "output.images_per_file": ("1", "2", "100"),
    "output.reduce": ("None", "sum", "sum+mean+variance+maximum+radial+histogram"),
    "output.true_amplitudes": ("None", "{}/amplitudes.mtz"),
    "output.log": ("True", "False"),
}

NONSENSE = (
    "-1", "0", "nan", "inf", "-inf", "1e400", "", "None", "Auto", "abc", "3.7", '"', "'", "{", "}", "1 2 3", "True",
    "P 1", "1e-300", "1e300", "99999999999999999999", "*", "a*b", "\\", "#", ";", "../..", "é", "$HOME", "!", "=",
    "1,2,3,4,5,6", "\udcff", "2147483648", "-2147483649", "{}", "{}/model.pdb", "/dev/null",
)  # fmt: skip

# Of the pixels, the share that may differ between the engines by more than one count: where a count is drawn, the
# smallest difference of its mean can give another draw, which a gain or a point spread makes larger.
RARE = 0.005


def drawn(number: int, directory: Path) -> list[str]:
    """Returns a random set of parameters: mostly plausible, sometimes one or two of nonsense."""
    chance = random.Random(f"parameters {number}")
    names = chance.sample(sorted(PLAUSIBLE), chance.randint(2, 9))
    n_nonsense = chance.choice((0, 0, 0, 1, 2))
    given = ["n_images=2", "crystal.mosaic_domains=2", "spectrum.nchannels=2", "crystal.pdb.file={}/model.pdb"]
    given.append("detector.reference={}/detector.expt")
    for k, name in enumerate(names):
        nonsense = k < n_nonsense and name != "output.directory"
        given.append(f"{name}={chance.choice(NONSENSE if nonsense else PLAUSIBLE[name])}")
    # Plausible, but an attack on other parameters alone.
    if "spectrum.file" in names and not any(argument.startswith("spectrum.shape") for argument in given):
        given.append("spectrum.shape=file")
    if "crystal.structure_factors.file" in names:
        given.append("crystal.pdb.file=None")
    if "detector.name" in names:
        given.append("detector.reference=None")
    return [argument.replace("{}", str(directory), 1) for argument in given]


def case(number: int, directory: Path) -> Result:
    """Simulates with a random set of parameters, and once more from the recorded ones with the other engine."""
    copy_inputs(directory)
    out = directory / "out"
    given = [*drawn(number, directory), f"output.directory={out}"]
    ended = run(given, directory)
    said = " ".join(given) + "\n" + ended.said
    problem = ended.problem or left_by(out, ended)
    if not problem and ended.code == 0:
        problem, more = _compared(out, directory)
        said += more
    return Result(ended.word, problem, said)


def _compared(out: Path, directory: Path) -> tuple[str, str]:
    """Returns what is wrong with a job's images, which the other engine makes again, and the output of that job."""
    (recorded,) = out.glob("*.phil")
    params = parameters.parse([str(recorded)]).extract()
    if not params.output.images:
        return "", ""
    again = directory / "again"
    # The reflection-driven engine computes shapes without an end only to a tolerance.
    both = params.crystal.shape not in ("square", "round") or params.tolerance is not None
    other = "pixel" if "Spots: reflection engine" in (directory / "output.txt").read_text() else "reflection"
    engine = other if both else "pixel"
    ended: Ended = run(
        [str(recorded), f"engine={engine}", "output.true_amplitudes=None", f"output.directory={again}"], directory
    )
    if ended.code:
        return f"its recorded parameters, with engine={engine}, are {ended.word}", ended.said
    names = sorted(path.name for path in out.glob(f"{params.output.prefix}_[0-9]*.h5"))
    found, expected = _pixels(out, names), _pixels(again, names)
    if found.shape != expected.shape or found.shape[0] != params.n_images:
        return f"images of the shapes {found.shape}, and with engine={engine} {expected.shape}", ended.said
    if found.min() < -1:
        return f"counts of {found.min()}", ended.said
    differ = np.abs(found - expected) > 1
    if differ.mean() > RARE:
        return f"{100 * differ.mean():.2g} % of the pixels differ with engine={engine}", ended.said
    return "", ended.said


def _pixels(out: Path, names: list[str]) -> np.ndarray:
    images = []
    for name in names:
        with h5py.File(out / name) as file:
            images.append(file["entry/data/data"][()].astype(np.int64))
    return np.concatenate(images)


ATTACK = Attack("random sets of parameters", 300, case)
