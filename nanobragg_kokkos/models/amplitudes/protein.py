"""Structure factors of a crystal from the coordinates of its atoms, by cctbx."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import iotbx.pdb
from cctbx import adptbx, crystal, factor_ev_angstrom, miller, sgtbx, uctbx, xray
from cctbx.array_family import flex
from iotbx.pdb import mmcif
from libtbx import smart_open
from libtbx.utils import Sorry

from nanobragg_kokkos.models.amplitudes import cif_text, given_symmetry
from nanobragg_kokkos.models.amplitudes.anomalous import AnomalousScattering
from nanobragg_kokkos.util.reading import reading

# What a file should have been.
EXPECTED = "a PDB or mmCIF file"

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
    """Returns the PDB file that is simulated if none is given.

    Raises:
        Sorry: this installation of cctbx comes without it.
    """
    import mmtbx

    path = Path(mmtbx.__file__).parent / DEFAULT_COORDINATES
    if not path.is_file():
        raise Sorry(f"crystal.pdb.file=None: the default, {path}, is not part of this cctbx; expected a PDB file")
    return str(path)


def read_coordinates(
    path: str,
    unit_cell: uctbx.unit_cell | None = None,
    space_group: sgtbx.space_group_info | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> xray.structure:
    """Returns the atoms of a PDB or mmCIF file, which may be compressed (.gz), and the symmetry of their crystal.

    Args:
        unit_cell, space_group: take the place of what the file says.
        warn: is called with a line for each of them that contradicts the file.

    Raises:
        Sorry: the file is not there or is damaged, or there is no unit cell or space group that makes sense.
    """
    name = f"crystal.pdb.file={path}"
    with reading(name, EXPECTED, path):
        records = _records(path)
        given = records.crystal_symmetry() or crystal.symmetry()
        atoms = records.atoms()
        if not len(atoms):
            raise ValueError("it has no atoms")
    symmetry = _symmetry(name, given, unit_cell, space_group, len(atoms))
    for line in given_symmetry.contradictions(name, given, unit_cell, space_group):
        warn(line)
    with reading(name, EXPECTED):
        return records.xray_structure_simple(crystal_symmetry=symmetry)


def with_mean_b(structure: xray.structure, b_iso: float) -> xray.structure:
    """Returns the structure with all B factors shifted, anisotropic ones too, so that their mean is b_iso (angstrom^2).

    All amplitudes of the atoms are multiplied by exp(-shift / (4 d^2)), as with the overall B factor of a Wilson plot.

    Raises:
        Sorry: an atom would be left with less than 0.
    """
    structure = structure.deep_copy_scatterers()
    mean = adptbx.u_as_b(flex.mean(structure.extract_u_iso_or_u_equiv()))
    least = adptbx.u_as_b(min(_least_u(scatterer, structure.unit_cell()) for scatterer in structure.scatterers()))
    if b_iso - mean + least < 0:
        raise Sorry(
            f"crystal.b_iso={b_iso:g}: expected at least {mean - least:.3g} angstrom^2: the coordinates have a mean of "
            f"{mean:.3g}, and an atom with {least:.3g} would be left with less than 0"
        )
    structure.shift_us(b_shift=b_iso - mean)
    return structure


def elements(structure: xray.structure) -> list[str]:
    """Returns the symbols of the elements in a structure, in the order of the alphabet."""
    return sorted({scatterer.element_symbol() for scatterer in structure.scatterers()})


def reflections(symmetry: crystal.symmetry, d_min: float) -> miller.set:
    """Returns all reflections to a resolution (angstrom), with Bijvoet mates."""
    return miller.build_set(symmetry, anomalous_flag=True, d_min=d_min)


def structure_factors(
    structure: xray.structure,
    reflections: miller.set,
    anomalous: Mapping[str, complex],
    k_sol: float = K_SOL,
    b_sol: float = B_SOL,
    algorithm: str = "fft",
) -> miller.array:
    """Returns structure factors (electrons, complex) of a crystal with its solvent.

    The atoms count with the form factors of Waasmaier & Kirfel (1995, Acta Cryst. A51, 416-431); the solvent between
    them is flat, of density k_sol and smeared by b_sol.

    Args:
        structure: atoms and symmetry; not changed.
        anomalous: f' + i f'' of elements; those that are not among them scatter without.
        k_sol: electrons / angstrom^3.
        b_sol: angstrom^2.
        algorithm: "fft", to 0.1 % of the mean amplitude, or "direct".
    """
    structure = structure.deep_copy_scatterers()
    structure.scattering_type_registry(table="wk1995")
    for scatterer in structure.scatterers():
        factor = anomalous.get(scatterer.element_symbol(), 0)
        scatterer.fp, scatterer.fdp = factor.real, factor.imag
        scatterer.flags.set_use_fp_fdp(factor != 0)
    calculated = _transformed(structure, reflections, algorithm)
    if k_sol == 0:
        return calculated
    import mmtbx.f_model

    return mmtbx.f_model.manager(
        f_obs=reflections.array(data=flex.double(reflections.size(), 1.0)),
        f_calc=calculated,
        xray_structure=structure,
        k_sol=k_sol,
        b_sol=b_sol,
    ).f_model()


def partial_structure_factors(
    structure: xray.structure, reflections: miller.set, element: str, algorithm: str = "fft"
) -> miller.array:
    """Returns structure factors (complex) of the atoms of one element if each scattered like one electron in one point.

    They count with their occupancies and B factors. f' + i f'' times this is their anomalous part.
    """
    selected = [scatterer.element_symbol() == element for scatterer in structure.scatterers()]
    structure = structure.select(flex.bool(selected)).deep_copy_scatterers()
    for scatterer in structure.scatterers():
        scatterer.scattering_type = "const"  # cctbx's name of what scatters like one electron in one point
        scatterer.flags.set_use_fp_fdp(False)
    structure.scattering_type_registry(table="wk1995")
    return _transformed(structure, reflections, algorithm)


def amplitudes(
    structure: xray.structure,
    d_min: float,
    wavelength: float,
    anomalous_table: str | None = "sasaki",
    k_sol: float = K_SOL,
    b_sol: float = B_SOL,
) -> miller.array:
    """Returns the amplitudes (electrons) of all reflections to a resolution at one wavelength, with Bijvoet mates.

    Args:
        structure: atoms and symmetry; not changed.
        d_min: angstrom.
        wavelength: angstrom.
        anomalous_table: of f' and f'', as for AnomalousScattering; None: no anomalous scattering.
        k_sol, b_sol: as for structure_factors.
    """
    scattering = AnomalousScattering(anomalous_table)
    factors = {symbol: scattering.factors(symbol, factor_ev_angstrom / wavelength)[0] for symbol in elements(structure)}
    found = structure_factors(structure, reflections(structure.crystal_symmetry(), d_min), factors, k_sol, b_sol)
    return found.amplitudes().set_observation_type_xray_amplitude()


def _transformed(structure: xray.structure, reflections: miller.set, algorithm: str) -> miller.array:
    # These keep the errors of the fast Fourier transform at 0.1 % of the mean amplitude; the defaults at 0.6 %.
    transform = xray.structure_factors.from_scatterers(
        miller_set=reflections, grid_resolution_factor=1 / 3, quality_factor=1000, wing_cutoff=1e-5
    )
    return transform(xray_structure=structure, miller_set=reflections, algorithm=algorithm).f_calc()


def _least_u(scatterer: xray.scatterer, unit_cell: uctbx.unit_cell) -> float:
    """Returns the mean square displacement (angstrom^2) of an atom in the direction in which it is least."""
    if scatterer.flags.use_u_aniso():
        return min(adptbx.eigenvalues(adptbx.u_star_as_u_cart(unit_cell, scatterer.u_star)))
    return scatterer.u_iso


def _records(path: str) -> iotbx.pdb.pdb_input_mixin:
    """Returns the contents of a PDB or mmCIF file."""
    with smart_open.for_reading(path, mode="rb") as file:
        contents = file.read()
    text = contents.decode("utf-8", "replace")
    if cif_text.is_cif(text):
        cif_text.check(text)
        return mmcif.cif_input(lines=text, source_info=f"file {path}")
    if not any(line.startswith(("ATOM", "HETATM")) for line in text.splitlines()):
        raise ValueError("it has no atoms")
    return iotbx.pdb.pdb_input(source_info=f"file {path}", lines=text)


def _symmetry(
    name: str,
    of_file: crystal.symmetry,
    unit_cell: uctbx.unit_cell | None,
    space_group: sgtbx.space_group_info | None,
    n_atoms: int,
) -> crystal.symmetry:
    if not (unit_cell or of_file.unit_cell()):
        place = "a unit cell (CRYST1, or _cell in mmCIF) in this file"
        raise Sorry(f"{name}: expected {place}; else give crystal.unit_cell")
    if not (space_group or of_file.space_group_info()):
        place = "a space group (CRYST1, or _symmetry in mmCIF) in this file"
        raise Sorry(f"{name}: expected {place}; else give crystal.space_group")
    symmetry = given_symmetry.chosen(name, of_file, unit_cell, space_group)
    room = symmetry.unit_cell().volume() / symmetry.space_group().order_z()
    if room < n_atoms * ANGSTROM3_AN_ATOM:
        raise Sorry(
            f"crystal.unit_cell={given_symmetry.numbers(symmetry.unit_cell())}: expected a cell with room for the "
            f"{n_atoms} atoms of {name}, but in space group {symmetry.space_group_info()} each has "
            f"{room / n_atoms:.2g} angstrom^3"
        )
    return symmetry
