"""Pulses of a free-electron laser that starts up from noise (self-amplified spontaneous emission, SASE).

Before saturation the field is a random process with the statistics of chaotic light: its amplitude at any energy is a
complex Gaussian number, amplitudes are correlated over an energy of the order of h / (duration of the pulse), and their
mean square follows the bandwidth of the gain. So each pulse's spectrum is an envelope full of spikes, and the energies
of pulses follow, nearly, the Gamma distribution of M modes, with a variance of 1/M of the mean squared (Saldin,
Schneidmiller & Yurkov, Opt. Commun. 148, 383 (1998)).

For a Gaussian pulse and a Gaussian gain, which are taken here, the correlation of amplitudes is the Fourier transform
of the pulse's mean power, and of intensities its square (the Siegert relation for chaotic light). A spike has the width
of the shortest pulse's spectrum, E_s = (2 ln 2/pi) h / T; intensities correlate over sqrt(2) E_s; and M = sqrt(1 +
(E_g/E_s)²), with E_g the width of the gain; all widths are full widths at half maximum. Left out: chirp, saturation,
the transverse modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nanobragg_kokkos.models.beam.pulses import ALONG_X, Polarization, Pulse, Spectrum, even_energies, pulse_of
from nanobragg_kokkos.util.random_streams import stream

PLANCK_EV_FS = 4.135667696

# Energies of the random field in the width of a spike; the correlation in them is exact.
SAMPLES_A_SPIKE = 4

# Between the spectrum's two ends, which a Fourier transform makes neighbours.
SPIKES_APART = 10


def spike_width_eV(pulse_length_fs: float) -> float:
    """Returns the full width at half maximum (eV) of the spikes of pulses with a Gaussian power of this width (fs)."""
    return 2 * math.log(2) / math.pi * PLANCK_EV_FS / pulse_length_fs


@dataclass(frozen=True, eq=False)
class SasePulses:
    """A random spectrum and a random number of photons for each image.

    Args:
        mean_eV: middle of the gain.
        nchannels, channel_width: number of energies, and their distance in eV. A channel sums the spikes in it.
        fwhm: full width at half maximum of the gain, eV.
        spike_width: full width at half maximum of the spikes, eV.
        photons: mean number of photons in a pulse.
        polarization: polarization of all pulses.
    """

    mean_eV: float
    nchannels: int
    channel_width: float
    fwhm: float
    spike_width: float
    photons: float
    polarization: Polarization = ALONG_X

    @cached_property
    def energies_eV(self) -> np.ndarray:
        """Energies (n,) of each pulse in eV, ascending."""
        return even_energies(self.mean_eV, self.nchannels, self.channel_width)

    @cached_property
    def _samples(self) -> int:
        """Energies of the random field in a channel."""
        return math.ceil(SAMPLES_A_SPIKE * self.channel_width / self.spike_width)

    @cached_property
    def _gain(self) -> np.ndarray:
        """Gain at each energy of the random field, (nchannels, samples)."""
        distance = self.channel_width / self._samples
        within = distance * (np.arange(self._samples) - 0.5 * (self._samples - 1))
        offsets = (self.energies_eV - self.mean_eV)[:, None] + within
        exponents = -4.0 * np.log(2.0) * (offsets / self.fwhm) ** 2
        return np.exp(exponents - exponents.max())

    def spectrum(self, generator: np.random.Generator) -> Spectrum:
        """Returns a random spectrum, whose weights sum up to the energy of the pulse relative to the mean."""
        distance = self.channel_width / self._samples
        n_lit = self._gain.size
        n = n_lit + math.ceil(SPIKES_APART * self.spike_width / distance)
        times_fs = np.fft.fftfreq(n, distance / PLANCK_EV_FS)
        length_fs = spike_width_eV(1.0) / self.spike_width
        power = np.exp(-4.0 * np.log(2.0) * (times_fs / length_fs) ** 2)
        field = np.sqrt(power / (2 * power.sum())) * (generator.standard_normal((2, n)).T @ (1, 1j))
        intensity = np.abs(np.fft.fft(field)[:n_lit]) ** 2
        weights = (self._gain * intensity.reshape(self._gain.shape)).sum(axis=1)
        return self.energies_eV, weights / self._gain.sum()

    def pulse(self, image: int, seed: int) -> Pulse:
        """Returns the pulse of an image, counted from 0."""
        energies, weights = self.spectrum(stream(seed, "spectrum", image))
        return pulse_of((energies, weights / weights.sum()), self.photons * float(weights.sum()), self.polarization)
