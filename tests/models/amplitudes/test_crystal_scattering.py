"""Structure factors at several energies, and what becomes of them in images."""

from __future__ import annotations

import random

import numpy as np
import pytest
from cctbx import factor_ev_angstrom, sgtbx
from cctbx.array_family import flex
from cctbx.development import random_structure
from cctbx.eltbx import henke, sasaki
from helpers.small_models import rotation_matrix, small_beam, small_crystal, small_detector
from libtbx.utils import Sorry

import nanobragg_kokkos
from nanobragg_kokkos import Crystal, Simulation, Sources, StructureFactors, protein
from nanobragg_kokkos.imaging import from_parameters
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.models.amplitudes import crystal_scattering
from nanobragg_kokkos.models.amplitudes.anomalous import AnomalousScattering, channel_energies
from nanobragg_kokkos.models.amplitudes.box import AmplitudeBox, BoxLayout
from nanobragg_kokkos.models.beam.sources import nearest_channels
from nanobragg_kokkos.models.sample.specimen import oriented_crystal

IRON_EDGE = np.array([7050.0, 7100.0, 7113.0, 7150.0])


@pytest.fixture(scope="module")
def rubredoxin():
    return protein.read_coordinates(protein.default_coordinates())


def random_iron_structure(space_group: str):
    random.seed(1)
    flex.set_random_seed(1)
    return random_structure.xray_structure(
        sgtbx.space_group_info(space_group),
        elements=["Fe", "S", "S", "C", "N", "O"] * 2,
        volume_per_atom=60,
        random_u_iso=True,
        random_occupancy=True,
    )


def directly(structure, reflections, energy: float, table: str):
    """What cctbx calculates for one wavelength, atom by atom."""
    structure = structure.deep_copy_scatterers()
    structure.scattering_type_registry(table="wk1995")
    # set_inelastic_form_factors would round the wavelength to 24 bits, which shows where an edge is steep.
    for scatterer in structure.scatterers():
        factors = {"henke": henke, "sasaki": sasaki}[table].table(scatterer.element_symbol()).at_ev(energy)
        scatterer.fp, scatterer.fdp = factors.fp(), factors.fdp()
        scatterer.flags.set_use_fp_fdp(True)
    return reflections.structure_factors_from_scatterers(structure, algorithm="direct").f_calc().amplitudes()


@pytest.mark.parametrize("table", ["sasaki", "henke"])
@pytest.mark.parametrize("space_group", ["P 1", "C 1 2 1", "P 61", "P 21 21 21"])
def test_a_sum_is_what_is_calculated_at_each_energy(space_group, table):
    structure = random_iron_structure(space_group)
    channels = crystal_scattering.calculated_channels(
        structure, 1.5, IRON_EDGE, AnomalousScattering(table), k_sol=0, algorithm="direct"
    )
    for number, energy in enumerate(IRON_EDGE):
        found = channels.channel(number)
        assert found.is_xray_amplitude_array() and found.anomalous_flag()
        expected = directly(structure, found, energy, table)
        differences = np.abs(np.array(found.data() - expected.data()))
        assert differences.max() < 1e-9 * flex.mean(expected.data())


def test_a_sum_of_fast_transforms_has_their_errors_only(rubredoxin):
    several, one = (
        crystal_scattering.calculated_channels(rubredoxin, 2.5, np.array(energies), AnomalousScattering())
        for energies in ([7000.0, 7120.0], [7120.0])
    )
    expected, found = one.channel(0), several.channel(1)
    assert flex.mean(flex.abs(found.data() - expected.data())) < 1e-3 * flex.mean(expected.data())
    # Solvent and all, as protein.amplitudes has always had it.
    single = protein.amplitudes(rubredoxin, 2.5, factor_ev_angstrom / 7120)
    assert np.array(expected.data()) == pytest.approx(np.array(single.data()), rel=1e-9)


@pytest.mark.parametrize("space_group", ["P 1", "C 1 2 1", "P 61"])
def test_channels_in_memory_are_those_of_structure_factors(space_group):
    channels = crystal_scattering.calculated_channels(
        random_iron_structure(space_group), 2.0, IRON_EDGE, AnomalousScattering(), k_sol=0, algorithm="direct"
    )
    box = channels.box()
    expected = StructureFactors([channels.channel(k) for k in range(4)]).channels
    places = box.layout.places(np.array(expected[0].indices()))
    assert len(set(places)) == len(places)
    for number in range(4):
        assert box.amplitudes[places, number] == pytest.approx(np.array(expected[number].data()), rel=1e-13)
    others = np.setdiff1d(np.arange(box.layout.n_reflections), places)
    assert not box.amplitudes[others].any() and not box.strongest[others].any()
    most = box.amplitudes.max(axis=1)
    assert (box.strongest >= most).all() and (box.strongest <= most * (1 + 1e-6)).all()


