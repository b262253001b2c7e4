"""Makes the structure factors of a crystal from the parameters crystal."""

from __future__ import annotations

from collections.abc import Callable

import libtbx.phil
import numpy as np
from cctbx import crystal, uctbx
from libtbx.utils import Sorry

from nanobragg_kokkos.models.amplitudes import anomalous, protein, reflection_files
from nanobragg_kokkos.models.amplitudes.box import MOST_AMPLITUDES, BoxLayout
from nanobragg_kokkos.models.amplitudes.channels import AmplitudeChannels
from nanobragg_kokkos.models.amplitudes.crystal_scattering import CrystalScattering, calculated_channels

# Of a whole sphere, in space group P 1; the Fourier transform that gives them takes some 100 bytes each.
MOST_REFLECTIONS = 1e8

# Angstrom. Atoms scatter next to nothing beyond, and there it takes minutes and gigabytes to find that out.
FINEST_RESOLUTION = 0.2

# Crystals with indices up to here may have no reflection at all, for all are absent that a centred lattice forbids.
FEW = 5

# How much farther a detector may reach than measured data before it is worth a word.
RESOLUTION_TOLERANCE = 0.01

# Of measured data, to their resolution, before it is worth a word.
LEAST_COMPLETENESS = 0.5


def crystal_scattering(
    params: libtbx.phil.scope_extract,
    d_min: float,
    energies_eV: np.ndarray,
    mean_energy: float,
    progress: Callable[[str], None] = lambda line: None,
) -> CrystalScattering:
    """Returns the structure factors that the parameters crystal describe.

    Args:
        d_min: resolution to which the detector reaches, angstrom.
        energies_eV: energies of the beam.
        mean_energy: mean energy of the beam, eV.

    Raises:
        Sorry: a file is missing or damaged, or does not fit with the rest.
    """
    if params.crystal.structure_factors.file is not None:
        return _measured(params, d_min, mean_energy)
    return _calculated(params, min(d_min, protein.LEAST_RESOLUTION), energies_eV, mean_energy, progress)


def _calculated(
    params: libtbx.phil.scope_extract,
    d_min: float,
    energies_eV: np.ndarray,
    mean_energy: float,
    progress: Callable[[str], None],
) -> CrystalScattering:
    given = params.crystal
    messages: list[str] = []
    path = given.pdb.file or protein.default_coordinates()
    structure = protein.read_coordinates(path, given.unit_cell, given.space_group, messages.append, given.pdb.model)
    if given.b_iso is not None:
        structure = protein.with_mean_b(structure, given.b_iso)
    d_min = _with_reflections(structure.crystal_symmetry(), d_min)
    if d_min < FINEST_RESOLUTION:
        raise Sorry(
            f"beam.mean_energy={mean_energy:g}: expected less, or a smaller detector: it reaches {d_min:.2g} angstrom, "
            f"and reflections are calculated to {FINEST_RESOLUTION:g} angstrom at most"
        )
    n_reflections = 4 / 3 * np.pi * structure.unit_cell().volume() / d_min**3
    if n_reflections > MOST_REFLECTIONS:
        raise Sorry(
            f"beam.mean_energy={mean_energy:g}: expected less, or a smaller detector: it reaches "
            f"{d_min:.2g} angstrom, where the crystal has {n_reflections:.2g} reflections"
        )
    elements = protein.elements(structure)
    table = anomalous.AnomalousScattering(given.anomalous, _measured_tables(given.anomalous_tables, elements))
    energies = anomalous.channel_energies(table, elements, energies_eV, mean_energy, given.anomalous_channels)
    _require_room(structure.unit_cell(), d_min, len(energies))
    told: list[str] = []
    channels = calculated_channels(
        structure,
        d_min,
        energies,
        table,
        given.k_sol,
        given.b_sol,
        warn=told.append,
        seed=params.seed,
        progress=progress,
    )
    # Each element that scatters anomalously has its transform, and most have the same to say.
    messages += dict.fromkeys(told)
    if len(energies) == 1:
        amplitudes = channels.channel(0)
    else:
        amplitudes = channels.at(_factors_at(table, elements, energies, mean_energy))
        messages.append(
            f"Structure factors: {len(energies)} channels, {energies[0]:g} to {energies[-1]:g} eV, "
            "with f' and f'' of each"
        )
    return CrystalScattering(structure.crystal_symmetry(), amplitudes, mean_energy, channels, energies, tuple(messages))


