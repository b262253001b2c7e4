"""Types of counts: the value that marks a pixel without a measurement, and the highest saturation (ADU)."""

from __future__ import annotations

import numpy as np

MASKED = {np.dtype(np.int32): -1, np.dtype(np.uint16): 65535}
HIGHEST_SATURATION = {np.dtype(np.int32): 2**31 - 2, np.dtype(np.uint16): 65533}