def image(box_or_factors, sources: Sources, crystal: Crystal, engine: str = "auto") -> np.ndarray:
    simulation = Simulation(small_detector(), sources, fluence=1e16, oversample=4)
    simulation.add_spots(crystal, box_or_factors, engine)
    return simulation.image[0].copy()


def iron_crystal(structure, rotation: np.ndarray, **options) -> Crystal:
    # Nearly as long along a, b and c.
    return Crystal(oriented_crystal(structure.crystal_symmetry(), rotation), (12.8, 12.5, 10.0), "gauss", **options)


@pytest.mark.parametrize("engine", ["pixel", "reflection"])
def test_an_image_of_several_channels_is_the_sum_of_one_each(rubredoxin, engine):
    channels = crystal_scattering.calculated_channels(rubredoxin, 4.5, IRON_EDGE, AnomalousScattering())
    crystal = iron_crystal(rubredoxin, rotation_matrix((1, 2, 3), 40), mosaic_blocks=small_crystal().mosaic_blocks)
    waves = Sources(factor_ev_angstrom / IRON_EDGE, np.ones(4)).in_channels(IRON_EDGE)
    together = image(channels.box(), waves, crystal, engine)
    alone = sum(
        image(StructureFactors(channels.channel(k)), Sources(wavelength, 1), crystal, "pixel") / 4
        for k, wavelength in enumerate(factor_ev_angstrom / IRON_EDGE)
    )
    assert together.max() > 0
    assert together == pytest.approx(alone, rel=1e-9, abs=1e-11 * alone.max())


@pytest.mark.parametrize("energy", [7050.0, 7150.0], ids=["below_the_edge", "above_the_edge"])
def test_bijvoet_differences_are_those_of_the_structure(rubredoxin, energy):
    energies = np.array([7050.0, 7150.0])
    channels = crystal_scattering.calculated_channels(
        rubredoxin, 6.0, energies, AnomalousScattering(), algorithm="direct"
    )
    box = channels.box()
    wavelength = factor_ev_angstrom / energy
    expected = directly_with_solvent(rubredoxin, channels, energy)
    ratios = []
    for hkl in ((1, 3, 3), (2, 1, 5), (2, 3, 2), (3, 2, 3)):
        photons = []
        for sign in (1, -1):
            index = sign * np.array(hkl)
            crystal = iron_crystal(rubredoxin, bragg_rotation(rubredoxin, index, wavelength))
            waves = Sources(wavelength, 1).in_channels(energies)
            photons.append(spot(image(box, waves, crystal), rubredoxin, hkl, wavelength))
        plus, minus = expected[hkl], expected[tuple(-i for i in hkl)]
        assert photons[0] / photons[1] == pytest.approx((plus / minus) ** 2, rel=2e-3)
        ratios.append((plus / minus) ** 2)
    assert np.abs(np.log(ratios)).max() > 0.1


def directly_with_solvent(structure, channels, energy: float) -> dict:
    """Amplitudes by index: cctbx's atoms at this energy, and the solvent, which has no anomalous part."""
    reflections = channels.constant
    neutral = structure.deep_copy_scatterers()
    neutral.scattering_type_registry(table="wk1995")
    atoms = reflections.structure_factors_from_scatterers(neutral, algorithm="direct").f_calc()
    solvent = reflections.data() - atoms.data()
    neutral.set_inelastic_form_factors(photon=factor_ev_angstrom / energy, table="sasaki")
    anomalous = reflections.structure_factors_from_scatterers(neutral, algorithm="direct").f_calc()
    total = reflections.customized_copy(data=anomalous.data() + solvent).amplitudes()
    total = total.expand_to_p1()
    return dict(zip(total.indices(), total.data()))


def bragg_rotation(structure, index: np.ndarray, wavelength: float) -> np.ndarray:
    """The rotation that makes a reflection diffract towards +x, in a beam along -z."""
    orthogonalization = np.reshape(structure.unit_cell().orthogonalization_matrix(), (3, 3))
    q = np.linalg.inv(orthogonalization).T @ index
    sine = wavelength * np.linalg.norm(q) / 2
    wanted = np.array([np.sqrt(1 - sine**2), 0, sine])
    axis = np.cross(q, wanted)
    angle = np.degrees(np.arccos(q @ wanted / np.linalg.norm(q)))
    # The mates are to lie alike but for the turn by 180 degrees that takes one to the other.
    return rotation_matrix(axis, angle)


