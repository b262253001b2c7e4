"""Structure factors of a crystal from the coordinates of its atoms, by cctbx."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

from cctbx import adptbx, crystal, factor_ev_angstrom, miller, sgtbx, uctbx, xray
from cctbx.array_family import flex
from libtbx.utils import Sorry

from nanobragg_kokkos.models.amplitudes import (
    coordinate_files,
    given_symmetry,
    rigid_motion,
    special_positions,
    transform,
)
from nanobragg_kokkos.models.amplitudes.anomalous import AnomalousScattering
from nanobragg_kokkos.models.amplitudes.coordinate_files import CoordinateFile
from nanobragg_kokkos.util.compressed_files import read_contents
from nanobragg_kokkos.util.reading import reading

# The expected kind of file.
EXPECTED = "a PDB, mmCIF or small-molecule CIF file"

# A value of crystal.pdb.model: all models, each with its share.
MEAN = "mean"

# Rubredoxin from Pyrococcus furiosus, PDB entry 1BRF (Bau et al. 1998, J. Biol. Inorg. Chem. 3, 484-493): 54 residues
# and an iron atom, P 21 21 21, refined to 0.95 angstrom. It comes with cctbx.
DEFAULT_COORDINATES = "regression/pdbs/Fe_1brf_snip_reduced.pdb"

# Typical of protein crystals: Fokine & Urzhumtsev (2002), Acta Cryst. D58, 1387-1392.
K_SOL = 0.35  # electrons / angstrom^3
B_SOL = 46.0  # angstrom^2

# angstrom; the bulk solvent cannot be calculated from fewer reflections.
LEAST_RESOLUTION = 8.0

# Smallest volume per atom of a crystal; protein crystals have about 20.
ANGSTROM3_AN_ATOM = 5.0

# angstrom^2; rounding may make mean square displacements negative by this much.
LEAST_U = 1e-6

# Occupancies in files have two digits after the point.
OCCUPANCY_ROUNDING = 0.01

# Least number of points of the grid of the solvent's mask per highest resolution.
MASK_POINTS_PER_D_MIN = 3


def default_coordinates() -> str:
    """Returns the default PDB file.

    Raises:
        Sorry: this installation of cctbx lacks it.
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
    model: str | None = None,
) -> xray.structure:
    """Returns the atoms of a PDB, mmCIF or small-molecule CIF file and the symmetry of their crystal.

    The file may be compressed (gzip, bzip2 or xz). Copies by non-crystallographic symmetry that the file describes but
    does not hold are added; coordinates on other axes than those of the cell are brought to these.

    Args:
        unit_cell, space_group: replace those of the file.
        warn: called with a line of text for each of them that contradicts the file, and for each choice that the file
            leaves open and each change.
        model: the name (number) of a model of the file, or "mean" for all of them, their occupancies divided by their
            number; None: the first.

    Raises:
        Sorry: the file is not there or is damaged, has no such model, or there is no unit cell or space group that
            makes sense.
    """
    name = f"crystal.pdb.file={path}"
    with reading(name, EXPECTED, path):
        file = coordinate_files.parse(read_contents(path), name, space_group)
    symmetry = _symmetry(name, file.symmetry, unit_cell, space_group)
    for line in given_symmetry.contradictions(name, file.symmetry, unit_cell, space_group):
        warn(line)
    for line in file.warnings:
        warn(line)
    names = _chosen_models(name, file, model, warn)
    with reading(name, EXPECTED):
        models = [_model(file, one, symmetry) for one in names]
        structure = functools.reduce(xray.structure.concatenate, [model for model, _ in models])
        n_copies = max(n for _, n in models)
        unknown = structure.deep_copy_scatterers().scattering_type_registry(table="wk1995").unassigned_types()
        if unknown.size():
            raise ValueError(f"no form factors are known for {', '.join(unknown)}")
    if n_copies:
        warn(f"{name}: {n_copies} copies by non-crystallographic symmetry (MTRIX, _struct_ncs_oper) are added")
    n_of_sites = special_positions.n_of_sites(structure)
    if n_of_sites and not file.of_sites:
        warn(
            f"{name}: {n_of_sites} atoms on special positions have occupancies below 1 that are too high for the share "
            "of one copy: they count as those of the sites"
        )
    for scatterer in structure.scatterers():
        scatterer.occupancy /= len(names)
    _require_room(name, structure, unit_cell)
    structure = _with_positive_displacements(name, structure, warn)
    occupancies = structure.scatterers().extract_occupancies()
    unusual = ((occupancies < 0) | (occupancies > 1 + OCCUPANCY_ROUNDING)).count(True)
    if unusual:
        warn(f"Warning: {name}: {unusual} atoms have an occupancy below 0 or above 1")
    if occupancies.all_eq(0):
        warn(f"Warning: {name}: all atoms have an occupancy of 0: they scatter nothing")
    return structure


