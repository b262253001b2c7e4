"""Diffuse scattering from what surrounds the crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scitbx.array_family import flex

from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.util.argument_checks import finite

# sin(theta)/lambda (1/angstrom) and structure factors of independent atoms beyond the end of the measured tables.
TAIL_STOL = (0.6, 0.8, 1.0, 1.3, 1.7, 2.2, 3.0, 4.0, 6.0)
WATER_TAIL = (2.637, 2.121, 1.864, 1.55, 1.16, 0.771, 0.396, 0.182, 0.051)
AIR_TAIL = (3.689, 3.162, 2.762, 2.182, 1.524, 0.947, 0.443, 0.19, 0.047)

AVOGADRO = 6.02214179e23  # 1/mol (CODATA 2006), as in the core


@dataclass(frozen=True, eq=False)
class Amorphous:
    """A sample without long-range order. Samples with equal arguments are equal.

    Args:
        stol: sin(theta)/lambda in 1/angstrom, (n,), ascending.
        amplitude: structure factors of one molecule, electrons, (n,).
        thickness_mm: thickness along the beam.
        density_gcm3: density.
        molecular_weight_Da: molecular weight.

    Raises:
        ValueError: the table is empty, not finite or does not ascend, the arrays differ in length, thickness or density
            is negative, or the molecular weight is not positive.
    """

    stol: Sequence[float]
    amplitude: Sequence[float]
    thickness_mm: float
    density_gcm3: float
    molecular_weight_Da: float

    def __post_init__(self) -> None:
        for name in ("stol", "amplitude"):
            array = np.array(getattr(self, name), float)
            if array.ndim != 1 or len(array) == 0 or not np.isfinite(array).all():
                raise ValueError(f"{name} must be one or more finite numbers in a row")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if len(self.stol) != len(self.amplitude):
            raise ValueError(f"stol has {len(self.stol)} values, but amplitude {len(self.amplitude)}")
        if not (np.diff(self.stol) > 0).all():
            raise ValueError("stol must ascend")
        finite("thickness_mm", self.thickness_mm, least=0)
        finite("density_gcm3", self.density_gcm3, least=0)
        finite("molecular_weight_Da", self.molecular_weight_Da, above=0)

    def _values(self) -> tuple:
        arrays = (np.asarray(self.stol).tobytes(), np.asarray(self.amplitude).tobytes())
        return (*arrays, self.thickness_mm, self.density_gcm3, self.molecular_weight_Da)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if isinstance(other, Amorphous) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._values())

    def molecules(self, beam_size_mm: float) -> float:
        """Returns the number of molecules in a beam of square cross-section with the side beam_size_mm."""
        volume_cm3 = self.thickness_mm * beam_size_mm**2 * 1e-3
        return volume_cm3 * self.density_gcm3 / self.molecular_weight_Da * AVOGADRO

    def on_device(self, beam_size_mm: float) -> ext.Amorphous:
        """Returns the core's amorphous sample."""
        return ext.Amorphous(
            stol=flex.double(self.stol),
            amplitude=flex.double(self.amplitude),
            molecules=self.molecules(beam_size_mm),
        )


def water(thickness_mm: float) -> Amorphous:
    """Returns a layer of liquid water.

    To sin(theta)/lambda = 0.5 the structure factor that nanoBragg's examples use (James Holton, from measured
    scattering); beyond, where there is no order left, that of the independent atoms (Waasmaier & Kirfel 1995, Acta
    Cryst. A51, 416-431), scaled to join on.
    """
    return Amorphous(
        stol=(0, 0.0365, 0.07, 0.12, 0.162, 0.18, 0.2, 0.216, 0.236, 0.28, 0.3, 0.345, 0.436, 0.5, *TAIL_STOL),
        amplitude=(2.57, 2.58, 2.8, 5, 8, 7.32, 6.75, 6.75, 6.5, 4.5, 4.3, 4.36, 3.77, 3.17, *WATER_TAIL),
        thickness_mm=thickness_mm,
        density_gcm3=1.0,
        molecular_weight_Da=18.0,
    )


def air(thickness_mm: float) -> Amorphous:
    """Returns air at room temperature, taken as nitrogen: nanoBragg's examples and independent atoms, as for water."""
    return Amorphous(
        stol=(0, 0.045, 0.174, 0.35, 0.5, *TAIL_STOL),
        amplitude=(14.1, 13.5, 8.35, 4.78, 4.22, *AIR_TAIL),
        thickness_mm=thickness_mm,
        density_gcm3=1.2e-3,
        molecular_weight_Da=28.0,
    )