def spot(panel: np.ndarray, structure, hkl: tuple, wavelength: float) -> float:
    """Photons around the place towards +x where a reflection diffracts to."""
    two_theta = structure.unit_cell().two_theta(hkl, wavelength)
    fast = int(48 + 80 * np.tan(two_theta) / 0.5)
    window = panel[44:52, fast - 3 : fast + 5]
    assert window.max() == window[2:6, 2:5].max() > 0
    return window.sum()


def test_one_channel_unless_an_element_has_its_edge_in_the_spectrum():
    table, beam = AnomalousScattering(), np.linspace(7062.5, 7161.5, 100)
    assert list(channel_energies(table, ["C", "N", "O", "S"], beam, 7112)) == [7112]
    assert (channel_energies(table, ["C", "Fe"], beam, 7112) == beam).all()
    assert list(channel_energies(table, ["C", "Fe"], beam + 2400, 9512)) == [9512]
    assert list(channel_energies(table, ["Fe"], beam, 7112, n_channels=3)) == [7062.5, 7112, 7161.5]
    assert list(channel_energies(table, ["Fe"], beam, 7112, n_channels=1)) == [7112]
    # A spectrometer's energies are closer than any edge is steep.
    close = channel_energies(table, ["Fe"], np.linspace(7100, 7120, 2001), 7112)
    assert (close[0], close[-1], len(close)) == (7100, 7120, 42)
    assert list(channel_energies(AnomalousScattering(None), ["Fe"], beam, 7112)) == [7112]


def test_energies_take_the_nearest_channel():
    assert list(nearest_channels(np.array([9000.0]), np.array([7112.0]))) == [0]
    assert list(nearest_channels(np.array([9.0, 1, 4.4, 4.6, 100]), np.array([2.0, 4, 5]))) == [2, 0, 1, 2, 2]
    waves = Sources(factor_ev_angstrom / IRON_EDGE, np.ones(4)).in_channels(IRON_EDGE)
    assert list(waves.channels) == [0, 1, 2, 3]


def test_images_of_a_job_see_a_channel_for_each_energy(tmp_path):
    params = parameters.parse(["mean_energy=7112", "spectrum.nchannels=9", "detector.offset_mm=500"]).extract()
    experiment = from_parameters.experiment(params)
    pulse = experiment.exposure(0).pulse
    assert list(experiment.scattering.channel_energies_eV) == pytest.approx(list(pulse.energies_eV))
    assert list(experiment.sources(pulse).channels) == list(range(9))
    # The true amplitudes are those of the mean energy, which is one of the nine.
    middle = experiment.scattering.channels.channel(4)
    assert np.array(experiment.amplitudes.data()) == pytest.approx(np.array(middle.data()), rel=1e-9)
    assert "9 channels, 7108 to 7116 eV" in experiment.scattering.messages[0]
    outline = experiment.without_amplitudes()
    assert outline.amplitudes is None and outline.scattering.channels is None


TABLE = "# measured\n7000 -6.0 0.47\n7111 -8.0 0.50\n\n7112 -9.0 4.00\n7300 -4.0 3.80\n"


def test_a_measured_table_takes_the_place_of_an_element(tmp_path, rubredoxin):
    path = tmp_path / "iron.txt"
    path.write_text(TABLE)
    argument = f"anomalous_tables=Fe={path}"
    params = parameters.parse([argument, "mean_energy=7112", "nchannels=3", "k_sol=0", "offset_mm=500"]).extract()
    found = from_parameters.experiment(params).scattering
    assert list(found.channel_energies_eV) == [7111, 7112, 7113]
    structure = rubredoxin.deep_copy_scatterers()
    structure.scattering_type_registry(table="wk1995")
    structure.set_inelastic_form_factors(photon=factor_ev_angstrom / 7112, table="sasaki")
    for scatterer in structure.scatterers():
        if scatterer.element_symbol() == "Fe":
            scatterer.fp, scatterer.fdp = -9.0, 4.0
    expected = found.amplitudes.structure_factors_from_scatterers(structure, algorithm="direct").f_calc().amplitudes()
    assert flex.mean(flex.abs(found.amplitudes.data() - expected.data())) < 2e-3 * flex.mean(expected.data())


