"""f' and f'' of the elements (electrons) at the photon energies of a beam, from cctbx's tables or measured ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from cctbx.eltbx import henke, sasaki
from libtbx.utils import Sorry

from nanobragg_kokkos.util.compressed_files import read_contents
from nanobragg_kokkos.util.reading import reason

TABLES = {"sasaki": sasaki, "henke": henke}

# Electrons. If f' or f'' of an element changes by more between two energies, both need separate structure factors.
NOTICEABLE_CHANGE = 0.1

# eV. Least distance of channels for the energies of a spectrum: edges are wider.
LEAST_DISTANCE_EV = 0.5


# Electrons; larger than f' and f'' of any element at any energy.
MOST_ELECTRONS = 1000.0

# Of a measured table.
MOST_BYTES = 10**8


@dataclass(frozen=True, eq=False)
class MeasuredTable:
    """f' and f'' of an element at ascending energies (eV), linear in between.

    Args:
        path: file of the table.
        energies_eV: energies, (n,), ascending.
        factors: f' + i f'', complex (n,).
    """

    path: str
    energies_eV: np.ndarray
    factors: np.ndarray

    def covers(self, energies_eV: np.ndarray) -> bool:
        return self.energies_eV[0] <= np.min(energies_eV) and np.max(energies_eV) <= self.energies_eV[-1]

    def at(self, energies_eV: np.ndarray) -> np.ndarray:
        """Returns f' + i f'' (n,) in electrons at energies (n,) in eV."""
        return np.interp(energies_eV, self.energies_eV, self.factors)


@dataclass(frozen=True, eq=False)
class AnomalousScattering:
    """f' + i f'' of elements.

    Args:
        table: "sasaki" (Sasaki 1989, KEK Report 88-14) or "henke" (Henke et al. 1993, At. Data Nucl. Data Tables 54,
            181-342); None: no anomalous scattering of elements that have no measured table.
        measured: measured tables by element, which replace the other table.
    """

    table: str | None = "sasaki"
    measured: Mapping[str, MeasuredTable] = field(default_factory=dict)

    def factors(self, element: str, energies_eV: np.ndarray) -> np.ndarray:
        """Returns f' + i f'' (n,) in electrons at energies (n,) in eV; 0 for elements not in the table, such as H.

        Raises:
            Sorry: the table has the element, but not at one of these energies.
        """
        energies_eV = np.atleast_1d(np.asarray(energies_eV, float))
        if element in self.measured:
            measured = self.measured[element]
            if not measured.covers(energies_eV):
                raise Sorry(
                    f"crystal.anomalous_tables={element}={measured.path}: expected values for all energies of the "
                    f"beam, {energies_eV.min():g} to {energies_eV.max():g} eV, but they go from "
                    f"{measured.energies_eV[0]:g} to {measured.energies_eV[-1]:g} eV"
                )
            return measured.at(energies_eV)
        if self.table is None or element in ("H", "D"):
            return np.zeros(len(energies_eV), complex)
        try:
            table = TABLES[self.table].table(element)
        except (RuntimeError, ValueError):
            return np.zeros(len(energies_eV), complex)
        found = [table.at_ev(energy) for energy in energies_eV]
        for energy, value in zip(energies_eV, found):
            if not (value.is_valid_fp() and value.is_valid_fdp()):
                raise Sorry(
                    f"crystal.anomalous={self.table}: expected another table, or None: this one has no f' and f'' of "
                    f"{element} at {energy:g} eV"
                )
        return np.array([complex(value.fp(), value.fdp()) for value in found])


def read_table(path: str, name: str) -> MeasuredTable:
    """Reads a file of three columns: energy (eV, ascending), f' and f'' (electrons); # begins a comment line.

    Args:
        name: name of the parameter, for messages.

    Raises:
        Sorry: there is no such file, or it is no such table.
    """
    expected = f"{name}: expected three columns, energy (eV, ascending), f' and f'' (electrons)"
    try:
        lines = read_contents(path, MOST_BYTES).decode().splitlines()
    except (OSError, ValueError) as error:
        why = "it is not text" if isinstance(error, UnicodeDecodeError) else reason(error)
        raise Sorry(f"{expected}, but reading the file failed ({why})") from error
    rows = [line.split() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    try:
        columns = np.array(rows, float).T
    except ValueError as error:
        raise Sorry(f"{expected}, but {_first_wrong_line(lines)}") from error
    if columns.shape[:1] != (3,) or not np.isfinite(columns).all():
        raise Sorry(f"{expected}, but {_first_wrong_line(lines)}")
    energies, real, imaginary = columns
    if not (np.diff(energies) > 0).all():
        raise Sorry(f"{expected}, but the energies do not ascend")
    if energies[0] <= 0 or max(np.abs(real).max(), np.abs(imaginary).max()) > MOST_ELECTRONS:
        raise Sorry(f"{expected}, but an energy is 0 or less, or f' or f'' more than {MOST_ELECTRONS:g}")
    return MeasuredTable(path, energies, real + 1j * imaginary)


def channel_energies(
    scattering: AnomalousScattering,
    elements: Sequence[str],
    energies_eV: np.ndarray,
    mean_energy: float,
    n_channels: int | None = None,
) -> np.ndarray:
    """Returns the energies (eV, ascending) at which the structure factors of a crystal with these elements are needed.

    Args:
        energies_eV: energies of the beam.
        mean_energy: mean energy, eV; the result if one energy suffices.
        n_channels: number of energies, evenly spaced from the lowest to the highest. None: if f' or f'' of an element
            changes by more than NOTICEABLE_CHANGE, energies of the beam, at least LEAST_DISTANCE_EV apart; else one.

    Raises:
        Sorry: a table lacks one of the energies.
    """
    factors = [scattering.factors(element, energies_eV) for element in elements]
    lowest, highest = np.min(energies_eV), np.max(energies_eV)
    if n_channels is None:
        changes = (max(np.ptp(values.real), np.ptp(values.imag)) for values in factors)
        if max(changes, default=0.0) > NOTICEABLE_CHANGE:
            each = np.unique(energies_eV)
            most = int((highest - lowest) / LEAST_DISTANCE_EV) + 2
            return each if len(each) <= most else np.linspace(lowest, highest, most)
    if n_channels in (None, 1):
        return np.array([mean_energy])
    return np.linspace(lowest, highest, n_channels)


def _first_wrong_line(lines: Sequence[str]) -> str:
    for number, line in enumerate(lines, start=1):
        words = line.split("#")[0].split() if line.lstrip().startswith("#") else line.split()
        if not words:
            continue
        try:
            values = [float(word) for word in words]
        except ValueError:
            values = []
        if len(values) != 3 or not np.isfinite(values).all():
            return f"line {number} has something else"
    return "it has none"
