"""Small, sound input files of every format that a job reads, and the arguments that name them."""

from __future__ import annotations

import bz2
import gzip
import json
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import h5py
import iotbx.cif.model
import iotbx.pdb
from cctbx import crystal
from cctbx.array_family import flex
from dxtbx.model import Beam, Crystal, DetectorFactory, Experiment, ExperimentList
from harness import QUICK, run
from libtbx import easy_pickle

from nanobragg_kokkos.job import parameters

PDB = """\
CRYST1   20.000   25.000   30.000  90.00  90.00  90.00 P 21 21 21    4
ATOM      1  N   ALA A   1       2.310   4.120   6.500  1.00 10.00           N
ATOM      2  CA  ALA A   1       3.405   5.080   6.300  1.00 11.00           C
ATOM      3  C   ALA A   1       4.700   4.380   5.900  1.00 12.00           C
ATOM      4  O   ALA A   1       4.790   3.150   5.950  1.00 13.00           O
ATOM      5  SG  CYS A   2       8.100  11.300  14.200  0.80 15.00           S
ANISOU    5  SG  CYS A   2     1500   1800   2100    100    -50     20       S
END
"""

SMALL_MOLECULE = """\
data_salt
_cell_length_a 5.64
_cell_length_b 5.64
_cell_length_c 5.64
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_U_iso_or_equiv
_atom_site_occupancy
Na1 Na 0 0 0 0.01 1
Cl1 Cl 0.5 0.5 0.5 0.012 1
"""


@dataclass(frozen=True)
class Format:
    """A format of input.

    Args:
        title: the format, for messages.
        damaged: name of the file that an attack damages.
        arguments: arguments of a job that reads it, with {} for the folder of the files.
    """

    title: str
    damaged: str
    arguments: tuple[str, ...]


FORMATS = (
    Format("PDB", "model.pdb", ("crystal.pdb.file={}/model.pdb",)),
    Format("mmCIF", "model.cif", ("crystal.pdb.file={}/model.cif",)),
    Format("small-molecule CIF", "salt.cif", ("crystal.pdb.file={}/salt.cif",)),
    Format("MTZ", "data.mtz", ("crystal.structure_factors.file={}/data.mtz",)),
    Format("reflection CIF", "data.cif", ("crystal.structure_factors.file={}/data.cif",)),
    Format("orientations", "crystals.expt", ("crystal.orientation.file={}/crystals.expt",)),
    Format("detector", "detector.expt", ("detector.reference={}/detector.expt",)),
    Format("mask", "mask.pickle", ("detector.reference={}/masked.expt",)),
    Format("image", "image_master.h5", ("detector.reference={}/image_master.h5",)),
    Format("spectra as text", "spectra.txt", ("spectrum.shape=file", "spectrum.file={}/spectra.txt")),
    Format("spectra in HDF5", "spectra.h5", ("spectrum.shape=file", "spectrum.file={}/spectra.h5")),
    Format("anomalous table", "iron.txt", ("crystal.anomalous_tables=S={}/iron.txt",)),
    Format("gzip", "model.pdb.gz", ("crystal.pdb.file={}/model.pdb.gz",)),
    Format("bzip2", "data.mtz.bz2", ("crystal.structure_factors.file={}/data.mtz.bz2",)),
    Format("parameters", "job.phil", ("{}/job.phil",)),
)


def copy_inputs(directory: Path) -> None:
    """Copies a set of sound files to an existing directory."""
    for path in Path(_made().name).iterdir():
        shutil.copy(path, directory)


@cache
def _made() -> tempfile.TemporaryDirectory:
    """Writes the files once; returns their folder, which is removed when the program ends."""
    folder = tempfile.TemporaryDirectory(prefix="reliability_inputs_")
    write(Path(folder.name))
    return folder


def arguments(form: Format, directory: Path) -> list[str]:
    """Returns the arguments of a quick job that reads a file of this format from a directory."""
    common = [*QUICK, "detector.reference={}/detector.expt"]
    if not any("structure_factors" in argument for argument in form.arguments):
        common.append("crystal.pdb.file={}/model.pdb")
    # A file of parameters has all of them; what follows it keeps the job quick.
    given = (*form.arguments, *common) if form.damaged.endswith(".phil") else (*common, *form.arguments)
    return [argument.replace("{}", str(directory)) for argument in given]