def with_mean_b(structure: xray.structure, b_iso: float) -> xray.structure:
    """Returns the structure with all B factors shifted, anisotropic ones too, so that their mean is b_iso (angstrom^2).

    All amplitudes of the atoms are multiplied by exp(-shift / (4 d^2)), as with the overall B factor of a Wilson plot.

    Raises:
        Sorry: an atom would get a B factor below 0.
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
    algorithm: str = "auto",
    warn: Callable[[str], None] = lambda line: None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> miller.array:
    """Returns structure factors (electrons, complex) of a crystal with its solvent.

    The atoms count with the form factors of Waasmaier & Kirfel (1995, Acta Cryst. A51, 416-431); the solvent between
    them is flat, of density k_sol and smeared by b_sol.

    Args:
        structure: atoms and symmetry; not changed.
        anomalous: f' + i f'' of elements; other elements have no anomalous scattering.
        k_sol: density of the solvent, electrons / angstrom^3.
        b_sol: B factor of the solvent, angstrom^2.
        algorithm, warn, seed, progress: as for transform.structure_factors.
    """
    structure = structure.deep_copy_scatterers()
    structure.scattering_type_registry(table="wk1995")
    for scatterer in structure.scatterers():
        factor = anomalous.get(scatterer.element_symbol(), 0)
        scatterer.fp, scatterer.fdp = factor.real, factor.imag
        scatterer.flags.set_use_fp_fdp(factor != 0)
    calculated = transform.structure_factors(structure, reflections, algorithm, warn, seed, progress)
    if k_sol == 0:
        return calculated
    progress("Structure factors: bulk solvent")
    import mmtbx.f_model
    import mmtbx.masks

    # By default the solvent ends at 3 angstrom, with a step. It ends by itself, by exp(-b_sol / 4 d^2); the grid of the
    # mask has to be fine enough for all reflections.
    mask = mmtbx.masks.mask_master_params.extract()
    mask.Fmask_res_high = 0.0
    mask.step = min(mask.step, reflections.d_min() / MASK_POINTS_PER_D_MIN)
    return mmtbx.f_model.manager(
        f_obs=reflections.array(data=flex.double(reflections.size(), 1.0)),
        f_calc=calculated,
        xray_structure=structure,
        k_sol=k_sol,
        b_sol=b_sol,
        mask_params=mask,
    ).f_model()


def partial_structure_factors(
    structure: xray.structure,
    reflections: miller.set,
    element: str,
    algorithm: str = "auto",
    warn: Callable[[str], None] = lambda line: None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> miller.array:
    """Returns structure factors (complex) of the atoms of one element as if each were one electron at a point.

    They include occupancies and B factors. Multiplied by f' + i f'' they give the anomalous part.
    """
    selected = [scatterer.element_symbol() == element for scatterer in structure.scatterers()]
    structure = structure.select(flex.bool(selected)).deep_copy_scatterers()
    for scatterer in structure.scatterers():
        scatterer.scattering_type = "const"  # cctbx's name of a scatterer like one electron at a point
        scatterer.flags.set_use_fp_fdp(False)
    structure.scattering_type_registry(table="wk1995")
    return transform.structure_factors(structure, reflections, algorithm, warn, seed, progress)


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
        d_min: resolution, angstrom.
        wavelength: wavelength, angstrom.
        anomalous_table: table of f' and f'', as for AnomalousScattering; None: no anomalous scattering.
        k_sol, b_sol: as for structure_factors.
    """
    scattering = AnomalousScattering(anomalous_table)
    factors = {symbol: scattering.factors(symbol, factor_ev_angstrom / wavelength)[0] for symbol in elements(structure)}
    found = structure_factors(structure, reflections(structure.crystal_symmetry(), d_min), factors, k_sol, b_sol)
    return found.amplitudes().set_observation_type_xray_amplitude()


