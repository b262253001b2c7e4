"""Misorientations of mosaic blocks: their distribution, one draw a crystal, and the truth about them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from helpers.small_models import small_beam, small_detector
from scipy import stats
from scipy.spatial.transform import Rotation

from nanobragg_kokkos.files.true_models import read_mosaic_blocks, write_experiments
from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.models.sample.mosaicity import DISTRIBUTIONS, mosaic_blocks
from nanobragg_kokkos.util.model_files import read_models
from nanobragg_kokkos.util.random_streams import stream


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_mosaic_blocks_spread_as_asked(distribution):
    blocks = mosaic_blocks(5000, 0.05, stream(1, "mosaic"), distribution)
    angles = np.degrees(np.arcsin(np.linalg.norm(blocks - blocks.transpose(0, 2, 1), axis=(1, 2)) / np.sqrt(8)))
    assert np.sqrt((angles**2).mean()) == pytest.approx(0.05, rel=0.03)
    # As many in a crystal as there usually are: it is to be where its orientation says.
    for domains in (2, 3, 10):
        crystals = np.array([mosaic_blocks(domains, 0.05, stream(seed, "mosaic"), distribution) for seed in range(200)])
        assert crystals.shape[1] == domains
        turns = crystals - crystals.transpose(0, 1, 3, 2)
        assert np.abs(np.degrees(turns.mean(axis=1) / 2)).max() < 1e-6
        assert np.degrees(np.sqrt((turns**2).sum(axis=(2, 3)).mean() / 8)) == pytest.approx(0.05, rel=0.1)
    for blocks in (
        mosaic_blocks(1, 0.05, stream(1, "mosaic"), distribution),
        mosaic_blocks(7, 0.0, stream(1, "mosaic"), distribution),
    ):
        assert (blocks == np.eye(3)).all() and len(blocks) == 1


def test_distributions_are_what_their_names_say():
    """Half of the vectors are independent: the others are the same the other way."""
    vectors = {
        name: Rotation.from_matrix(mosaic_blocks(20000, 0.3, stream(2, "mosaic"), name)).as_rotvec(degrees=True)[::2]
        for name in DISTRIBUTIONS
    }
    sigma = 0.3 / np.sqrt(3)
    for component in vectors["normal"].T:
        assert stats.kstest(component, "norm", (0, sigma)).pvalue > 1e-3
    assert stats.kstest(np.linalg.norm(vectors["normal"], axis=1), "maxwell", (0, sigma)).pvalue > 1e-3
    assert np.abs(np.corrcoef(vectors["normal"].T) - np.eye(3)).max() < 0.05
    assert stats.kstest(np.linalg.norm(vectors["peaked"], axis=1), "halfnorm", (0, 0.3)).pvalue > 1e-3
    assert stats.kurtosis(vectors["peaked"][:, 0]) > 1
    # Three spreads stretch the components.
    stretched = Rotation.from_matrix(mosaic_blocks(20000, (0.3, 0.1, 0.0), stream(2, "mosaic"))).as_rotvec(degrees=True)
    assert np.sqrt((stretched**2).mean(axis=0)) == pytest.approx(np.array([0.3, 0.1, 0]) / np.sqrt(3), rel=0.03)


def experiment(*arguments: str):
    small = ["crystal.mosaic_domains=6", "detector.distance_mm=900", "spectrum.nchannels=1", *arguments]
    params = parameters.parse(small).extract()
    parameters.validate(params)
    return from_parameters.experiment(params)


def vectors_in_crystal(crystal) -> np.ndarray:
    rotation = np.reshape(crystal.model.get_U(), (3, 3))
    return Rotation.from_matrix(rotation.T @ crystal.mosaic_blocks @ rotation).as_rotvec(degrees=True)


def test_every_crystal_has_blocks_of_its_own_from_the_seed():
    made = experiment("crystal.count=2")
    found = [vectors_in_crystal(crystal) for image in range(3) for crystal in made.exposure(image).crystals]
    for one, other in itertools.combinations(found, 2):
        assert np.abs(one - other).max() > 0.01
    again = [vectors_in_crystal(crystal) for image in range(3) for crystal in made.exposure(image).crystals]
    assert np.array_equal(found, again)
    # The first crystal of an image does not depend on how many there are.
    assert vectors_in_crystal(experiment().exposure(1).crystals[0]) == pytest.approx(found[2])
    assert np.abs(vectors_in_crystal(experiment("seed=5").exposure(0).crystals[0]) - found[0]).max() > 0.01


def test_crystals_of_a_series_keep_their_blocks():
    made = experiment("scan.width_deg=0.1", "scan.steps=2")
    first, later = (made.exposure(image).crystals[0] for image in (0, 700))
    turn = Rotation.from_rotvec([70, 0, 0], degrees=True).as_matrix()
    assert turn @ first.mosaic_blocks @ turn.T == pytest.approx(later.mosaic_blocks, abs=1e-9)


@pytest.mark.parametrize("direction", [(0, 0, 1), (0.3, 0.1, -1)])
def test_truth_has_the_blocks(tmp_path, direction):
    made = experiment("crystal.count=2")
    exposures = [made.exposure(image) for image in range(2)]
    beam = small_beam(direction=direction, normal=(1, -3, 0))
    write_experiments(
        tmp_path / "t.expt", tmp_path / "m.h5", small_detector(), beam, [exposure.models for exposure in exposures],
        mosaic_blocks=[exposure.mosaic_blocks for exposure in exposures],
    )  # fmt: skip
    stored = read_models(str(tmp_path / "t.expt")).experiments
    blocks = read_mosaic_blocks(tmp_path / "t.expt")
    crystals = [crystal for exposure in exposures for crystal in exposure.crystals]
    assert len(blocks) == len(stored) == 4
    for experiment_, found, crystal in zip(stored, blocks, crystals):
        # In the file's frame, which may be another: what counts is the turn of the crystal as it is there.
        rotation = np.reshape(experiment_.crystal.get_U(), (3, 3))
        vectors = Rotation.from_matrix(rotation.T @ found @ rotation).as_rotvec(degrees=True)
        assert vectors == pytest.approx(vectors_in_crystal(crystal), abs=1e-9)
    with pytest.raises(ValueError, match="expected those of 4 crystals, got 1"):
        write_experiments(
            tmp_path / "t.expt", tmp_path / "m.h5", small_detector(), beam, [exposure.models for exposure in exposures],
            mosaic_blocks=[blocks[0]],
        )  # fmt: skip
