"""Pulses: spectra of every shape, from files, of SASE, with jitter, and what dxtbx finds of them in images' files."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from cctbx import factor_ev_angstrom
from dxtbx.format import nexus
from dxtbx.model import Experiment, ExperimentList, Spectrum
from dxtbx.model.experiment_list import ExperimentListFactory
from helpers.small_models import small_beam, small_detector
from libtbx.utils import Sorry

from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.models.beam import from_parameters as of_beam
from nanobragg_kokkos.models.beam.jitter import JitteringPulses
from nanobragg_kokkos.models.beam.pulses import (
    EqualPulses,
    RecordedPulses,
    gaussian_spectrum,
    mean_energy,
    pulse_of,
    tophat_spectrum,
)
from nanobragg_kokkos.models.beam.sase import SasePulses, spike_width_eV
from nanobragg_kokkos.models.beam.spectrum_file import read_spectra


def pulses(*arguments: str):
    chosen = parameters.parse(list(arguments)).extract()
    parameters.validate(chosen)
    return of_beam.pulses(chosen)


def test_tophat_is_as_wide_as_asked():
    energies, weights = tophat_spectrum(9500, 100, 1, 40)
    assert (len(energies), energies.min(), energies.max()) == (40, 9480.5, 9519.5)
    assert weights == pytest.approx(np.full(40, 1 / 40))
    energies, weights = tophat_spectrum(9500, 101, 1, 40)
    assert len(energies) == 41 and weights[0] == pytest.approx(0.5 * weights[1])
    assert weights.sum() == pytest.approx(1) and mean_energy((energies, weights)) == pytest.approx(9500, abs=1e-9)
    assert len(tophat_spectrum(9500, 1, 100, 1)[0]) == 1 and len(tophat_spectrum(9500, 2, 100, 1)[0]) == 2


def test_pulse_has_the_wavelength_of_its_mean_energy():
    pulse = pulse_of((np.array([9000.0, 9600.0]), np.array([1.0, 2.0])), 1e9)
    assert pulse.beam.get_wavelength() == pytest.approx(factor_ev_angstrom / 9400)
    assert pulse.spectrum.get_weighted_wavelength() == pytest.approx(pulse.beam.get_wavelength())


# Gain of 20 eV, well inside the channels; M = sqrt(1 + 20²) modes.
SASE = SasePulses(9500, 320, 0.25, 20, spike_width=1.0, photons=1e10)


@pytest.fixture(scope="module")
def sase() -> np.ndarray:
    """Weights of random spectra, one a row."""
    generator = np.random.default_rng(1)
    return np.array([SASE.spectrum(generator)[1] for _ in range(3000)])


def test_mean_of_sase_spectra_is_the_gain(sase):
    envelope = gaussian_spectrum(9500, 320, 0.25, 20)[1]
    assert sase.mean(axis=0) == pytest.approx(envelope, abs=0.06 * envelope.max())
    # An eighth of the channels together, 40 modes of 3000 pulses in each.
    assert sase.mean(axis=0).reshape(8, 40).sum(1) == pytest.approx(envelope.reshape(8, 40).sum(1), abs=0.01)


def test_sase_spikes_have_their_width(sase):
    """Intensities of chaotic light correlate as |g1|², over sqrt(2) times a spike's width."""
    envelope = SASE._gain.sum(axis=1)
    middle = slice(100, 220)
    intensity = (sase / envelope * envelope.sum())[:, middle]
    # Four channels to a spike: nearly the exponential distribution of a single mode.
    assert intensity.std() == pytest.approx(1, abs=0.05)
    excess = intensity - 1
    shifts = np.arange(8)
    found = np.array([(excess[:, : 120 - n] * excess[:, n:]).mean() for n in shifts])
    expected = np.exp(-4 * np.log(2) * (0.25 * shifts / np.sqrt(2)) ** 2)
    assert found / found[0] == pytest.approx(expected, abs=0.03)


def test_energy_of_sase_pulses_has_the_variance_of_their_modes(sase):
    energies = sase.sum(axis=1)
    modes = np.sqrt(1 + 20**2)
    assert energies.mean() == pytest.approx(1, abs=0.015)
    assert energies.var() == pytest.approx(1 / modes, rel=0.1)
    # Modes of a Gaussian pulse with a Gaussian gain fall as powers of q (Gori, Opt. Commun. 34, 301 (1980)), and each
    # has the exponential distribution; were they equal, the skewness would be that of the Gamma distribution,
    # 2/sqrt(M).
    strengths = ((modes - 1) / (modes + 1)) ** np.arange(1000)
    skewness = ((energies - energies.mean()) ** 3).mean() / energies.std() ** 3
    assert (strengths**2).sum() / strengths.sum() ** 2 == pytest.approx(1 / modes)
    assert skewness == pytest.approx(2 * (strengths**3).sum() / (strengths**2).sum() ** 1.5, abs=0.15)


