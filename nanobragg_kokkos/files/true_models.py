"""Writes the true models of simulated images, which a data reduction should find, in the field's formats.

`write_experiments`: a dxtbx experiment list, one experiment for each crystal of an image or of a rotation series, whose
imagesets point into the NXmx master file (by its relative name) and whose models are in that file's frame.
`write_amplitudes`: the structure-factor amplitudes as MTZ.
"""

from __future__ import annotations

import copy
import json
import os
import re
import uuid
from collections.abc import Sequence
from typing import Any

import iotbx.mtz
import numpy as np
from cctbx import miller
from dxtbx.model import (
    Beam,
    Crystal,
    Detector,
    Experiment,
    ExperimentList,
    Goniometer,
    MosaicCrystalSauter2014,
    Scan,
)
from libtbx.utils import Sorry
from scipy.spatial.transform import Rotation

from nanobragg_kokkos.models.beam_along_z import frame_rotation, rotated_detector
from nanobragg_kokkos.util.whole_files import whole_file

# The MTZ library notes for every column when it was made; equal amplitudes are to give equal files.
MTZ_TIME = re.compile(rb"CREATED_\d\d/\d\d/\d{4}_\d\d:\d\d:\d\d")
MTZ_RECORD = 80
MTZ_GROUP_NAME = 20  # characters that the library keeps of a space group's symbol
MTZ_END = b"MTZENDOFHEADERS"
MTZ_NO_TIME = b"CREATED_BY_nanobragg_kokkos"


def write_experiments(
    path: str | os.PathLike,
    master_path: str | os.PathLike,
    detector: Detector,
    beam: Beam | Sequence[Beam],
    crystals: Sequence[Crystal | Sequence[Crystal]],
    *,
    mosaic_blocks: Sequence[np.ndarray | Sequence[np.ndarray]] | None = None,
    mosaic_spread_deg: float | None = None,
    domain_size_A: float | None = None,
    scan: Scan | None = None,
    goniometer: Goniometer | None = None,
) -> None:
    """Writes the true experiments to `path` (.expt). The master file need not exist yet.

    The file depends only on the arguments; the experiments' identifiers follow from the models.

    Args:
        path: path of the file.
        master_path: path of the master file.
        detector, beam: as for `nxmx.write_master`; one beam for all images, or one for each. With a scan: one.
        crystals: for stills, a crystal or a sequence of crystals, which may be empty, for each image in the order of
            the master file; if all are empty, there is an experiment without a crystal for each image. With a scan:
            any number of crystals, which are in all images.
        mosaic_blocks: rotation matrices (n, 3, 3) of the blocks of each crystal, in the same order. The file has them
            as mosaic_blocks_deg of each crystal: rotation vectors, degrees, in the file's frame. dxtbx ignores them.
        mosaic_spread_deg, domain_size_A: full width in degrees, and size in angstrom. If either is given, the crystals
            are written as dxtbx's MosaicCrystalSauter2014, which holds both; otherwise unchanged.
        scan, goniometer: models of a rotation; None for stills.

    Raises:
        ValueError: sequences of wrong length.
        Sorry: the file cannot be written.
    """
    blocks = None if mosaic_blocks is None else _flat(mosaic_blocks)
    # Of which image each crystal is; in a scan, each is in all images.
    if scan is None:
        images = [[one] if isinstance(one, Crystal) else list(one) for one in crystals]
        placed = [(image, crystal) for image, some in enumerate(images) for crystal in some]
        # Without any crystal in any image, there is the geometry of each image to tell.
        placed = placed or [(image, None) for image in range(len(images))]
    else:
        images = [list(crystals)]
        placed = [(0, crystal) for crystal in crystals]
    beams = [beam] * len(images) if isinstance(beam, Beam) else list(beam)
    if not placed:
        raise ValueError("crystals: expected at least one.")
    if len(beams) != len(images):
        what = "the number of images" if scan is None else "of a scan"
        raise ValueError(f"beam: expected one or {len(images)} ({what}), got {len(beams)}.")
    if (scan is None) != (goniometer is None):
        raise ValueError("scan, goniometer: give both or none.")

    rotation = frame_rotation(beams)
    detector = rotated_detector(detector, rotation)
    if goniometer is not None:
        goniometer = _turned(goniometer, rotation)
    # One object where the caller had one: the file then holds it once.
    turned_beams = {id(b): _turned(b, rotation) for b in beams}

    experiments = ExperimentList()
    for k, (image, crystal) in enumerate(placed):
        if crystal is not None:
            crystal = _turned(_with_mosaicity(crystal, mosaic_spread_deg, domain_size_A), rotation)
        experiments.append(
            Experiment(
                beam=turned_beams[id(beams[image])],
                detector=detector,
                crystal=crystal,
                goniometer=goniometer,
                scan=scan,
                identifier=_identifier(k, crystal),
            )
        )
    contents = experiments.to_dict()
    master = os.path.relpath(master_path, os.path.dirname(os.path.abspath(path)))
    contents["imageset"] = _imagesets(master, len(images), scan)
    for (image, _), experiment in zip(placed, contents["experiment"]):
        experiment["imageset"] = image
    if blocks is not None:
        n_crystals = sum(crystal is not None for _, crystal in placed)
        if len(blocks) != n_crystals:
            raise ValueError(f"mosaic_blocks: expected those of {n_crystals} crystals, got {len(blocks)}.")
        for experiment, matrices in zip(contents["experiment"], blocks):
            vectors = Rotation.from_matrix(rotation @ matrices @ rotation.T).as_rotvec(degrees=True)
            contents["crystal"][experiment["crystal"]]["mosaic_blocks_deg"] = vectors.round(12).tolist()
    with whole_file(path) as temporary, open(temporary, "w") as file:
        json.dump(contents, file, indent=2)
        file.write("\n")


