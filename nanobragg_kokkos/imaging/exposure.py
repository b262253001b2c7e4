"""One exposure: a pulse of the beam on some crystals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dxtbx.model import Crystal as CrystalModel

from nanobragg_kokkos.models.beam.pulses import Pulse
from nanobragg_kokkos.models.sample.crystal import Crystal


@dataclass(frozen=True, eq=False)
class Exposure:
    """A pulse on some crystals, which share the structure factors of their experiment."""

    pulse: Pulse
    crystals: tuple[Crystal, ...]

    @property
    def models(self) -> list[CrystalModel]:
        """The dxtbx models of the crystals, each in its orientation."""
        return [crystal.model for crystal in self.crystals]

    @property
    def mosaic_blocks(self) -> list[np.ndarray]:
        """The rotation matrices (n, 3, 3) of the mosaic blocks of each crystal."""
        return [np.asarray(crystal.mosaic_blocks) for crystal in self.crystals]