def test_channels_add_up_the_spikes_they_hold():
    """40 fs: 0.046 eV a spike, some 20 of them in a channel of 1 eV."""
    width = spike_width_eV(40)
    assert width == pytest.approx(1.825 / 40, rel=1e-3)
    many = SasePulses(9500, 20, 1.0, 1e3, width, 1e10)
    generator = np.random.default_rng(2)
    intensity = np.array([many.spectrum(generator)[1] for _ in range(500)]) * 20
    correlation = np.sqrt(np.pi / np.log(2)) / 2 * np.sqrt(2) * width  # integral of |g1|²
    assert intensity.mean() == pytest.approx(1, abs=0.01)
    assert intensity.var() == pytest.approx(correlation, rel=0.1)


def test_sase_depends_on_seed_and_image_only():
    found = pulses("spectrum.shape=sase", "spectrum.sase.pulse_length_fs=5", "beam.total_flux=1e9")
    again = pickle.loads(pickle.dumps(found))
    again.pulse(7, 1)
    for image in (0, 3):
        one, other = found.pulse(image, 1), again.pulse(image, 1)
        assert (one.weights == other.weights).all() and one.photons == other.photons
    assert (found.pulse(0, 1).weights != found.pulse(1, 1).weights).any() and (
        found.pulse(0, 1).weights != found.pulse(0, 2).weights
    ).any()
    assert (
        found.pulse(0, 1).weights.sum() == pytest.approx(1) and found.pulse(0, 1).photons != found.pulse(1, 1).photons
    )


def test_jitter_moves_energies_and_photons():
    equal = EqualPulses(pulse_of(gaussian_spectrum(9500, 10, 1, 5), 1e9))
    jittering = JitteringPulses(equal, 1e9, energy_eV=7, relative=0.5)
    some = [jittering.pulse(image, 1) for image in range(3000)]
    shifts = np.array([pulse.energies_eV[0] - equal.shared.energies_eV[0] for pulse in some])
    photons = np.array([pulse.photons for pulse in some]) / 1e9
    assert shifts.mean() == pytest.approx(0, abs=0.4) and shifts.std() == pytest.approx(7, rel=0.04)
    assert photons.mean() == pytest.approx(1, abs=0.03) and photons.std() == pytest.approx(0.5, rel=0.05)
    assert photons.min() > 0 and abs(np.corrcoef(shifts, photons)[0, 1]) < 0.06
    means = np.array([factor_ev_angstrom / pulse.beam.get_wavelength() for pulse in some])
    assert means - 9500 == pytest.approx(shifts, abs=1e-6)
    assert jittering.energies_eV == pytest.approx(np.arange(9460.5, 9540))


def test_pulse_energy_of_sase_can_be_fixed():
    sase = ("spectrum.shape=sase", "spectrum.sase.spike_width_eV=2")
    assert {pulses(*sase, "pulse_energy_jitter=0").pulse(image, 1).photons for image in range(5)} == {1e11}
    photons = [pulses(*sase, "pulse_energy_jitter=0.1").pulse(image, 1).photons for image in range(400)]
    assert np.std(photons) / 1e11 == pytest.approx(0.1, rel=0.15)


def test_equal_pulses_are_one_object():
    found = pulses("spectrum.shape=tophat")
    assert found.pulse(0, 1) is found.pulse(5, 1)


@pytest.fixture
def columns(tmp_path) -> Path:
    path = tmp_path / "spectra.txt"
    path.write_text("# eV  first  second\n7100, 1, 0\n7110 2.5 1\n\n7125 0 3\n")
    return path