def _with_reflections(symmetry: crystal.symmetry, d_min: float) -> float:
    """Returns a resolution (angstrom) to which a crystal has reflections: small cells may have none on a detector."""
    while max(symmetry.unit_cell().max_miller_indices(d_min)) < FEW and not protein.reflections(symmetry, d_min).size():
        d_min *= 0.8
    return d_min


def _factors_at(
    table: anomalous.AnomalousScattering, elements: list[str], energies_eV: np.ndarray, energy: float
) -> np.ndarray:
    """Returns f' + i f'' at an energy, of the elements that have any at some energies."""
    return np.array(
        [
            table.factors(element, np.array([energy]))[0]
            for element in elements
            if table.factors(element, energies_eV).any()
        ]
    )


def _measured(params: libtbx.phil.scope_extract, d_min: float, mean_energy: float) -> CrystalScattering:
    given = params.crystal
    path = given.structure_factors.file
    read = reflection_files.read_amplitudes(path, given.structure_factors.label, given.unit_cell, given.space_group)
    amplitudes = read.amplitudes
    if BoxLayout.of(amplitudes.unit_cell(), amplitudes.d_min(), 1).n_amplitudes > MOST_AMPLITUDES:
        raise Sorry(f"crystal.structure_factors.file={path}: expected indices that span less than 2**31 reflections")
    completeness, ends = amplitudes.completeness(), amplitudes.d_min()
    complete = f"{100 * completeness:.1f} % of the reflections are there"
    messages = [*read.warnings, f"Structure factors: {read.description}; {complete}"]
    if completeness < LEAST_COMPLETENESS:
        messages.append(
            f"Warning: crystal.structure_factors.file has {amplitudes.size()} of the reflections to {ends:.2f} "
            f"angstrom, {100 * completeness:.2g} %: the others scatter nothing"
        )
    if ends > d_min * (1 + RESOLUTION_TOLERANCE):
        messages.append(
            f"crystal.structure_factors.file ends at {ends:.2f} angstrom, and the detector reaches {d_min:.2f}: "
            "there will be no spots beyond"
        )
    energies = np.array([mean_energy])
    channels = AmplitudeChannels(energies, amplitudes)
    return CrystalScattering(
        amplitudes.crystal_symmetry(), amplitudes, mean_energy, channels, energies, tuple(messages)
    )


def _measured_tables(pairs: list[str] | None, elements: list[str]) -> dict[str, anomalous.MeasuredTable]:
    """Returns the tables of crystal.anomalous_tables, by element."""
    tables = {}
    for pair in pairs or ():
        name = f"crystal.anomalous_tables={pair}"
        element, separator, path = pair.partition("=")
        element = element.strip().capitalize()
        if not separator or not path:
            raise Sorry(f"{name}: expected an element and a file, Fe=iron.txt for example")
        if element not in elements:
            raise Sorry(f"{name}: expected an element of the crystal, which has {', '.join(elements)}")
        if element in tables:
            raise Sorry(f"{name}: expected one table for each element")
        tables[element] = anomalous.read_table(path.strip(), name)
    return tables


def _require_room(unit_cell: uctbx.unit_cell, d_min: float, n_channels: int) -> None:
    reflections = BoxLayout.of(unit_cell, d_min, 1).n_amplitudes
    if reflections * n_channels > MOST_AMPLITUDES:
        raise Sorry(
            f"crystal.anomalous_channels={n_channels}: expected at most {MOST_AMPLITUDES // reflections}, as the "
            f"amplitudes of all channels would take {8e-9 * reflections * n_channels:.3g} GB"
        )