WRONG_TABLES = {
    "too_short": ("7100 -8 0.5\n7112 -9 4\n", "Fe={}", "expected values for all energies of the beam, 7111 to 7113 eV"),
    "two_columns": ("7000 -8\n", "Fe={}", "f' and f'' (electrons), but line 1 has something else"),
    "words": (TABLE + "edge\n", "Fe={}", "but line 7 has something else"),
    "nan": (TABLE + "7400 nan 1\n", "Fe={}", "but line 7 has something else"),
    "empty": ("# nothing\n", "Fe={}", "but it has none"),
    "descending": ("7300 -4 3.8\n7000 -6 0.4\n", "Fe={}", "but the energies do not ascend"),
    "binary": (bytes(range(256)), "Fe={}", "reading the file failed"),
    "other_element": (TABLE, "Zn={}", "expected an element of the crystal, which has C, Fe, H, N, O, S"),
    "no_element": (TABLE, "{}", "expected an element and a file, Fe=iron.txt for example"),
    "twice": (TABLE, "Fe={0} Fe={0}", "expected one table for each element"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG_TABLES)
def test_wrong_tables_are_refused(name, tmp_path):
    contents, pair, message = WRONG_TABLES[name]
    path = tmp_path / "iron.txt"
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    argument = "crystal.anomalous_tables=" + pair.format(path)
    params = parameters.parse([argument, "mean_energy=7112", "nchannels=3", "offset_mm=500"]).extract()
    with pytest.raises(Sorry) as refusal:
        from_parameters.experiment(params)
    assert str(refusal.value).startswith("crystal.anomalous_tables=") and message in str(refusal.value)


def test_energies_that_a_table_lacks_are_refused():
    with pytest.raises(Sorry, match="crystal.anomalous=sasaki: expected another table, or None"):
        AnomalousScattering("sasaki").factors("S", [3500.0])
    assert AnomalousScattering("henke").factors("S", [2480.0])[0].imag > 3
    assert not AnomalousScattering("sasaki").factors("H", [9500.0]).any()


def test_more_channels_than_memory_holds_are_refused():
    params = parameters.parse(["anomalous_channels=1000000", "offset_mm=500"]).extract()
    with pytest.raises(Sorry, match="anomalous_channels=1000000: expected at most 2[0-9]{5}, as .* would take .* GB"):
        from_parameters.experiment(params)


def test_b_factors_are_shifted_to_their_mean(rubredoxin):
    before, after = (
        protein.amplitudes(structure, 2.0, 1.3, k_sol=0)
        for structure in (rubredoxin, protein.with_mean_b(rubredoxin, 25.0))
    )
    shifted = protein.with_mean_b(rubredoxin, 25.0).extract_u_iso_or_u_equiv() * (8 * np.pi**2)
    assert flex.mean(shifted) == pytest.approx(25)
    shift = 25 - flex.mean(rubredoxin.extract_u_iso_or_u_equiv() * (8 * np.pi**2))
    d = np.array(before.d_spacings().data())
    expected = np.array(before.data()) * np.exp(-shift / (4 * d**2))
    assert np.array(after.data()) == pytest.approx(expected, rel=0.01, abs=2e-3 * expected.mean())
    with pytest.raises(Sorry, match=r"crystal.b_iso=1: expected at least 5.56 angstrom\^2"):
        protein.with_mean_b(rubredoxin, 1.0)


def test_kernels_on_a_cpu_read_the_memory_that_they_are_given():
    if nanobragg_kokkos.backend()["device"] != "host":
        pytest.skip("a GPU has a copy")
    layout = BoxLayout((-12, -12, -12), (25, 25, 25), 1)
    box = AmplitudeBox(layout, np.zeros(layout.memory_size))
    box.put(np.arange(layout.n_reflections), np.full((layout.n_reflections, 1), 100.0))
    simulation = Simulation(small_detector(), Sources.from_beam(small_beam()), fluence=1e16)
    simulation.add_spots(small_crystal(), box, "pixel")
    before = simulation.image[0].sum()
    box.memory[:] *= 2
    simulation.clear()
    simulation.add_spots(small_crystal(), box, "pixel")
    assert simulation.image[0].sum() == pytest.approx(4 * before) and before > 0


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(low=(1, 0, 0)), r"does not hold \(0, 0, 0\)"),
        (dict(size=(3, 3, 2)), "amplitudes has"),
        (dict(n_channels=0), "amplitudes has"),
        (dict(amplitudes=np.zeros(35, np.float32)), "another type"),
        (dict(strongest=np.full(27, np.inf, np.float32)), "not finite"),
    ],
)
def test_memory_that_cannot_hold_amplitudes_is_refused(change, message):
    good = dict(
        amplitudes=np.zeros(35), strongest=np.zeros(27, np.float32), low=(-1, -1, -1), size=(3, 3, 3), n_channels=1
    )
    nanobragg_kokkos.extension.ext.StructureFactors(**good)
    with pytest.raises(ValueError, match=message):
        nanobragg_kokkos.extension.ext.StructureFactors(**{**good, **change})
