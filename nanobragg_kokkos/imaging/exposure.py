"""What one image is of: a pulse of the beam on some crystals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dxtbx import flumpy
from dxtbx.model import Beam, Spectrum
from dxtbx.model import Crystal as CrystalModel

from nanobragg_kokkos.models.beam.sources import Sources
from nanobragg_kokkos.models.sample.crystal import Crystal


@dataclass(frozen=True, eq=False)
class Pulse:
    """The beam of one image.

    Args:
        beam: dxtbx model, of the pulse's mean wavelength.
        energies_eV, weights: of its spectrum, relative (dxtbx 3.11 cannot pickle its own).
        photons: all energies together.
    """

    beam: Beam
    energies_eV: np.ndarray
    weights: np.ndarray
    photons: float

    @property
    def spectrum(self) -> Spectrum:
        """As dxtbx has it."""
        energies, weights = (np.ascontiguousarray(values, float) for values in (self.energies_eV, self.weights))
        return Spectrum(flumpy.from_numpy(energies), flumpy.from_numpy(weights))

    @property
    def sources(self) -> Sources:
        """The plane waves that fall on the crystals."""
        return Sources.from_beam(self.beam, self.spectrum)


@dataclass(frozen=True, eq=False)
class Shot:
    """A pulse on some crystals, which share the structure factors of their experiment."""

    pulse: Pulse
    crystals: tuple[Crystal, ...]

    @property
    def models(self) -> list[CrystalModel]:
        """The dxtbx models of the crystals, each in its orientation."""
        return [crystal.model for crystal in self.crystals]
