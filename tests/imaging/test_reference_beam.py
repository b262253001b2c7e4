"""The beam of detector.reference: its polarization and wavelength are those of the images, in whatever frame."""

from __future__ import annotations

import numpy as np
import pytest
from cctbx import factor_ev_angstrom
from dxtbx.model import Beam, Crystal, Experiment, ExperimentList
from helpers.small_models import random_amplitudes, rotation_matrix, saved, small_beam, small_crystal, small_detector
from libtbx.utils import Sorry

from nanobragg_kokkos.files.nxmx import write_image, write_master
from nanobragg_kokkos.files.true_models import write_amplitudes
from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.imaging.image_simulator import ImageSimulator
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.models.detector.geometry import read_reference

WAVELENGTH = 1.25


def experiment(*arguments: str):
    params = parameters.parse(["noise=False", "nchannels=3", "crystal.mosaic_domains=3", *arguments]).extract()
    parameters.validate(params)
    return from_parameters.experiment(params)


def image(tmp_path, rotation: np.ndarray, normal=(0.6, 0.8, 0.0), fraction=0.95) -> np.ndarray:
    """Returns the counts of an experiment that is turned as a whole."""
    detector = small_detector(pixels=64, pixel_mm=1.0, distance_mm=50)
    frame = detector[0].get_fast_axis(), detector[0].get_slow_axis(), detector[0].get_origin()
    detector[0].set_frame(*(tuple(rotation @ vector) for vector in frame))
    beam = Beam(tuple(rotation @ (0.0, 0.0, 1.0)), WAVELENGTH)
    beam.set_polarization_normal(tuple(rotation @ normal))
    beam.set_polarization_fraction(fraction)
    axes = [tuple(rotation @ axis) for axis in small_crystal().model.get_real_space_vectors()]
    crystal = Crystal(*axes, space_group_symbol="P 21 21 21")
    path = tmp_path / "turned.expt"
    ExperimentList([Experiment(detector=detector, beam=beam, crystal=crystal)]).as_file(str(path))
    write_amplitudes(tmp_path / "f.mtz", random_amplitudes(mean=1000))
    made = experiment(
        f"detector.reference={path}", f"orientation.file={path}", f"structure_factors.file={tmp_path / 'f.mtz'}"
    )
    return ImageSimulator(made).start(0).panels()[0].astype(float)


def test_an_experiment_turned_as_a_whole_gives_the_same_image(tmp_path):
    plain = image(tmp_path, np.identity(3))
    assert plain.max() > 1000
    for axis, angle in (((0.2, 1, 0.4), 37), ((1, 0, 0), 180), ((0, 0, 1), 90)):
        turned = image(tmp_path, rotation_matrix(axis, angle))
        assert np.abs(turned - plain).max() <= 1  # of rounding
    # Another polarization is another image.
    assert np.abs(image(tmp_path, np.identity(3), normal=(0, 1, 0)) - plain).max() > 100


def test_wavelength_and_polarization_are_taken_and_told(tmp_path):
    path = saved(tmp_path / "b.expt", small_detector(), small_beam(WAVELENGTH, fraction=0.7, normal=(1, 0, 0)))
    energy = factor_ev_angstrom / WAVELENGTH
    made = experiment(f"detector.reference={path}", "energy_jitter_eV=1")
    assert made.pulses.mean_eV == pytest.approx(energy)
    beam = made.exposure(3).pulse.beam
    assert (beam.get_polarization_normal(), beam.get_polarization_fraction()) == ((1, 0, 0), 0.7)
    assert (
        f"mean energy {energy:.6g} eV" in made.messages[0] and "0.7, electric field at 90 degrees" in made.messages[0]
    )
    # beam.mean_energy has precedence.
    assert experiment(f"detector.reference={path}", "mean_energy=9000").pulses.mean_eV == pytest.approx(9000)


def test_a_beam_that_cannot_be_is_refused(tmp_path):
    path = saved(tmp_path / "b.expt", small_detector(), small_beam(0.02))
    with pytest.raises(
        Sorry, match=r"detector.reference=.*b.expt: expected a beam of 0.124 to 12.4 angstrom, not 0.02"
    ):
        experiment(f"detector.reference={path}")
    experiment(f"detector.reference={path}", "mean_energy=9500")
    path = saved(tmp_path / "b.expt", small_detector(), small_beam(fraction=1.5))
    with pytest.raises(Sorry, match="polarization_fraction, not 1.5"):
        experiment(f"detector.reference={path}")
    path = saved(tmp_path / "b.expt", small_detector(), small_beam(normal=(0, 0, 1)))
    with pytest.raises(Sorry, match="polarization_normal to be across its direction"):
        experiment(f"detector.reference={path}")


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_polarization_of_an_image_comes_back(tmp_path, degrees):
    normal = (np.cos(np.radians(degrees)), np.sin(np.radians(degrees)), 0.0)
    write_image(tmp_path / "b.h5", [np.zeros((96, 96), np.int32)])
    beam = small_beam(fraction=0.9, normal=normal)
    write_master(tmp_path / "b_master.h5", [tmp_path / "b.h5"], small_detector(), beam)
    found = read_reference(str(tmp_path / "b_master.h5")).beam
    assert found.get_polarization_fraction() == pytest.approx(0.9)
    assert abs(np.dot(found.get_polarization_normal(), normal)) == pytest.approx(1)
