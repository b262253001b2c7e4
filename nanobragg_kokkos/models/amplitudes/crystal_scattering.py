"""The structure factors of a crystal at the energies of a beam."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from cctbx import crystal, miller, xray
from dxtbx import flumpy

from nanobragg_kokkos.models.amplitudes import anomalous, protein
from nanobragg_kokkos.models.amplitudes.channels import AmplitudeChannels


@dataclass(frozen=True, eq=False)
class CrystalScattering:
    """The structure factors of a crystal, and messages about them.

    Args:
        symmetry: unit cell and space group.
        amplitudes: amplitudes at the mean energy of the beam, or as measured, in the space group of the crystal.
        mean_energy: mean energy of the beam, eV.
        channels: amplitudes at one or several energies.
        channel_energies_eV: energies of the channels, (n,), ascending.
        messages: lines for the user about files and channels, warnings among them.
    """

    symmetry: crystal.symmetry
    amplitudes: miller.array | None
    mean_energy: float
    channels: AmplitudeChannels | None
    channel_energies_eV: np.ndarray
    messages: tuple[str, ...] = ()

    def without_amplitudes(self) -> CrystalScattering:
        """Returns a copy without amplitudes, for processes that share those of another."""
        return replace(self, amplitudes=None, channels=None)


def no_scattering(mean_energy: float) -> CrystalScattering:
    """Returns the structure factors where there is no crystal: none, with one channel at the mean energy (eV)."""
    return CrystalScattering(crystal.symmetry(), None, mean_energy, None, np.array([mean_energy]))


def calculated_channels(
    structure: xray.structure,
    d_min: float,
    energies_eV: np.ndarray,
    anomalous_scattering: anomalous.AnomalousScattering,
    k_sol: float = protein.K_SOL,
    b_sol: float = protein.B_SOL,
    algorithm: str = "auto",
    warn: Callable[[str], None] = lambda line: None,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> AmplitudeChannels:
    """Returns the amplitudes of a structure at some energies (eV, ascending).

    With one energy, a single transform includes f' and f''; with several, each element has a separate transform.

    Args:
        d_min: resolution, angstrom.
        k_sol, b_sol, algorithm, warn, seed, progress: as for protein.structure_factors.
    """
    reflections = protein.reflections(structure.crystal_symmetry(), d_min)
    elements = protein.elements(structure)
    how = (algorithm, warn, seed, progress)
    factors = {element: anomalous_scattering.factors(element, energies_eV) for element in elements}
    if len(energies_eV) == 1:
        fixed = {element: complex(values[0]) for element, values in factors.items()}
        whole = protein.structure_factors(structure, reflections, fixed, k_sol, b_sol, *how)
        return AmplitudeChannels(energies_eV, whole)
    scatter = [element for element in elements if factors[element].any()]
    constant = protein.structure_factors(structure, reflections, {}, k_sol, b_sol, *how)
    partial = []
    for number, element in enumerate(scatter, start=1):
        progress(f"Structure factors: anomalous part of {element}, element {number} of {len(scatter)}")
        found = protein.partial_structure_factors(structure, reflections, element, *how)
        partial.append(flumpy.to_numpy(found.data()))
    by_energy = np.stack([factors[element] for element in scatter], axis=1) if scatter else None
    return AmplitudeChannels(energies_eV, constant, tuple(partial), by_energy)
