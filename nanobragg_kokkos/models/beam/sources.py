"""The incident beam: plane waves, each with a direction, a wavelength and a weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from cctbx import factor_ev_angstrom
from scitbx.array_family import flex

from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.util.argument_checks import finite, vector


@dataclass(frozen=True, eq=False)
class Sources:
    """Any number n of plane waves that fall on the sample.

    Args:
        wavelengths: (n,) angstrom.
        weights: (n,) relative; divided by their sum.
        directions: (n, 3) from the sample to the source, as in dxtbx; need not be unit vectors.  Default: +z for all.
        channels: (n,) which channel of the structure factors a source sees.  Default: 0 for all.
        electric_vector: (3,) direction of the electric field; for each source its component at right angles to the
            direction counts.
        polarization_fraction: 1 fully polarized along electric_vector, 0.5 not at all, 0 fully polarized across it.
            The Kahn factor is twice this minus 1 (Kahn et al., J. Appl. Cryst. 15, 330 (1982)).

    Raises:
        ValueError: no source, arrays of different lengths, a wavelength that is not positive, channels that are not
            whole numbers, a fraction outside 0…1.
    """

    wavelengths: np.ndarray
    weights: np.ndarray
    directions: np.ndarray | None = None
    channels: np.ndarray | None = None
    electric_vector: Sequence[float] = (1.0, 0.0, 0.0)
    polarization_fraction: float = 0.999

    def __post_init__(self) -> None:
        wavelengths = np.array(self.wavelengths, float, ndmin=1)
        n = len(wavelengths)
        directions = np.array((0.0, 0.0, 1.0) if self.directions is None else self.directions, float)
        if directions.shape == (3,):
            directions = np.tile(directions, (n, 1))
        channels = np.zeros(n, int) if self.channels is None else np.array(self.channels, ndmin=1)
        arrays = {
            "wavelengths": (wavelengths, (n,)),
            "weights": (np.array(self.weights, float, ndmin=1), (n,)),
            "directions": (directions, (n, 3)),
            "channels": (channels, (n,)),
        }
        for name, (array, shape) in arrays.items():
            if array.shape != shape or n == 0:
                raise ValueError(
                    f"{name} of the sources must have the shape {shape if n else '(n,)'}, not {array.shape}"
                )
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not ((wavelengths > 0) & np.isfinite(wavelengths)).all():
            raise ValueError("wavelengths of the sources must be positive and finite (angstrom)")
        if channels.dtype.kind not in "iu" or channels.min() < 0 or channels.max() >= 2**31 - 1:
            raise ValueError("channels of the sources must be whole numbers, 0 or more")
        object.__setattr__(self, "electric_vector", vector("electric_vector", self.electric_vector))
        fraction = finite("polarization_fraction", self.polarization_fraction)
        if not 0 <= fraction <= 1:
            raise ValueError(f"polarization_fraction must lie between 0 and 1, not {fraction}")

    def __len__(self) -> int:
        return len(self.wavelengths)

    @classmethod
    def from_beam(cls, beam, spectrum=None, one_channel_each: bool = False) -> Sources:
        """Returns sources in the direction and with the polarization of a dxtbx Beam.

        Args:
            beam: dxtbx Beam.
            spectrum: dxtbx Spectrum (energies in eV, weights); without one, the beam's wavelength alone.  Energies of
                weight 0 are left out.
            one_channel_each: each energy of the spectrum sees a structure-factor channel of its own, in its order.
        """
        if spectrum is None:
            energies, weights = np.array([factor_ev_angstrom / beam.get_wavelength()]), np.ones(1)
        else:
            energies = np.array(spectrum.get_energies_eV())
            weights = np.array(spectrum.get_weights())
        counts = weights != 0
        return cls(
            wavelengths=factor_ev_angstrom / energies[counts],
            weights=weights[counts],
            directions=beam.get_sample_to_source_direction(),
            channels=np.arange(len(energies))[counts] if one_channel_each else None,
            electric_vector=np.cross(beam.get_sample_to_source_direction(), beam.get_polarization_normal()),
            polarization_fraction=beam.get_polarization_fraction(),
        )

    def in_channels(self, channel_energies_eV: np.ndarray) -> Sources:
        """Returns the same waves, each in the structure-factor channel of the nearest energy (eV, ascending)."""
        return replace(self, channels=nearest_channels(factor_ev_angstrom / self.wavelengths, channel_energies_eV))

    def on_device(self, fluence: float, polarized: bool) -> ext.Sources:
        """Returns the core's sources; fluence in photons/mm², of all sources together."""
        return ext.Sources(
            directions=flex.double(np.asarray(self.directions).ravel()),
            wavelengths=flex.double(self.wavelengths),
            weights=flex.double(self.weights),
            channels=flex.int(np.asarray(self.channels, np.int32)),
            polarized=polarized,
            kahn_factor=2 * float(self.polarization_fraction) - 1,
            electric_vector=vector("electric_vector", self.electric_vector),
            fluence=fluence,
        )


def nearest_channels(energies_eV: np.ndarray, channel_energies_eV: np.ndarray) -> np.ndarray:
    """Returns the number of the nearest channel for each energy (n,); of two as near, the lower one.

    Args:
        energies_eV: (n,) in any order.
        channel_energies_eV: ascending.
    """
    middles = (channel_energies_eV[1:] + channel_energies_eV[:-1]) / 2
    return np.searchsorted(middles, energies_eV)
