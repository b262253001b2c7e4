"""From expected photons to the counts that a detector reports."""

from __future__ import annotations

import numpy as np

# Rows are read out a few at a time, so that the 64-bit intermediates stay small beside the image.
ROWS_AT_A_TIME = 256


def read_out(expected: np.ndarray, saturation: float, generator: np.random.Generator | None) -> np.ndarray:
    """The counts (int32, shape (slow, fast)) of one panel.

    Args:
        expected: photons a pixel, float64, shape (slow, fast); anything below 0 is a rounding error, and counts as 0.
        saturation: the highest trusted count; whatever is brighter reads one more.
        generator: draws every count from the Poisson distribution; None: no noise, expectations are rounded.
    """
    ceiling = min(saturation + 1.0, float(np.iinfo(np.int32).max))
    counts = np.empty(expected.shape, np.int32)
    for first in range(0, len(expected), ROWS_AT_A_TIME):
        rows = slice(first, first + ROWS_AT_A_TIME)
        if generator is None:
            drawn = np.rint(np.maximum(expected[rows], 0.0))
        else:
            # NumPy refuses expectations near 2**63; one far above the ceiling is saturated whatever is drawn.
            drawn = generator.poisson(np.clip(expected[rows], 0.0, 2.0 * ceiling + 100.0))
        np.minimum(drawn, ceiling, out=counts[rows], casting="unsafe")
    return counts
