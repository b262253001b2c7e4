"""Numbers without measure give one line, or an image that is right; never a traceback, and never silence about darkness."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from helpers.small_models import random_amplitudes, saved, small_beam, small_detector
from libtbx.utils import Sorry

from nanobragg_kokkos.files.true_models import write_amplitudes
from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.imaging.image_simulator import ImageSimulator
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.models.beam import parameters as beam_parameters
from nanobragg_kokkos.models.beam.spectrum_file import read_spectra

EXTREMES = ("1e300", "-1e300", "1e-300", "nan", "inf", "-inf", "Auto", "1e15", "1e-15")
SCOPES = ("beam.", "spectrum.", "detector.", "psf.", "detector_response.", "scan.", "background.", "tolerance")
CRYSTAL = ("length_um", "Deff_A", "mosaic_spread_deg", "cell_variation")
NAMES = [
    definition.path
    for definition in parameters.phil_scope.all_definitions()
    if definition.object.type is not None
    and definition.object.type.phil_type in ("float", "floats")
    and (definition.path.startswith(SCOPES) or definition.path in [f"crystal.{name}" for name in CRYSTAL])
]
PAIRS = ("detector.beam_center_mm", "detector.beam_center_shift_mm")
WITH = {
    "spectrum.sase.pulse_length_fs": ["spectrum.shape=sase"],
    "spectrum.sase.spike_width_eV": ["spectrum.shape=sase"],
    "psf.fwhm_mm": ["psf.shape=gauss"],
    "detector.distance_mm": ["detector.name=cspad"],
}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> list[str]:
    directory = tmp_path_factory.mktemp("small")
    reference = saved(directory / "small.expt", small_detector(pixels=16, pixel_mm=3.0), small_beam())
    write_amplitudes(directory / "f.mtz", random_amplitudes(d_min=6))
    return [
        f"detector.reference={reference}", f"structure_factors.file={directory / 'f.mtz'}",
        "spectrum.nchannels=3", "crystal.mosaic_domains=2", "noise=False",
    ]  # fmt: skip


def image(arguments: list[str]) -> np.ndarray:
    params = parameters.parse(arguments).extract()
    parameters.validate(params)
    return ImageSimulator(from_parameters.experiment(params)).start(0).panels()[0]


@pytest.mark.parametrize("name", NAMES)
def test_extreme_numbers(small, name):
    plain = small[1:] if name == "detector.distance_mm" else small
    for value in EXTREMES:
        given = f"{value},{value}" if name in PAIRS else " ".join([value] * 3) if name == "scan.axis" else value
        try:
            with np.errstate(all="raise", under="ignore"):
                found = image([*plain, *WITH.get(name, []), f"{name}={given}"])
        except Sorry as error:
            assert "\n" not in str(error) and name.split(".")[-1] in str(error), (name, value, str(error))
        else:
            assert np.isfinite(found.astype(float)).all() and found.min() >= -1


@pytest.mark.parametrize(
    "together",
    [
        "crystal.length_um=1e-300 crystal.Deff_A=1e-300",
        "beam.size_mm=1e-200 beam.total_flux=0",
        "beam.total_flux=1e300 beam.size_mm=1000",
        "spectrum.nchannels=1000000",
        "spectrum.channel_width=90000 spectrum.nchannels=3",
        "spectrum.shape=sase spectrum.sase.spike_width_eV=0.001 spectrum.nchannels=1000 spectrum.channel_width=100",
        "beam.mean_energy=100000 spectrum.nchannels=30000 spectrum.channel_width=10",
        "detector.reference=Auto",
    ],
)
def test_numbers_that_do_not_go_together_are_refused(small, together):
    with pytest.raises(Sorry) as error:
        image([*small, *together.split()])
    assert "\n" not in str(error.value)


def test_heavy_and_light_weights_of_spectra_are_relative(tmp_path):
    for weight in ("1e308", "1e-300", "1"):
        (tmp_path / "s.txt").write_text(f"9500 {weight}\n9501 {weight}\n")
        ((energies, weights),) = read_spectra(str(tmp_path / "s.txt"))
        assert energies.tolist() == [9500, 9501] and (weights / weights.sum()).tolist() == [0.5, 0.5]


def test_long_spectra_and_claims_of_size_are_refused(tmp_path):
    energies = np.linspace(9000, 9100, 10**5 + 1)
    np.savetxt(tmp_path / "s.txt", np.column_stack([energies, np.ones(len(energies))]))
    with pytest.raises(Sorry, match="expected 1 to 100000 energies, not 100001"):
        read_spectra(str(tmp_path / "s.txt"))
    with h5py.File(tmp_path / "s.h5", "w") as file:
        beam = file.create_group("beam")
        beam.attrs["NX_class"] = "NXbeam"
        for name in ("incident_wavelength", "incident_wavelength_weights"):
            beam.create_dataset(name, (2**40,), float, chunks=(2**20,))
    with pytest.raises(Sorry, match="is no array of 1 to"):
        read_spectra(str(tmp_path / "s.h5"))


def test_dark_beams_are_told():
    for flux in ("0", "0.5"):
        params = parameters.parse([f"beam.total_flux={flux}"]).extract()
        (line,) = beam_parameters.warnings(params)
        assert line == f"Warning: beam.total_flux={flux}: the images are dark, for want of photons"


def test_resolution_beyond_reason_is_refused(small):
    with pytest.raises(Sorry, match=r"beam.mean_energy=100000: expected less, or a smaller detector: it reaches 0.1"):
        image([small[0], *small[2:], "beam.mean_energy=100000", "detector.offset_mm=-60"])
