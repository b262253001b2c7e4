"""Structure factors of a crystal from the coordinates of its atoms, by cctbx."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from cctbx import crystal, miller, sgtbx, uctbx, xray
from cctbx.array_family import flex
from libtbx import smart_open
from libtbx.utils import Sorry

# Rubredoxin from Pyrococcus furiosus, PDB entry 1BRF (Bau et al. 1998, J. Biol. Inorg. Chem. 3, 484-493): 54 residues
# and an iron atom, P 21 21 21, refined to 0.95 angstrom. It comes with cctbx.
DEFAULT_COORDINATES = "regression/pdbs/Fe_1brf_snip_reduced.pdb"

# Typical of protein crystals: Fokine & Urzhumtsev (2002), Acta Cryst. D58, 1387-1392.
K_SOL = 0.35  # electrons / angstrom^3
B_SOL = 46.0  # angstrom^2

# angstrom; the bulk solvent cannot be calculated from fewer reflections.
LEAST_RESOLUTION = 8.0

# The smallest volume in which the atoms of a crystal find room; protein crystals have about 20.
ANGSTROM3_AN_ATOM = 5.0


def default_coordinates() -> str:
    """The PDB file that is simulated if none is given.

    Raises:
        Sorry: this installation of cctbx comes without it.
    """
    import mmtbx

    path = Path(mmtbx.__file__).parent / DEFAULT_COORDINATES
    if not path.is_file():
        raise Sorry(f"crystal.pdb.file=None: the default, {path}, is not part of this cctbx; expected a PDB file")
    return str(path)


def read_coordinates(
    path: str, unit_cell: uctbx.unit_cell | None = None, space_group: sgtbx.space_group_info | None = None
) -> xray.structure:
    """The atoms of a PDB (or mmCIF) file, which may be compressed (.gz), and the symmetry of their crystal.

    Args:
        unit_cell, space_group: take the place of what the file says.

    Raises:
        Sorry: the file is not there or is damaged, or there is no unit cell or space group that makes sense.
    """
    import iotbx.pdb

    name = f"crystal.pdb.file={path}"
    if not os.path.isfile(path):
        raise Sorry(f"{name}: there is no such file")
    with _naming_damage(name):
        # Without this check, cctbx takes other files for mmCIF, and is not safe against damage there.
        with smart_open.for_reading(path, mode="rb") as file:
            if not any(line.startswith((b"ATOM", b"HETATM")) for line in file):
                raise ValueError("it has no atoms")
        records = iotbx.pdb.input(file_name=path)
        given = records.crystal_symmetry() or crystal.symmetry()
    symmetry = _symmetry(
        name, unit_cell or given.unit_cell(), space_group or given.space_group_info(), len(records.atoms())
    )
    with _naming_damage(name):
        return records.xray_structure_simple(crystal_symmetry=symmetry)


def amplitudes(
    structure: xray.structure,
    d_min: float,
    wavelength: float,
    anomalous_table: str | None = "sasaki",
    k_sol: float = K_SOL,
    b_sol: float = B_SOL,
) -> miller.array:
    """Structure factor amplitudes (electrons) of all reflections to a resolution, with Bijvoet mates.

    The atoms count with the form factors of Waasmaier & Kirfel (1995, Acta Cryst. A51, 416-431) and with f' and f" at
    the wavelength; the solvent between them is flat, of density k_sol and smeared by b_sol.

    Args:
        structure: atoms and symmetry; not changed.
        d_min: angstrom.
        wavelength: angstrom.
        anomalous_table: "sasaki" (Sasaki 1989, KEK Report 88-14) or "henke" (Henke et al. 1993, At. Data Nucl. Data
            Tables 54, 181-342); None: no anomalous scattering.
        k_sol: electrons / angstrom^3.
        b_sol: angstrom^2.
    """
    import mmtbx.f_model

    structure = structure.deep_copy_scatterers()
    structure.scattering_type_registry(table="wk1995")
    if anomalous_table:
        structure.set_inelastic_form_factors(photon=wavelength, table=anomalous_table)
    reflections = miller.build_set(structure.crystal_symmetry(), anomalous_flag=True, d_min=d_min)
    # These keep the errors of the fast Fourier transform at 0.1 % of the mean amplitude; the defaults at 0.6 %.
    transform = xray.structure_factors.from_scatterers(
        miller_set=reflections, grid_resolution_factor=1 / 3, quality_factor=1000, wing_cutoff=1e-5
    )
    model = mmtbx.f_model.manager(
        f_obs=reflections.array(data=flex.double(reflections.size(), 1.0)),
        f_calc=transform(xray_structure=structure, miller_set=reflections, algorithm="fft").f_calc(),
        xray_structure=structure,
        k_sol=k_sol,
        b_sol=b_sol,
    )
    return model.f_model().amplitudes().set_observation_type_xray_amplitude()


def _symmetry(
    name: str, unit_cell: uctbx.unit_cell | None, space_group: sgtbx.space_group_info | None, n_atoms: int
) -> crystal.symmetry:
    if unit_cell is None:
        raise Sorry(f"{name}: expected a unit cell (a CRYST1 record) in this file; else give crystal.unit_cell")
    if space_group is None:
        raise Sorry(f"{name}: expected a space group (a CRYST1 record) in this file; else give crystal.space_group")
    cell = " ".join(f"{value:g}" for value in unit_cell.parameters())
    if not space_group.group().is_compatible_unit_cell(unit_cell):
        raise Sorry(f"crystal.unit_cell={cell}: expected a cell that has the symmetry of space group {space_group}")
    room = unit_cell.volume() / space_group.group().order_z()
    if room < n_atoms * ANGSTROM3_AN_ATOM:
        raise Sorry(
            f"crystal.unit_cell={cell}: expected a cell with room for the {n_atoms} atoms of {name}, "
            f"but in space group {space_group} each has {room / n_atoms:.2g} angstrom^3"
        )
    return crystal.symmetry(unit_cell=unit_cell, space_group_info=space_group)


@contextmanager
def _naming_damage(name: str) -> Iterator[None]:
    try:
        yield
    # iotbx raises many kinds of exceptions, AssertionError among them.
    except Exception as error:
        reason = " ".join(str(error).split())
        raise Sorry(f"{name}: expected a PDB file, but reading it failed ({reason})") from error
