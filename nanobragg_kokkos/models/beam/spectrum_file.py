"""Reads measured spectra from columns of numbers or from files of images."""

from __future__ import annotations

import os
from collections.abc import Iterable

import h5py
import numpy as np
from cctbx import factor_ev_angstrom
from libtbx.utils import Sorry

from nanobragg_kokkos.models.beam.pulses import Spectrum
from nanobragg_kokkos.util.model_files import MODEL_ENDS, read_models
from nanobragg_kokkos.util.reading import reading

ANGSTROM = {"angstrom": 1.0, "angstroms": 1.0, "a": 1.0, "nm": 10.0, "m": 1e10}

# Outside, there are no tables of what sensors absorb.
LEAST_EV, MOST_EV = 1e3, 1e5

# Of a spectrum; each takes its share of the time of an image. And of all spectra of a file, 16 bytes each.
MOST_ENERGIES = 10**5
MOST_NUMBERS = 2**28

# Of a text: about 1e8 numbers.
MOST_BYTES = 2**30

# Relative weights beyond are scaled, so that their sums stay finite.
LEAST_WEIGHT, MOST_WEIGHT = 1e-100, 1e100


def read_spectra(path: str) -> list[Spectrum]:
    """Returns the spectra of a file, one for each of its images or one for all.

    Args:
        path: text, with energies (eV) in the first column and weights in one or more others, one a spectrum; or an HDF5
            file with an NXbeam that has a spectrum (NXmx: incident_wavelength or a variant of it, with weights); or any
            image or model file whose images have spectra in dxtbx.

    Raises:
        Sorry: the file is none of these, or has spectra that cannot be: energies that do not ascend or lie outside 1 to
            100 keV, negative weights or none above 0.
    """
    name = f"spectrum.file={path}"
    with reading(name, "columns of numbers (eV, weights), or images that come with spectra", path):
        if h5py.is_hdf5(path):
            spectra, kind = _of_nxbeam(path) or _of_images(path), "image"
        elif path.endswith(MODEL_ENDS):
            spectra, kind = _of_images(path), "image"
        else:
            spectra, kind = _of_text(path), "spectrum"
    if not spectra:
        raise Sorry(f"{name}: expected images that come with spectra, but there is none")
    for k, spectrum in enumerate(spectra):
        fault = _fault(*spectrum)
        if fault:
            raise Sorry(f"{name}: {kind} {k + 1}: {fault}")
        most = spectrum[1].max()
        if not LEAST_WEIGHT <= most <= MOST_WEIGHT:
            spectra[k] = spectrum = (spectrum[0], spectrum[1] / most)
        # One array where they are equal: there may be a hundred thousand spectra.
        if k > 0 and np.array_equal(spectrum[0], spectra[k - 1][0]):
            spectra[k] = (spectra[k - 1][0], spectrum[1])
    return spectra


def _of_text(path: str) -> list[Spectrum]:
    if os.path.getsize(path) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    with open(path, encoding="utf-8") as file:
        rows = [line.replace(",", " ") for line in file if line.split("#")[0].strip()]
    if not rows:
        raise ValueError("it has no numbers")
    table = np.loadtxt(rows, ndmin=2)
    if table.shape[1] < 2:
        raise ValueError("it has no two columns")
    return [(table[:, 0], column) for column in table[:, 1:].T]


def _of_nxbeam(path: str) -> list[Spectrum]:
    """Returns the spectra of the first NXbeam that has any; none if there is no such group."""
    with h5py.File(path, "r") as file:
        found: list[np.ndarray] = []

        def visit(_: str, item: h5py.Group | h5py.Dataset) -> bool | None:
            if not isinstance(item, h5py.Group) or _text(item.attrs.get("NX_class", "")) != "NXbeam":
                return None
            found.extend(_tables(item))
            return True if found else None

        file.visititems(visit)
    if not found:
        return []
    wavelengths, weights = found
    if weights.ndim == 1:
        weights = weights[np.newaxis]
    if wavelengths.shape[-1] != weights.shape[-1] or (wavelengths.ndim == 2 and len(wavelengths) != len(weights)):
        raise ValueError(f"wavelengths {wavelengths.shape} and weights {weights.shape} do not belong together")
    wavelengths = np.broadcast_to(wavelengths, weights.shape)
    return [_ascending(factor_ev_angstrom / x, y) for x, y in zip(wavelengths, weights)]


