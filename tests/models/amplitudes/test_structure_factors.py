"""Structure factors on the P1 lattice: the same whether channels have their reflections in common or not."""

from __future__ import annotations

import numpy as np
import pytest
from cctbx import crystal as cctbx_crystal
from cctbx import miller
from cctbx.array_family import flex

from nanobragg_kokkos import StructureFactors


def channel(space_group: str, anomalous: bool, seed: int, shuffled: bool = False) -> miller.array:
    beta = 95 if space_group == "C 2" else 90
    symmetry = cctbx_crystal.symmetry((40, 50, 60, 90, beta, 90), space_group)
    reflections = symmetry.build_miller_set(anomalous_flag=anomalous, d_min=4)
    random = np.random.default_rng(seed)
    if shuffled:
        reflections = reflections.select(flex.size_t(random.permutation(reflections.size()).astype(np.uint64)))
    return reflections.array(flex.double(random.exponential(100, reflections.size())))


def values(array: miller.array) -> dict:
    return dict(zip(array.indices(), array.data()))


@pytest.mark.parametrize("anomalous", [False, True])
@pytest.mark.parametrize("space_group", ["P 1", "P 21 21 21", "C 2"])
def test_a_channel_is_what_it_would_be_alone(space_group, anomalous):
    arrays = [
        channel(space_group, anomalous, 1),
        channel(space_group, anomalous, 2),
        channel(space_group, anomalous, 3, shuffled=True),
        channel(space_group, anomalous, 4),
        channel("P 21 21 21", not anomalous, 5),
    ]
    together = StructureFactors(arrays).channels
    for array, expanded in zip(arrays, together):
        (alone,) = StructureFactors(array).channels
        assert values(expanded) == values(alone)
        reference = array if anomalous == array.anomalous_flag() and anomalous else array.generate_bijvoet_mates()
        assert values(expanded) == values(reference.expand_to_p1())


@pytest.mark.parametrize("space_group", ["P 1", "P 21 21 21"])
def test_several_values_in_any_channel_are_refused(space_group):
    good = channel(space_group, True, 1)
    with pytest.raises(ValueError, match="several values"):
        StructureFactors([good, good.concatenate(good)])
