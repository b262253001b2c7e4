"""The lower end of dxtbx's trusted range: dxtbx 3.12 excludes it, dxtbx 3.22 trusts it."""

from __future__ import annotations

import functools
import math

from dxtbx.model import Panel
from scitbx.array_family import flex


@functools.cache
def lower_end_is_trusted() -> bool:
    """Returns whether this dxtbx trusts a pixel that is as bright as the lower end of the trusted range."""
    panel = Panel("PAD", "", (1, 0, 0), (0, 1, 0), (0, 0, -1), (1, 1), (1, 1), (0, 2), 0.0, "", 0.0)
    counts = flex.int([0])
    counts.reshape(flex.grid(1, 1))
    return panel.get_trusted_range_mask(counts)[0]


def lower_end(lowest: int) -> float:
    """Returns the lower end of the trusted range of a panel whose lowest valid count is `lowest`."""
    return float(lowest if lower_end_is_trusted() else lowest - 1)


def lowest_valid(end: float) -> int:
    """Returns the lowest valid count of a panel, given the lower end of its trusted range."""
    return math.ceil(end) if lower_end_is_trusted() else math.floor(end) + 1