def _least_u(scatterer: xray.scatterer, unit_cell: uctbx.unit_cell) -> float:
    """Returns the mean square displacement (angstrom^2) of an atom in the direction in which it is least."""
    if scatterer.flags.use_u_aniso():
        return min(adptbx.eigenvalues(adptbx.u_star_as_u_cart(unit_cell, scatterer.u_star)))
    return scatterer.u_iso


def _chosen_models(name: str, file: CoordinateFile, model: str | None, warn: Callable[[str], None]) -> list[str]:
    """Returns the names of the chosen models."""
    names = list(file.models)
    if model is None:
        if len(names) > 1:
            warn(f"{name} has {len(names)} models: the first ({names[0]}) counts; crystal.pdb.model chooses another")
        return names[:1]
    if model.strip().lower() == MEAN:
        if len(names) > 1:
            warn(f"{name} has {len(names)} models: their mean counts")
        return names
    if model.strip() not in names:
        raise Sorry(f"crystal.pdb.model={model}: expected mean or a model of {name}, which has {', '.join(names)}")
    return [model.strip()]


def _model(file: CoordinateFile, name: str, symmetry: crystal.symmetry) -> tuple[xray.structure, int]:
    """Returns the atoms of a model with their copies by non-crystallographic symmetry, and the number of copies."""
    structure, n_copies = file.models[name](symmetry), 0
    if file.operators:
        structure, n_copies = rigid_motion.expanded(structure, file.operators)
    if file.placement:
        structure = rigid_motion.moved(structure, *file.placement)
    return structure, n_copies


def _with_positive_displacements(name: str, structure: xray.structure, warn: Callable[[str], None]) -> xray.structure:
    """Returns the atoms with mean square displacements of 0 in the directions in which they were less."""
    cell = structure.unit_cell()
    negative = [k for k, atom in enumerate(structure.scatterers()) if _least_u(atom, cell) < -LEAST_U]
    if not negative:
        return structure
    structure = structure.deep_copy_scatterers()
    scatterers = structure.scatterers()
    for k in negative:
        atom = scatterers[k]
        if atom.flags.use_u_aniso():
            u_cart = adptbx.u_star_as_u_cart(cell, atom.u_star)
            atom.u_star = adptbx.u_cart_as_u_star(cell, adptbx.eigenvalue_filtering(u_cart, 0.0))
        else:
            atom.u_iso = 0.0
    labels = ", ".join(
        " ".join(scatterers[k].label.removeprefix("pdb=").replace('"', " ").split()) for k in negative[:5]
    )
    more = ", …" if len(negative) > 5 else ""
    warn(
        f"Warning: {name}: {len(negative)} atoms have B factors or ANISOU that are not positive definite: what is "
        f"negative is set to 0 ({labels}{more})"
    )
    return structure


def _require_room(name: str, structure: xray.structure, unit_cell: uctbx.unit_cell | None) -> None:
    """Raises Sorry if the cell has no room for its atoms, counted with their multiplicities."""
    n_atoms = sum(scatterer.multiplicity() * scatterer.occupancy for scatterer in structure.scatterers())
    volume = structure.unit_cell().volume()
    if volume >= n_atoms * ANGSTROM3_AN_ATOM:
        return
    given = f"crystal.unit_cell={given_symmetry.numbers(unit_cell)}" if unit_cell else name
    raise Sorry(
        f"{given}: expected a cell with room for the atoms of {name}, but in a cell of {volume:.4g} angstrom^3 with "
        f"space group {structure.space_group_info()} each of {n_atoms:.4g} has {volume / n_atoms:.2g} angstrom^3"
    )


def _symmetry(
    name: str,
    of_file: crystal.symmetry,
    unit_cell: uctbx.unit_cell | None,
    space_group: sgtbx.space_group_info | None,
) -> crystal.symmetry:
    if not (unit_cell or of_file.unit_cell()):
        place = "a unit cell (CRYST1, or _cell in mmCIF) in this file"
        raise Sorry(f"{name}: expected {place}; else give crystal.unit_cell")
    if not (space_group or of_file.space_group_info()):
        place = "a space group (CRYST1, or _symmetry in mmCIF) in this file"
        raise Sorry(f"{name}: expected {place}; else give crystal.space_group")
    return given_symmetry.chosen(name, of_file, unit_cell, space_group)