def test_columns_are_spectra(columns):
    first, second = read_spectra(str(columns))
    assert first[0].tolist() == second[0].tolist() == [7100, 7110, 7125]
    assert (first[1].tolist(), second[1].tolist()) == ([1, 2.5, 0], [0, 1, 3])
    found = pulses("spectrum.shape=file", f"spectrum.file={columns}", "total_flux=1e9")
    assert found.mean_eV == pytest.approx((mean_energy(first) + mean_energy(second)) / 2)
    assert found.energies_eV.tolist() == [7100, 7110, 7125] and found.spectra[0][0] is found.spectra[1][0]
    for image, spectrum in enumerate((first, second, first)):
        pulse = found.pulse(image, 1)
        assert pulse.weights.tolist() == spectrum[1].tolist() and pulse.photons == 1e9
        assert (list(pulse.spectrum.get_weights()), len(pulse.sources)) == (pulse.weights.tolist(), 2)


def test_energies_span_those_of_all_images():
    spectra = [(np.array([9000.0, 9010, 9020]), np.ones(3)), (np.array([9005.0, 9035]), np.ones(2))]
    assert RecordedPulses(spectra, 1e9).energies_eV == pytest.approx(9000 + np.arange(36))
    single = [(np.array([energy]), np.ones(1)) for energy in (9010.0, 9000, 9004.5)]
    assert RecordedPulses(single, 1e9).energies_eV == pytest.approx(9000 + np.arange(11))
    one = EqualPulses(pulse_of((np.array([9000.0]), np.ones(1)), 1e9))
    assert JitteringPulses(one, 1e9, 2.0, None).energies_eV == pytest.approx(9000 + np.arange(-10, 11))
    assert JitteringPulses(one, 1e9, 0.0, 0.1).energies_eV is one.energies_eV
    coarse = EqualPulses(pulse_of((np.array([9000.0, 9010]), np.ones(2)), 1e9))
    assert JitteringPulses(coarse, 1e9, 0.5, None).energies_eV == pytest.approx(np.arange(8997, 9014))


def test_mean_energy_is_that_of_the_file(columns):
    params = parameters.parse(["spectrum.shape=file", f"spectrum.file={columns}", "detector.distance_mm=900"]).extract()
    experiment = from_parameters.experiment(params)
    assert experiment.scattering.mean_energy == pytest.approx(of_beam.pulses(params).mean_eV)
    angle = np.arctan2(np.hypot(1920, 1920) * 0.088, 900)
    assert experiment.amplitudes.d_min() == pytest.approx(factor_ev_angstrom / 7125 / 2 / np.sin(angle / 2), rel=0.01)
    with pytest.raises(Sorry, match="beam.mean_energy=9000: expected an energy that .* covers, 7100 to 7125"):
        pulses("spectrum.shape=file", f"spectrum.file={columns}", "mean_energy=9000")


FAULTS = {
    "1.3 1\n": "spectrum 1: expected 1000 to 100000 eV",
    "9500 1\n9400 1\n": "spectrum 1: expected energies that ascend",
    "9500 1\n9500 1\n": "spectrum 1: expected energies that ascend, each of them once",
    "9500 1 1\n9501 1 -0.1\n": "spectrum 2: expected weights of 0 or more, but at 9501 eV it is -0.1",
    "9500 0\n9501 0\n": "spectrum 1: expected a weight above 0",
    "9500 1\n9501 nan\n": "spectrum 1: expected finite numbers",
    "9500\n9501\n": "it has no two columns",
    "9500 1\n9501\n": "expected columns of numbers",
    "9500 one\n": "expected columns of numbers",
    "": "expected columns of numbers",
}


@pytest.mark.filterwarnings("ignore:loadtxt")
@pytest.mark.parametrize("contents", FAULTS)
def test_spectrum_that_cannot_be_is_refused(contents, tmp_path):
    path = tmp_path / "bad.txt"
    path.write_text(contents)
    with pytest.raises(Sorry, match=f"spectrum.file={path}: ") as refused:
        read_spectra(str(path))
    assert FAULTS[contents] in str(refused.value)


@pytest.mark.parametrize("contents", [b"\x89HDF\r\n\x1a\n", bytes(range(256)), b"{}"])
@pytest.mark.parametrize("name", ["bad.h5", "bad.expt"])
def test_damaged_file_is_refused(contents, name, tmp_path):
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(Sorry, match="spectrum.file=.*: expected"):
        read_spectra(str(tmp_path / name))


