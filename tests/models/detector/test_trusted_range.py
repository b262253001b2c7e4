"""The lower end of the trusted range: as this dxtbx understands it."""

from __future__ import annotations

import pytest
from helpers.small_models import small_detector
from scitbx.array_family import flex

from nanobragg_kokkos.models.detector.trusted_range import lower_end, lowest_valid


@pytest.mark.parametrize("lowest", [-3, 0, 2])
def test_dxtbx_trusts_the_lowest_valid_count_and_none_below(lowest):
    (panel,) = small_detector(pixels=2)
    panel.set_trusted_range((lower_end(lowest), 10))
    counts = flex.int([lowest - 1, lowest, lowest + 1, 11])
    counts.reshape(flex.grid(2, 2))
    assert list(panel.get_trusted_range_mask(counts)) == [False, True, True, False]
    assert lowest_valid(lower_end(lowest)) == lowest
