"""The beam of an NXmx file: wavelength and spectrum, polarization, size and number of photons."""

from __future__ import annotations

import math
from collections.abc import Sequence

import h5py
import numpy as np
from cctbx import factor_ev_angstrom
from dxtbx.model import Beam, Spectrum
from libtbx.utils import Sorry

from nanobragg_kokkos.files import nexus


def write_beam(
    group: h5py.Group,
    beams: Sequence[Beam],
    spectra: Sequence[Spectrum] | None,
    photons: Sequence[float] | None,
    beam_size_mm: float | None,
    rotation: np.ndarray,
    exposure_s: float | None,
) -> None:
    """Fills the NXbeam `group` with a beam, spectrum and number of photons per image; rotation: see `beam_along_z`."""
    wavelengths = [beam.get_wavelength() for beam in beams]
    shown = wavelengths[0] if len(set(wavelengths)) == 1 else wavelengths
    wavelength = nexus.quantity(group, "incident_wavelength", shown, "angstrom")
    if spectra is not None:
        name = "incident_wavelength_1Dspectrum"
        # dxtbx 3.11 takes this text, of all, as a Python string: h5py gives one for texts of variable length.
        wavelength.attrs["variant"] = np.array(name, h5py.string_dtype("ascii"))
        channels, weights = _spectrum_arrays(spectra)
        nexus.quantity(group, name, channels, "angstrom")
        nexus.field(group, name + "_weights", weights)
        # The name until 2020, and the one that dxtbx 3.11 looks for.
        group[name + "_weight"] = group[name + "_weights"]
    total = np.nan if photons is None else np.array(photons[0] if len(set(photons)) == 1 else photons)
    nexus.quantity(group, "total_flux", total / (exposure_s or 1.0), "Hz")
    if photons is not None:
        nexus.quantity(group, "total_flux_integrated", total, "")
        nexus.note(group, flux="total_flux_integrated")
    if beam_size_mm is not None:
        nexus.quantity(group, "incident_beam_size", [beam_size_mm * 1e-3] * 2, "m")
        nexus.field(group, "profile", "rectangular")
    stokes = {_stokes(beam, rotation) for beam in beams}
    if len(stokes) > 1:
        raise Sorry("beam: all images of a file must have one polarization.")
    nexus.field(group, "incident_polarization_stokes", np.tile(stokes.pop(), (len(beams), 1)))


def _spectrum_arrays(spectra: Sequence[Spectrum]) -> tuple[np.ndarray, np.ndarray]:
    """Returns wavelengths (angstrom) and weights: (channels,) if common to all images, else (images, channels)."""
    tables = {}
    for spectrum in spectra:
        if id(spectrum) not in tables:
            wavelengths = factor_ev_angstrom / np.array(spectrum.get_energies_eV())
            tables[id(spectrum)] = wavelengths, np.array(spectrum.get_weights())
    longest = max(len(wavelengths) for wavelengths, _ in tables.values())
    channels, weights = np.empty((2, len(spectra), longest))
    for k, spectrum in enumerate(spectra):
        x, y = tables[id(spectrum)]
        channels[k] = np.pad(x, (0, longest - len(x)), mode="edge")
        weights[k] = np.pad(y, (0, longest - len(y)))
    if (channels == channels[0]).all():
        channels = channels[0]
    return (channels, weights[0]) if len(tables) == 1 else (channels, weights)


def _stokes(beam: Beam, rotation: np.ndarray) -> tuple[float, float, float, float]:
    """Returns the Stokes parameters of unit intensity; the first axis is McStas' x."""
    normal = nexus.IMGCIF_TO_MCSTAS @ rotation @ np.array(beam.get_polarization_normal())
    electric = np.cross(normal, (0.0, 0.0, 1.0))
    angle = 2 * math.atan2(electric[1], electric[0])
    degree = 2 * beam.get_polarization_fraction() - 1
    return 1.0, degree * math.cos(angle), degree * math.sin(angle), 0.0
