"""Streams of random numbers, one for each purpose and image.

Image k depends on the seed and on k alone, not on the rank or the order in which images are simulated: each stream is a
separate PCG64 generator (O'Neill 2014, www.pcg-random.org), keyed by NumPy's SeedSequence.
"""

from __future__ import annotations

import numpy as np

# The position in this list is part of the key: add at the end, never reorder.
PURPOSES = ("orientation", "mosaic", "spectrum", "jitter", "cell")


def stream(seed: int, purpose: str, image: int = 0) -> np.random.Generator:
    """Returns the generator of random numbers for one purpose in one image (counted from 0)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, PURPOSES.index(purpose), image])))