def write(path: Path) -> None:
    """Writes all files of FORMATS, and those that they name."""
    (path / "model.pdb").write_text(PDB)
    (path / "model.pdb.gz").write_bytes(gzip.compress(PDB.encode(), mtime=0))
    (path / "salt.cif").write_text(SMALL_MOLECULE)
    model = iotbx.pdb.input(source_info=None, lines=PDB.splitlines())
    block = model.construct_hierarchy().as_cif_block(crystal_symmetry=model.crystal_symmetry())
    (path / "model.cif").write_text(str(iotbx.cif.model.cif({"model": block})))
    _write_amplitudes(path)
    _write_models(path)
    _write_spectra(path)
    table = "".join(f"{e} {-1 - (e % 3) / 10} {0.5 + (e % 7) / 10}\n" for e in range(8000, 11001, 500))
    (path / "iron.txt").write_text(table)
    (path / "job.phil").write_text(parameters.parse(["crystal.shape=gauss", *QUICK]).as_str())
    image = [*QUICK, f"detector.reference={path}/detector.expt", f"crystal.pdb.file={path}/model.pdb", "n_images=1"]
    made = run([*image, "output.prefix=image", f"output.directory={path}"], path)
    if made.code:
        raise RuntimeError(f"the undamaged job failed:\n{made.said}")


def _write_amplitudes(path: Path) -> None:
    symmetry = crystal.symmetry((20, 25, 30, 90, 90, 90), "P 21 21 21")
    indices = symmetry.build_miller_set(anomalous_flag=False, d_min=2.5)
    amplitudes = indices.array(data=flex.double(10.0 + k % 17 for k in range(indices.size())))
    amplitudes.set_observation_type_xray_amplitude()
    mtz = str(path / "data.mtz")
    amplitudes.as_mtz_dataset(column_root_label="F").mtz_object().write(mtz)
    (path / "data.mtz.bz2").write_bytes(bz2.compress(Path(mtz).read_bytes()))
    with open(path / "data.cif", "w") as file:
        amplitudes.as_cif_simple(array_type="meas", out=file)


def _write_models(path: Path) -> None:
    detector = DetectorFactory.simple("PAD", 80, (30, 30), "+x", "-y", (2, 2), (30, 30))
    beam = Beam((0, 0, 1), 1.3)
    ExperimentList([Experiment(detector=detector, beam=beam)]).as_file(str(path / "detector.expt"))
    models = json.loads((path / "detector.expt").read_text())
    models["imageset"] = [{"__id__": "ImageSet", "images": ["none.cbf"], "mask": "mask.pickle", "params": {}}]
    models["experiment"][0]["imageset"] = 0
    (path / "masked.expt").write_text(json.dumps(models))
    mask = flex.bool(flex.grid(30, 30), True)
    mask[37] = False
    easy_pickle.dump(str(path / "mask.pickle"), (mask,))
    axes = [((20, 0, 0), (0, 25, 0), (0, 0, 30)), ((0, 20, 0), (0, 0, 25), (30, 0, 0))]
    crystals = [Crystal(*each, space_group_symbol="P 21 21 21") for each in axes]
    experiments = [Experiment(detector=detector, beam=beam, crystal=each) for each in crystals]
    ExperimentList(experiments).as_file(str(path / "crystals.expt"))


def _write_spectra(path: Path) -> None:
    (path / "spectra.txt").write_text("".join(f"{e} {e % 7 + 1} {e % 11}\n" for e in range(9490, 9550, 5)))
    with h5py.File(path / "weights.h5", "w") as file:
        file["weights"] = [[1.0, 2.0, 1.0], [0.5, 2.0, 3.0]]
    with h5py.File(path / "spectra.h5", "w") as file:
        beam = file.create_group("entry/instrument/beam")
        for group, kind in (("entry", "NXentry"), ("entry/instrument", "NXinstrument"), (beam.name, "NXbeam")):
            file[group].attrs["NX_class"] = kind
        beam["incident_wavelength"] = [1.299, 1.3, 1.301]
        beam["incident_wavelength"].attrs["units"] = "angstrom"
        beam["incident_wavelength_weights"] = h5py.ExternalLink("weights.h5", "/weights")