def write_amplitudes(path: str | os.PathLike, amplitudes: miller.array, wavelength: float | None = None) -> None:
    """Writes real amplitudes to `path` (.mtz), with columns F, or F(+) and F(-) where they are anomalous.

    Args:
        path: path of the file.
        amplitudes: any cctbx array of real numbers.
        wavelength: wavelength of the dataset, angstrom.

    Raises:
        ValueError: an array of another kind.
        Sorry: the file cannot be written.
    """
    if not amplitudes.is_real_array():
        raise ValueError("amplitudes: expected a real array; take abs() of complex structure factors.")
    amplitudes = amplitudes.customized_copy(sigmas=None).set_observation_type_xray_amplitude()
    dataset = amplitudes.as_mtz_dataset(column_root_label="F", title="True amplitudes", wavelength=wavelength)
    with whole_file(path) as temporary:
        try:
            _with_group_name(dataset.mtz_object()).write(temporary)
        except RuntimeError as error:
            raise Sorry(f"Cannot write {path}: {error}") from error
        with open(temporary, "r+b") as file:
            contents = MTZ_TIME.sub(MTZ_NO_TIME, file.read())
            # The library overlooks it if the last buffer does not fit on the disk.
            if not contents[-MTZ_RECORD:].startswith(MTZ_END):
                raise Sorry(f"Cannot write {path}: the disk took a part of it only.")
            file.seek(0)
            file.write(contents)


def _with_group_name(file: iotbx.mtz.object) -> iotbx.mtz.object:
    """Returns the file with the symbol of its space group, where cctbx writes a number for want of CCP4's name."""
    if not file.space_group_name().startswith("No."):
        return file
    kind = file.space_group().type()
    centring = file.space_group().conventional_centring_type_symbol()
    if kind.number() <= 2 and centring.isalpha():
        names = [f"{centring} {'1' if kind.number() == 1 else '-1'}"]
    else:
        names = [kind.lookup_symbol(), kind.hall_symbol().strip()]
    fitting = [name for name in names if len(name) <= MTZ_GROUP_NAME]
    if fitting:
        file.set_space_group_name(fitting[0])
    return file


def _flat(mosaic_blocks: Sequence[np.ndarray | Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Returns the blocks of all crystals, one array each."""
    found: list[np.ndarray] = []
    for some in mosaic_blocks:
        found += [some] if isinstance(some, np.ndarray) else list(some)
    return found


def read_mosaic_blocks(path: str | os.PathLike) -> list[np.ndarray]:
    """Returns the rotation matrices (n, 3, 3) of the mosaic blocks of each experiment that write_experiments wrote.

    Raises:
        OSError, ValueError, KeyError: it cannot be read, or holds none.
    """
    with open(path, encoding="utf-8") as file:
        contents = json.load(file)
    crystals = [contents["crystal"][experiment["crystal"]] for experiment in contents["experiment"]]
    return [Rotation.from_rotvec(crystal["mosaic_blocks_deg"], degrees=True).as_matrix() for crystal in crystals]


def _turned(model, rotation: np.ndarray):
    """Returns a dxtbx beam, crystal or goniometer, turned about the origin; the model itself if there is no turn."""
    vector = Rotation.from_matrix(rotation).as_rotvec()
    angle = float(np.linalg.norm(vector))
    if angle == 0:
        return model
    model = copy.deepcopy(model)
    model.rotate_around_origin(tuple(vector / angle), angle, deg=False)
    return model


def _with_mosaicity(crystal: Crystal, mosaic_spread_deg: float | None, domain_size_A: float | None) -> Crystal:
    if mosaic_spread_deg is None and domain_size_A is None:
        return crystal
    crystal = MosaicCrystalSauter2014(crystal)
    crystal.set_half_mosaicity_deg((mosaic_spread_deg or 0.0) / 2)
    crystal.set_domain_size_ang(domain_size_A or 0.0)
    return crystal


def _identifier(index: int, crystal: Crystal | None) -> str:
    """Returns an identifier that differs between experiments, also of different jobs, and is always the same."""
    vectors = " ".join(f"{x:.9g}" for x in crystal.get_A()) if crystal else "no crystal"
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"nanobragg_kokkos {index} {vectors}"))


def _imagesets(master: str, n_images: int, scan: Scan | None) -> list[dict]:
    common: dict[str, Any] = {"mask": None, "gain": None, "pedestal": None, "dx": None, "dy": None, "params": {}}
    if scan is not None:
        indices = list(range(scan.get_num_images()))
        return [{"__id__": "ImageSequence", "template": master, "single_file_indices": indices, **common}]
    return [{"__id__": "ImageSet", "images": [master], "single_file_indices": [k], **common} for k in range(n_images)]
