"""Structure factors of cells of any size, against sums over atoms in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from cctbx import crystal, xray
from cctbx.array_family import flex
from dxtbx import flumpy
from scipy.spatial import cKDTree

from nanobragg_kokkos import protein
from nanobragg_kokkos.models.amplitudes import transform

HEXAGON = (1 / 3, 2 / 3)
B6 = 0.1993

# Cell, space group, elements with places, and amplitudes' resolution.
STRUCTURES = {
    "iron": ((2.866, 2.866, 2.866, 90, 90, 90), "P 1", [("Fe", (0, 0, 0)), ("Fe", (0.5, 0.5, 0.5))], 1.0),
    "iron_bcc": ((2.866, 2.866, 2.866, 90, 90, 90), "I m -3 m", [("Fe", (0, 0, 0))], 1.0),
    "magnesium": ((3.209, 3.209, 5.211, 90, 90, 120), "P 63/m m c", [("Mg", (*HEXAGON, 0.25))], 1.0),
    "beryllium": ((2.286, 2.286, 3.584, 90, 90, 120), "P 63/m m c", [("Be", (*HEXAGON, 0.25))], 1.0),
    "graphite": (
        (2.464, 2.464, 6.711, 90, 90, 120), "P 63/m m c", [("C", (0, 0, 0.25)), ("C", (*HEXAGON, 0.25))], 1.0,
    ),
    "LaB6": ((4.157, 4.157, 4.157, 90, 90, 90), "P m -3 m", [("La", (0, 0, 0)), ("B", (B6, 0.5, 0.5))], 0.8),
    "thin": ((3, 20, 40, 90, 90, 90), "P 1", [("C", (0.1, 0.2, 0.3)), ("O", (0.5, 0.7, 0.9)), ("S", (0, 0, 0))], 1.5),
    "low_resolution": ((12, 13, 14, 90, 90, 90), "P 1", [("C", (0.1, 0.2, 0.3)), ("O", (0.5, 0.7, 0.9))], 8.0),
}  # fmt: skip


def structure_of(name: str) -> tuple[xray.structure, float]:
    cell, group, atoms, d_min = STRUCTURES[name]
    structure = xray.structure(crystal.symmetry(cell, group).special_position_settings())
    for number, (element, site) in enumerate(atoms):
        structure.add_scatterer(xray.scatterer(f"{element}{number}", site, b=0.5, scattering_type=element))
    return structure, d_min


@pytest.mark.parametrize("name", STRUCTURES)
def test_cells_of_any_size_have_the_amplitudes_of_their_atoms(name):
    structure, d_min = structure_of(name)
    reflections = protein.reflections(structure.crystal_symmetry(), d_min)
    found = protein.structure_factors(structure, reflections, {}, k_sol=0)
    in_p1 = structure.expand_to_p1()
    in_p1.scattering_type_registry(table="wk1995")
    sites = np.array(in_p1.sites_frac())
    b = in_p1.extract_u_iso_or_u_equiv().as_numpy_array() * 8 * np.pi**2
    registry = in_p1.scattering_type_registry()
    types = [scatterer.scattering_type for scatterer in in_p1.scatterers()]
    expected = []
    for index in reflections.indices():
        stol_sq = structure.unit_cell().d_star_sq(index) / 4
        form = np.array([registry.gaussian(kind).at_stol_sq(stol_sq) for kind in types])
        expected.append(np.sum(form * np.exp(-b * stol_sq + 2j * np.pi * sites @ index)))
    differences = np.abs(flumpy.to_numpy(found.data()) - expected)
    assert differences.sum() < transform.FFT_TOLERANCE * np.abs(expected).sum()


def test_iron_has_the_reflections_of_a_centred_lattice():
    structure, d_min = structure_of("iron")
    found = protein.structure_factors(structure, protein.reflections(structure.crystal_symmetry(), d_min), {}, k_sol=0)
    amplitudes = dict(zip(found.indices(), np.abs(flumpy.to_numpy(found.data()))))
    assert amplitudes[1, 1, 0] == pytest.approx(35.83, abs=0.1) and amplitudes[1, 0, 0] < 1e-9


def test_proteins_are_transformed_and_checked(monkeypatch):
    structure = protein.read_coordinates(protein.default_coordinates())
    reflections = protein.reflections(structure.crystal_symmetry(), 3.0)
    lines: list[str] = []
    protein.structure_factors(structure, reflections, {"Fe": -1 + 2j}, k_sol=0, warn=lines.append)
    assert not lines
    # Where nothing better can be had, a wrong transform is told of.
    by_fft = transform._by_fft
    monkeypatch.setattr(
        transform,
        "_by_fft",
        lambda *given, **options: by_fft(*given, **options).apply_scaling(target_max=1.0),
    )
    protein.structure_factors(structure, reflections, {}, k_sol=0, warn=lines.append)
    assert "by direct summation, as the fast Fourier transform is off" in lines.pop()
    monkeypatch.setattr(transform, "MOST_TERMS", 0)
    monkeypatch.setattr(transform, "CHEAP_TERMS", 0)
    protein.structure_factors(structure, reflections, {}, k_sol=0, warn=lines.append)
    assert lines.pop().startswith("Warning: structure factors differ by 1")


def test_the_solvent_ends_without_a_step():
    """Against a mask made in NumPy: solvent is where a probe of 1.1 angstrom fits, and within 0.9 angstrom of that."""
    n, edge = 72, 18.0
    structure = xray.structure(crystal.symmetry((edge,) * 3 + (90,) * 3, "P 1").special_position_settings())
    random = np.random.default_rng(1)
    sites = 0.5 + random.uniform(-0.2, 0.2, (20, 3))
    for site in sites:
        structure.add_scatterer(xray.scatterer("C", tuple(site), b=10, scattering_type="C"))
    reflections = protein.reflections(structure.crystal_symmetry(), 1.8)
    both, atoms = (protein.structure_factors(structure, reflections, {}, k_sol=k_sol, b_sol=20) for k_sol in (0.35, 0))
    found = flumpy.to_numpy(both.data()) - flumpy.to_numpy(atoms.data())
    from cctbx.masks import vdw_radii_from_xray_structure

    (radius,) = set(vdw_radii_from_xray_structure(structure))
    grid = np.stack(np.meshgrid(*[np.arange(n) * edge / n] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    distances, _ = cKDTree(sites * edge, boxsize=edge).query(grid)
    accessible = distances > radius + 1.1
    near, _ = cKDTree(grid[accessible], boxsize=edge).query(grid)
    mask = (near < 0.9).reshape(n, n, n)
    transformed = np.conj(np.fft.fftn(mask)) * edge**3 / n**3
    indices = np.array(reflections.indices())
    d_star_sq = np.array(reflections.unit_cell().d_star_sq(reflections.indices()))
    expected = 0.35 * np.exp(-20 * d_star_sq / 4) * transformed[tuple(indices.T)]
    d = 1 / np.sqrt(d_star_sq)
    for shell in ((d > 6), (d > 3) & (d < 3.3), (d > 2.7) & (d < 3)):
        assert np.abs(found[shell]).mean() == pytest.approx(np.abs(expected[shell]).mean(), rel=0.35)
        assert np.corrcoef(np.abs(found[shell]), np.abs(expected[shell]))[0, 1] > 0.8
    assert flex.double(np.abs(found[d < 3])).all_ne(0)


def test_a_long_summation_tells_how_far_it_is(monkeypatch):
    structure, d_min = structure_of("LaB6")
    reflections = protein.reflections(structure.crystal_symmetry(), d_min)
    at_once = protein.structure_factors(structure, reflections, {}, k_sol=0, algorithm="direct")
    lines: list[str] = []
    terms = structure.scatterers().size() * structure.space_group().order_z()
    monkeypatch.setattr(transform, "BLOCK_TERMS", terms * 10)
    found = protein.structure_factors(structure, reflections, {}, k_sol=0, algorithm="direct", progress=lines.append)
    assert len(lines) == -(-reflections.size() // 10) - 1
    assert lines[0].endswith(f" % of {reflections.size()} reflections are summed")
    assert found.indices().all_eq(at_once.indices()) and found.data().all_eq(at_once.data())