def _tables(beam: h5py.Group) -> Iterable[np.ndarray]:
    """Returns wavelengths (angstrom) and weights of an NXbeam, nothing if it has no spectrum."""
    name, seen = "incident_wavelength", set()
    while name in beam and name not in seen:
        seen.add(name)
        for weights in (name + "_weights", name + "_weight"):
            if weights in beam:
                units = _text(beam[name].attrs.get("units", "angstrom"))
                if units.lower() not in ANGSTROM:
                    raise ValueError(f"wavelengths are in {units}, not in angstrom, nm or m")
                for dataset in (beam[name], beam[weights]):
                    # A file may claim any size, and hold nothing of it.
                    if not isinstance(dataset, h5py.Dataset) or not 0 < dataset.size <= MOST_NUMBERS:
                        raise ValueError(f"{dataset.name} is no array of 1 to {MOST_NUMBERS} numbers")
                return np.atleast_1d(beam[name][()]) * ANGSTROM[units.lower()], np.atleast_1d(beam[weights][()])
        name = _text(beam[name].attrs.get("variant", ""))
    return ()


def _of_images(path: str) -> list[Spectrum]:
    """Returns the spectra of the images that dxtbx finds, one for each."""
    experiments = read_models(path, images=True).experiments
    # dxtbx 3.11 cannot give these: its reader of NXmx fails to look spectra up.
    tables: dict[str, list[Spectrum]] = {}
    spectra = []
    for imageset in experiments.imagesets():
        for k, (name, index) in enumerate(zip(imageset.paths(), imageset.indices())):
            if name not in tables:
                tables[name] = _of_nxbeam(name) if h5py.is_hdf5(name) else []
            if tables[name]:
                spectra.append(tables[name][index if len(tables[name]) > 1 else 0])
                continue
            spectrum = imageset.get_spectrum(k)
            if spectrum is None:
                raise ValueError(f"image {k + 1} has no spectrum")
            spectra.append(_ascending(np.array(spectrum.get_energies_eV()), np.array(spectrum.get_weights())))
    return spectra


def _ascending(energies: np.ndarray, weights: np.ndarray) -> Spectrum:
    """Returns a spectrum in ascending order, without the repeated energies of weight 0 that fill it up."""
    last = len(energies)
    while last > 1 and weights[last - 1] == 0 and energies[last - 1] == energies[last - 2]:
        last -= 1
    energies, weights = np.array(energies[:last], float), np.array(weights[:last], float)
    return (energies[::-1], weights[::-1]) if energies[0] > energies[-1] else (energies, weights)


def _fault(energies: np.ndarray, weights: np.ndarray) -> str | None:
    """Returns the fault of a spectrum in words; None: it is valid."""
    if not 0 < len(energies) <= MOST_ENERGIES:
        return f"expected 1 to {MOST_ENERGIES} energies, not {len(energies)}"
    if not (np.isfinite(energies).all() and np.isfinite(weights).all()):
        return "expected finite numbers"
    if not (np.diff(energies) > 0).all():
        return "expected energies that ascend, each of them once"
    if energies[0] < LEAST_EV or energies[-1] > MOST_EV:
        return f"expected {LEAST_EV:g} to {MOST_EV:g} eV, not {energies[0]:g} to {energies[-1]:g}"
    if weights.min() < 0:
        return f"expected weights of 0 or more, but at {energies[weights.argmin()]:g} eV it is {weights.min():g}"
    if not weights.any():
        return "expected a weight above 0"
    return None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
