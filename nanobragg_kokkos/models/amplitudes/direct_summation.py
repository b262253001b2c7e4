"""Sums structure factors atom by atom in NumPy, to check those of cctbx.

F(h) = sum over atoms of o w f(h) sum over symmetry operations of T(h R) exp(2 pi i h (R x + t)), with the occupancy o,
the multiplicity of the site over the number of operations w, f = f0 + f' + i f'' and the displacement factor T
(International Tables for Crystallography, vol. B, 1.2).
"""

from __future__ import annotations

import numpy as np
from cctbx import miller, xray
from cctbx.array_family import flex
from dxtbx import flumpy

# How many reflections are checked, and beyond which difference, relative to the sum of the amplitudes.
N_CHECKED = 40
TOLERANCE = 0.01


def summed(structure: xray.structure, reflections: miller.set) -> np.ndarray:
    """Returns complex structure factors (n,) of the atoms, with the form factors that the structure has registered."""
    cell, scatterers = structure.unit_cell(), structure.scatterers()
    registry = structure.scattering_type_registry()
    operations = [
        (np.reshape(operation.r().as_double(), (3, 3)), np.array(operation.t().as_double()))
        for operation in structure.space_group().all_ops()
    ]
    sites = flumpy.to_numpy(scatterers.extract_sites()).reshape(-1, 3)
    weights = np.array([scatterer.weight() for scatterer in scatterers])
    anomalous = np.array(
        [complex(s.fp, s.fdp) if s.flags.use_fp_fdp() else 0.0 for s in scatterers],
        complex,
    )
    u_iso = np.array([s.u_iso if s.flags.use_u_iso() else 0.0 for s in scatterers])
    u_star = np.array([_matrix(s.u_star) if s.flags.use_u_aniso() else np.zeros((3, 3)) for s in scatterers])
    anisotropic = bool(u_star.any())
    types, kinds = np.unique([scatterer.scattering_type for scatterer in scatterers], return_inverse=True)
    found = np.zeros(reflections.size(), complex)
    for place, index in enumerate(reflections.indices()):
        stol_sq = cell.d_star_sq(index) / 4
        form = np.array([registry.gaussian(str(kind)).at_stol_sq(stol_sq) for kind in types])[kinds] + anomalous
        waves = np.zeros(len(sites), complex)
        for rotation, translation in operations:
            turned = np.array(index) @ rotation
            wave = np.exp(2j * np.pi * (sites @ turned + np.dot(index, translation)))
            if anisotropic:
                wave *= np.exp(-2 * np.pi**2 * (u_star @ turned @ turned))
            waves += wave
        found[place] = np.sum(weights * form * np.exp(-8 * np.pi**2 * u_iso * stol_sq) * waves)
    return found


def difference(structure: xray.structure, calculated: miller.array, seed: int) -> float:
    """Returns sum |F - F'| / sum |F'| over some reflections chosen at random; F' are summed atom by atom.

    Args:
        structure: atoms, with their form factors.
        calculated: F, complex.
        seed: seed of the choice.
    """
    random = np.random.default_rng(seed)
    chosen = random.choice(calculated.size(), min(N_CHECKED, calculated.size()), replace=False)
    some = calculated.select(flex.size_t(np.sort(chosen).astype(np.uint64)))
    expected = summed(structure, some)
    total = np.abs(expected).sum()
    differences = np.abs(flumpy.to_numpy(some.data()) - expected).sum()
    # If nothing scatters, all phases cancel except for rounding.
    if total <= 1e-9 * structure.scatterers().size():
        return 0.0 if differences <= 1e-6 * structure.scatterers().size() else float("inf")
    return float(differences / total)


def _matrix(tensor: tuple[float, ...]) -> np.ndarray:
    u11, u22, u33, u12, u13, u23 = tensor
    return np.array([[u11, u12, u13], [u12, u22, u23], [u13, u23, u33]])
