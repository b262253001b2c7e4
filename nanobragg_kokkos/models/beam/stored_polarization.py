"""The polarization that an NXmx file tells, which dxtbx 3.11 does not read."""

from __future__ import annotations

import math

import h5py
import numpy as np
from dxtbx.model import Beam

FIELD = "entry/instrument/beam/incident_polarization_stokes"


def with_stored_polarization(beam: Beam, path: str) -> Beam:
    """Returns a beam along z with the polarization that a file has for its first image; the beam itself if it has none.

    Stokes parameters are of the first axis of NeXus' frame, McStas', which is dxtbx's turned by 180 degrees about y.
    """
    if not h5py.is_hdf5(path):
        return beam
    with h5py.File(path, "r") as file:
        if not isinstance(file.get(FIELD), h5py.Dataset) or file[FIELD].shape[-1:] != (4,) or file[FIELD].ndim > 2:
            return beam
        total, even, oblique, _ = np.asarray(file[FIELD] if file[FIELD].ndim == 1 else file[FIELD][0], float)
    degree = math.hypot(even, oblique) / total if total > 0 else math.nan
    if not degree <= 1 + 1e-9:
        return beam
    angle = 0.5 * math.atan2(oblique, even)
    beam.set_polarization_normal((math.sin(angle), math.cos(angle), 0.0))
    beam.set_polarization_fraction(0.5 * (1 + min(degree, 1.0)))
    return beam
