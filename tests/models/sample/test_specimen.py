"""Crystals: cells that vary, recorded orientations, several in an image, anisotropic mosaicity, domains' symmetry."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from cctbx import crystal as cctbx_crystal
from cctbx import miller, sgtbx
from cctbx.array_family import flex
from dxtbx.model import Crystal as DxtbxCrystal
from dxtbx.model import DetectorFactory, Experiment, ExperimentList, GoniometerFactory, Scan
from dxtbx.model.experiment_list import ExperimentListFactory
from helpers.small_models import rotation_matrix, small_beam, small_detector
from libtbx.utils import Sorry
from scipy.spatial.transform import Rotation

from nanobragg_kokkos import Crystal, Simulation, Sources, StructureFactors
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.models.beam_along_z import frame_rotation
from nanobragg_kokkos.models.sample import from_parameters as of_sample
from nanobragg_kokkos.models.sample.cell_variation import varied_cell
from nanobragg_kokkos.models.sample.domain_symmetry import domain_turns, shape_rotations
from nanobragg_kokkos.models.sample.mosaicity import mosaic_blocks
from nanobragg_kokkos.models.sample.random_orientations import random_rotation
from nanobragg_kokkos.models.sample.specimen import oriented_crystal

TETRAGONAL = cctbx_crystal.symmetry((79, 79, 38, 90, 90, 90), "P 43 21 2")


def specimen(*arguments: str, symmetry: cctbx_crystal.symmetry = TETRAGONAL):
    params = parameters.parse(list(arguments)).extract()
    parameters.validate(params)
    return of_sample.specimen(params, symmetry)


# Cell, group, and which of a, b, c vary as which.
CELLS = {
    "triclinic": ((30, 40, 50, 80, 95, 110), "P 1", (0, 1, 2)),
    "monoclinic": ((30, 40, 50, 90, 105, 90), "P 1 21 1", (0, 1, 2)),
    "tetragonal": ((79, 79, 38, 90, 90, 90), "P 43 21 2", (0, 0, 2)),
    "hexagonal": ((60, 60, 90, 90, 90, 120), "P 61 2 2", (0, 0, 2)),
    "rhombohedral": ((60, 60, 60, 75, 75, 75), "R 3 :R", (0, 0, 0)),
    "cubic": ((60, 60, 60, 90, 90, 90), "I 2 3", (0, 0, 0)),
}


@pytest.mark.parametrize("system", CELLS)
def test_cells_vary_as_asked_and_keep_their_symmetry(system):
    parameters, group, first = CELLS[system]
    symmetry = cctbx_crystal.symmetry(parameters, group)
    generator = np.random.default_rng(3)
    relative = (0.01, 0.02, 0.005)
    cells = [varied_cell(symmetry.unit_cell(), symmetry.space_group(), relative, generator) for _ in range(600)]
    assert all(symmetry.space_group().is_compatible_unit_cell(cell) for cell in cells[:20])
    found = np.array([cell.parameters() for cell in cells]) / parameters
    assert found.mean(axis=0) == pytest.approx(np.ones(6), abs=0.003)
    assert found[:, :3].std(axis=0) == pytest.approx(np.array(relative)[list(first)], rel=0.1)
    assert found[:, 3:] == pytest.approx(np.ones((600, 3)), abs=1e-6)
    correlation = np.corrcoef(found[:, :3].T)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert correlation[one, other] == pytest.approx(float(first[one] == first[other]), abs=0.15)


def test_crystals_of_an_image_follow_from_seed_and_image():
    some = specimen("crystal.count=3", "crystal.cell_variation=0.01", "crystal.length_um=2")
    crystals = pickle.loads(pickle.dumps(some)).crystals(4, 7)
    cells = {crystal.model.get_unit_cell().parameters()[0] for crystal in crystals}
    assert len(crystals) == 3 and len(cells) == 3
    for crystal, again in zip(crystals, some.crystals(4, 7)):
        assert crystal.model.get_A() == again.model.get_A()
        assert crystal.volume_mm3 == pytest.approx(8e-9)
        a, b = crystal.model.get_unit_cell().parameters()[:2]
        assert a == pytest.approx(b, rel=1e-9) and crystal.model.get_space_group() == TETRAGONAL.space_group()
    # More crystals or another spread of cells leave the orientations.
    assert crystals[0].model.get_U() == pytest.approx(specimen().crystals(4, 7)[0].model.get_U())


def test_mosaic_blocks_lie_in_the_crystal():
    some = specimen("crystal.mosaic_spread_deg=0,0,1", "crystal.mosaic_domains=9")
    for crystal in some.crystals(0, 1) + some.crystals(1, 1):
        c_star = np.reshape(crystal.model.get_A(), (3, 3))[:, 2]
        assert (crystal.mosaic_blocks @ c_star) == pytest.approx(np.tile(c_star, (9, 1)))
        assert len({round(block.trace(), 12) for block in crystal.mosaic_blocks}) == 5


def test_three_spreads_stretch_one():
    blocks = mosaic_blocks(20001, (0.3, 0.1, 0), np.random.default_rng(1))
    turns = Rotation.from_matrix(blocks).as_rotvec(degrees=True)
    assert turns.mean(axis=0) == pytest.approx(np.zeros(3), abs=1e-9)
    assert np.sqrt((turns**2).mean(axis=0)) == pytest.approx(np.array([0.3, 0.1, 0]) / np.sqrt(3), rel=0.03)
    equal, one = (mosaic_blocks(7, spread, np.random.default_rng(1)) for spread in ((0.2, 0.2, 0.2), 0.2))
    assert equal == pytest.approx(one, abs=1e-14)


def spot_widths(spread: tuple[float, float, float]) -> tuple[float, float]:
    """Variances, mm², along x and y of a reflection on the x axis, of a crystal with a along x and c along -s0."""
    wavelength, cell, distance = 1.0, 50.0, 100.0
    symmetry = cctbx_crystal.symmetry((cell,) * 3 + (90,) * 3, "P 1")
    reflection = miller.set(symmetry, flex.miller_index([(5, 0, 0)]), anomalous_flag=True)
    structure_factors = StructureFactors(reflection.array(flex.double([1e3])))
    # By the Bragg angle, about y: the reflection meets the Ewald sphere.
    bragg = np.degrees(np.arcsin(wavelength * 5 / cell / 2))
    model = oriented_crystal(symmetry, rotation_matrix((0, 1, 0), -bragg))
    blocks = mosaic_blocks(300, spread, np.random.default_rng(2))
    rotation = np.reshape(model.get_U(), (3, 3))
    crystal = Crystal(model, (20, 20, 20), shape="gauss", mosaic_blocks=rotation @ blocks @ rotation.T, volume_mm3=1e-8)
    # So many energies that reflections count alike wherever they lie.
    energies = np.linspace(0.9, 1.1, 41) * wavelength
    middle = distance * np.tan(np.radians(2 * bragg))
    detector = DetectorFactory.simple("PAD", distance, (2 - middle, 2), "+x", "-y", (0.04, 0.04), (100, 100))
    simulation = Simulation(detector, Sources(energies, np.ones(41)), fluence=1e20)
    simulation.add_spots(crystal, structure_factors, "reflection")
    image = simulation.image[0]
    moments = []
    for profile in (image.sum(axis=0), image.sum(axis=1)):
        x = 0.04 * np.arange(100)
        mean = profile @ x / profile.sum()
        moments.append(profile @ (x - mean) ** 2 / profile.sum())
    return tuple(moments)


def test_anisotropic_mosaicity_widens_spots_as_it_should():
    sharp, about_a, about_c = spot_widths((0, 0, 0)), spot_widths((0.6, 0, 0)), spot_widths((0, 0, 0.6))
    # Turned about itself, the reflection stays.
    assert about_a == pytest.approx(sharp, rel=1e-3)
    # Turned about c*, which the Bragg angle tilts from the beam, it goes along y by q times the angle.
    bragg = np.arcsin(1.0 * 5 / 50 / 2)
    turns = Rotation.from_matrix(mosaic_blocks(300, (0, 0, 0.6), np.random.default_rng(2))).as_rotvec()[:, 2]
    assert turns.std() == pytest.approx(np.radians(0.6) / np.sqrt(3), rel=0.15)
    assert about_c[1] - sharp[1] == pytest.approx((100 / np.cos(2 * bragg) * 0.1 * turns.std()) ** 2, rel=0.02)
    assert about_c[0] == pytest.approx(sharp[0], rel=0.02)


# Group, cell, cells of a domain, and how many different domains its rotations make.
DOMAINS = {
    "P 61": ((60, 60, 90, 90, 90, 120), (9, 9, 7), 3),
    "P 61 2 2": ((60, 60, 90, 90, 90, 120), (9, 9, 7), 3),
    "P 3 2 1": ((60, 60, 90, 90, 90, 120), (9, 6, 7), 6),
    "H 3": ((60, 60, 90, 90, 90, 120), (9, 9, 7), 3),
    "P 43 21 2": ((79, 79, 38, 90, 90, 90), (9, 9, 7), 1),
    "P 41": ((79, 79, 38, 90, 90, 90), (9, 6, 7), 2),
    "I 2 3": ((60, 60, 60, 90, 90, 90), (9, 9, 9), 1),
    "P 21 21 21": ((40, 50, 60, 90, 90, 90), (9, 6, 7), 1),
}


@pytest.mark.parametrize("group", DOMAINS)
def test_domains_are_turned_into_each_equivalent_one(group):
    cell, n_cells, different = DOMAINS[group]
    rotations = shape_rotations(cctbx_crystal.symmetry(cell, group).space_group(), n_cells)
    assert len(rotations) == different and (rotations[0] == np.eye(3)).all()


@pytest.mark.parametrize("shape", ["gauss", "square"])
@pytest.mark.parametrize("group", ["P 61", "P 3 2 1", "P 41"])
def test_symmetrized_domains_have_the_symmetry_of_the_crystal(group, shape):
    cell, n_cells, _ = DOMAINS[group]
    symmetry = cctbx_crystal.symmetry(cell, group)
    reflections = symmetry.build_miller_set(anomalous_flag=True, d_min=5)
    values = np.random.default_rng(4).exponential(100, reflections.size())
    structure_factors = StructureFactors(reflections.array(flex.double(values.tolist())))
    sources = Sources(np.linspace(1.28, 1.32, 3), np.ones(3))
    detector = small_detector(60, 0.6, 80)
    original = random_rotation(np.random.default_rng(7))
    model = oriented_crystal(symmetry, original)
    # Misorientations are those of the crystal, whatever axes one chooses for it.
    misorientations = original @ mosaic_blocks(3, 0.2, np.random.default_rng(1)) @ original.T
    turns = domain_turns(symmetry, n_cells)

    def image(model: DxtbxCrystal, turns: np.ndarray) -> np.ndarray:
        rotation = np.reshape(model.get_U(), (3, 3))
        blocks = np.concatenate([misorientations @ rotation @ turn @ rotation.T for turn in turns])
        simulation = Simulation(detector, sources, fluence=1e20)
        simulation.add_spots(Crystal(model, n_cells, shape=shape, mosaic_blocks=blocks), structure_factors, "pixel")
        return simulation.image[0].copy()

    first, plain = image(model, turns), image(model, np.eye(3)[np.newaxis])
    assert first.max() > 0
    changes = []
    for operation in symmetry.space_group().build_derived_point_group().smx():
        equivalent = model.change_basis(sgtbx.change_of_basis_op(operation.as_xyz()))
        assert image(equivalent, turns) == pytest.approx(first, abs=1e-9 * first.max())
        changes.append(np.abs(image(equivalent, np.eye(3)[np.newaxis]) - plain).max() / plain.max())
    assert max(changes) > 0.05


@pytest.fixture
def recorded(tmp_path) -> Path:
    """Three crystals behind a beam from elsewhere, the last on a goniometer."""
    beam = small_beam(direction=(0.1, 0.3, 1))
    experiments = ExperimentList()
    for k in range(3):
        cell = cctbx_crystal.symmetry((79 + k, 79 + k, 38, 90, 90, 90), "P 4 2 2")
        crystal = oriented_crystal(cell, random_rotation(np.random.default_rng(k)))
        rotation = {}
        if k == 2:
            rotation = {"goniometer": GoniometerFactory.known_axis((0, 1, 0)), "scan": Scan((1, 2), (0, 1))}
            rotation["goniometer"].set_fixed_rotation(tuple(rotation_matrix((1, 1, 0), 30).ravel()))
        experiments.append(Experiment(beam=beam, detector=small_detector(), crystal=crystal, **rotation))
    experiments.as_file(str(tmp_path / "recorded.expt"))
    return tmp_path / "recorded.expt"


def test_recorded_orientations_and_cells_are_taken_in_turn(recorded):
    turn = frame_rotation(small_beam(direction=(0.1, 0.3, 1)))
    file = f"crystal.orientation.file={recorded}"
    true = [
        turn @ fixed @ np.reshape(experiment.crystal.get_A(), (3, 3))
        for experiment, fixed in zip(
            ExperimentListFactory.from_json_file(str(recorded), check_format=False),
            (np.eye(3), np.eye(3), rotation_matrix((1, 1, 0), 30)),
        )
    ]
    for image in range(4):
        (crystal,) = pickle.loads(pickle.dumps(specimen(file))).crystals(image, 1)
        assert np.reshape(crystal.model.get_A(), (3, 3)) == pytest.approx(true[image % 3])
        assert crystal.model.get_space_group() == TETRAGONAL.space_group()
    pairs = [
        crystal.model.get_A() for image in (0, 1) for crystal in specimen(file, "crystal.count=2").crystals(image, 1)
    ]
    assert np.reshape(pairs, (4, 3, 3)) == pytest.approx(np.array([true[0], true[1], true[2], true[0]]))


@pytest.mark.parametrize(
    "symmetry, message",
    [
        (cctbx_crystal.symmetry((79, 79, 38, 90, 90, 90), "P 41"), "the point group of P 41, but one has P 4 2 2"),
        (cctbx_crystal.symmetry((70, 70, 38, 90, 90, 90), "P 4 2 2"), "the cell 70 70 38 90 90 90, to 5%, but one has"),
    ],
)
def test_recorded_crystals_of_another_kind_are_refused(symmetry, message, recorded):
    with pytest.raises(Sorry, match=f"crystal.orientation.file={recorded}: expected crystals with .*{message}"):
        specimen(f"crystal.orientation.file={recorded}", symmetry=symmetry)


@pytest.mark.parametrize("recorded_in, simulated_in", [("I 1 2 1", "C 1 2 1"), ("C 1 2 1", "P 1 2 1")])
def test_recorded_crystals_of_another_lattice_are_refused(recorded_in, simulated_in, tmp_path):
    cell, path = (60, 40, 61, 90, 100, 90), tmp_path / "recorded.expt"
    crystal = oriented_crystal(cctbx_crystal.symmetry(cell, recorded_in), np.identity(3))
    ExperimentList([Experiment(beam=small_beam(), detector=small_detector(), crystal=crystal)]).as_file(str(path))
    specimen(f"crystal.orientation.file={path}", symmetry=cctbx_crystal.symmetry(cell, recorded_in))
    message = f"expected crystals with the centring of {simulated_in}, but one has {recorded_in}"
    with pytest.raises(Sorry, match=message):
        specimen(f"crystal.orientation.file={path}", symmetry=cctbx_crystal.symmetry(cell, simulated_in))


def test_file_without_a_crystal_is_refused(tmp_path):
    path = tmp_path / "none.expt"
    with pytest.raises(Sorry, match=f"crystal.orientation.file={path}: there is no such file"):
        specimen(f"crystal.orientation.file={path}")
    ExperimentList([Experiment(beam=small_beam(), detector=small_detector())]).as_file(str(path))
    with pytest.raises(Sorry, match="expected a file with a model of a crystal"):
        specimen(f"crystal.orientation.file={path}")
    crystal = oriented_crystal(TETRAGONAL, np.eye(3))
    ExperimentList([Experiment(beam=small_beam(), crystal=crystal)]).as_file(str(path))
    whole = path.read_text()
    assert "79.0" in whole
    for damaged in ("{", whole.replace("79.0", "NaN"), whole.replace("79.0", '"79"'), whole[: len(whole) // 2]):
        path.write_text(damaged)
        with pytest.raises(Sorry, match="expected a dxtbx model file"):
            specimen(f"crystal.orientation.file={path}")


def test_cells_of_a_domain_are_those_asked_for():
    assert specimen("crystal.n_cells=3,4,5").crystals(0, 1)[0].n_cells == (3, 4, 5)
    with pytest.raises(Sorry, match="crystal.n_cells=900 4 5: expected mosaic domains no larger than the crystal"):
        specimen("crystal.n_cells=900,4,5")


def test_several_crystals_of_an_image_are_found_again(tmp_path):
    reference = tmp_path / "small.expt"
    ExperimentList([Experiment(detector=small_detector(60, 2.0), beam=small_beam())]).as_file(str(reference))
    out = tmp_path / "out"
    options = ["crystal.count=2", "crystal.cell_variation=0.005", "crystal.mosaic_domains=2", "spectrum.nchannels=3"]
    assert main(["n_images=2", f"detector.reference={reference}", f"output.directory={out}", *options]) == 0
    params = parameters.parse([str(out / "shot.phil")]).extract()
    truth = ExperimentListFactory.from_json_file(str(out / "shot_truth.expt"))
    assert len(truth) == 4 and len(truth.imagesets()) == 2 and len(set(truth.identifiers())) == 4
    for k, experiment in enumerate(truth):
        assert list(experiment.imageset.indices()) == [k // 2]
        crystal = of_sample.specimen(params, experiment.crystal.get_crystal_symmetry()).crystals(k // 2, params.seed)[
            k % 2
        ]
        assert experiment.crystal.get_U() == pytest.approx(crystal.model.get_U())
    assert len({experiment.crystal.get_unit_cell().parameters() for experiment in truth}) == 4
