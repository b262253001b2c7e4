"""Structure factors from the coordinates of a protein."""

from __future__ import annotations

import pytest
from cctbx.array_family import flex

from nanobragg_kokkos import protein


@pytest.fixture(scope="module")
def structure():
    return protein.read_coordinates(protein.default_coordinates())


def test_amplitudes_are_those_of_the_atoms(structure):
    found = protein.amplitudes(structure, 2.0, 1.3, anomalous_table=None, k_sol=0)
    structure = structure.deep_copy_scatterers()
    structure.scattering_type_registry(table="wk1995")
    direct = found.structure_factors_from_scatterers(structure, algorithm="direct").f_calc().amplitudes()
    assert found.anomalous_flag() and found.completeness() == 1.0
    assert flex.mean(flex.abs(found.data() - direct.data())) < 2e-3 * flex.mean(direct.data())


def test_solvent_counts_at_low_resolution_only(structure):
    bare = protein.amplitudes(structure, 1.5, 1.3, k_sol=0)
    soaked = protein.amplitudes(structure, 1.5, 1.3)
    change = flex.abs(soaked.data() - bare.data()) / flex.mean(bare.data())
    d = bare.d_spacings().data()
    assert flex.mean(change.select(d > 8)) > 0.2
    # It fades by exp(-b_sol / 4 d^2) and is cut off nowhere.
    assert flex.max(change.select((d > 2.5) & (d < 3))) > 0.03
    assert flex.max(change.select(d < 1.7)) < 0.01


def test_iron_scatters_anomalously(structure):
    above_the_edge, below_the_edge = (protein.amplitudes(structure, 2.0, 12398.42 / e) for e in (7200, 7000))
    assert above_the_edge.anomalous_signal() > 2 * below_the_edge.anomalous_signal()
    assert protein.amplitudes(structure, 2.0, 1.7, anomalous_table=None).anomalous_signal() < 1e-3