@pytest.mark.parametrize("variant", ["", "incident_wavelength_1Dspectrum"])
@pytest.mark.parametrize("weights_name", ["_weight", "_weights"])
@pytest.mark.parametrize("shape", ["one", "weights", "both"])
def test_nxbeam_as_the_field_writes_it(variant, weights_name, shape, tmp_path):
    wavelengths, weights = np.array([0.130, 0.131, 0.133]), np.array([[1.0, 2, 0], [0, 4, 3]])
    with h5py.File(tmp_path / "x.h5", "w") as file:
        beam = file.create_group("entry/instrument/beam")
        beam.attrs["NX_class"] = "NXbeam"
        name = variant or "incident_wavelength"
        if variant:
            beam["incident_wavelength"] = 1.31
            beam["incident_wavelength"].attrs.update(units="angstrom", variant=variant)
        beam[name] = np.array([wavelengths, wavelengths + 0.001]) if shape == "both" else wavelengths
        beam[name].attrs["units"] = "nm"
        beam[name + weights_name] = weights[0] if shape == "one" else weights
    found = read_spectra(str(tmp_path / "x.h5"))
    assert len(found) == (1 if shape == "one" else 2)
    for k, (energies, found_weights) in enumerate(found):
        shift = 0.01 * k if shape == "both" else 0
        assert energies == pytest.approx(factor_ev_angstrom / (10 * wavelengths + shift)[::-1])
        assert found_weights.tolist() == weights[k, ::-1].tolist()
        assert list(pulse_of((energies, found_weights), 1.0).spectrum.get_weights()) == found_weights.tolist()


@pytest.fixture(scope="module")
def detector_file(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("detector") / "small.expt"
    ExperimentList([Experiment(detector=small_detector(60, 2.0), beam=small_beam())]).as_file(str(path))
    return str(path)


def spectrum_in(master: Path, index: int) -> Spectrum:
    """By dxtbx's reader of NXbeam; that of whole NXmx files fails to look spectra up in dxtbx 3.11."""
    with h5py.File(master) as file:
        return nexus.BeamFactory(SimpleNamespace(handle=file["entry/instrument/beam"])).read_models(index)[1]


def test_dxtbx_finds_each_image_s_pulse_and_the_file_gives_the_same_images(detector_file, tmp_path):
    common = ["n_images=3", f"detector.reference={detector_file}", "crystal.mosaic_domains=2", "nchannels=20"]
    first, again = tmp_path / "first", tmp_path / "again"
    sase = ["spectrum.shape=sase", "pulse_length_fs=1", "energy_jitter_eV=20", "mean_energy=9600"]
    assert main([*common, *sase, "pulse_energy_jitter=0", f"output.directory={first}"]) == 0
    experiment = from_parameters.experiment(parameters.parse([str(first / "shot.phil")]).extract())
    found = ExperimentListFactory.from_filenames([str(first / "shot_master.h5")])
    for k in range(3):
        pulse, spectrum = experiment.exposure(k).pulse, spectrum_in(first / "shot_master.h5", k)
        assert np.array(spectrum.get_energies_eV()) == pytest.approx(pulse.energies_eV)
        assert np.array(spectrum.get_weights()) == pytest.approx(pulse.weights)
        assert found[k].beam.get_wavelength() == pytest.approx(pulse.beam.get_wavelength(), rel=1e-9)
        assert spectrum.get_weighted_wavelength() == pytest.approx(pulse.beam.get_wavelength(), rel=1e-9)
    assert len({experiment.beam.get_wavelength() for experiment in found}) == 3

    file = ["spectrum.shape=file", f"spectrum.file={first / 'shot_master.h5'}", "mean_energy=9600"]
    assert main([*common, *file, f"output.directory={again}"]) == 0
    for k in range(1, 4):
        with h5py.File(first / f"shot_{k:05d}.h5") as one, h5py.File(again / f"shot_{k:05d}.h5") as other:
            different = one["entry/data/data"][()] != other["entry/data/data"][()]
        # A pixel whose expectation is rounded differently may count one photon more.
        assert different.mean() < 0.01
    by_truth = read_spectra(str(first / "shot_truth.expt"))
    for one, other in zip(read_spectra(str(first / "shot_master.h5")), by_truth):
        assert one[0] == pytest.approx(other[0]) and one[1] == pytest.approx(other[1])


def test_spectrum_has_its_mean_and_width():
    energies, weights = gaussian_spectrum(9500, 201, 1, 40)
    assert weights.sum() == pytest.approx(1)
    assert (weights * energies).sum() == pytest.approx(9500)
    assert weights[80] / weights[100] == pytest.approx(0.5)
    assert list(gaussian_spectrum(9500, 1, 1, 40)[0]) == [9500]
    assert np.isfinite(gaussian_spectrum(9500, 2, 100, 1e-3)[1]).all()
