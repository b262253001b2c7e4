"""trial.phil of ExaFEL's LY99: accepted as they are, alone or with other parameters."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import iotbx.phil
import numpy as np
import pytest
from dxtbx.model import Experiment, ExperimentList
from dxtbx.model.experiment_list import ExperimentListFactory
from helpers.small_models import small_beam, small_detector
from iotbx.reflection_file_reader import any_reflection_file
from libtbx.utils import Sorry

from nanobragg_kokkos import protein
from nanobragg_kokkos.job import ly99_phil, parameters
from nanobragg_kokkos.job.command import main
from nanobragg_kokkos.models.detector import parameters as detector_parameters

DATA = Path(__file__).parent / "data"


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch):
    """The folder and the environment that the jobs of LY99 have, with two small panels for a detector."""
    for variable in ("N_SIM", "MOS_DOM", "DEVICES_PER_NODE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MODULES", str(tmp_path))
    monkeypatch.setenv("SCRATCH_FOLDER", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path)
    shutil.copy(protein.default_coordinates(), tmp_path / "model.pdb")
    detector = small_detector(pixels=50, pixel_mm=1.0, distance_mm=60)
    panel = detector.add_panel()
    panel.set_frame((1, 0, 0), (0, -1, 0), (30, 25, -60))
    panel.set_image_size((50, 50))
    panel.set_pixel_size((1.0, 1.0))
    panel.set_trusted_range((-1, 1e6))
    ExperimentList([Experiment(detector=detector, beam=small_beam())]).as_file("reference.expt")


def trial(text: str) -> str:
    Path("trial.phil").write_text(text)
    return "trial.phil"


def extracted(*arguments: str):
    params = parameters.parse(list(arguments)).extract()
    parameters.validate(params)
    return params


def test_trial_of_several_panels_runs_as_it_is(monkeypatch, capsys, tmp_path):
    for variable, value in (("N_SIM", "2"), ("MOS_DOM", "3"), ("DEVICES_PER_NODE", "4")):
        monkeypatch.setenv(variable, value)
    assert main([str(DATA / "trial_multipanel.phil")]) == 0
    output = capsys.readouterr()
    out = tmp_path / "scratch"
    with h5py.File(out / "shot_master.h5") as file:
        images = file["entry/data/data"][()]
    assert images.shape == (2, 100, 50) and images.dtype == np.uint16
    (found, _) = ExperimentListFactory.from_filenames([str(out / "shot_master.h5")])
    assert [panel.get_distance() for panel in found.detector] == pytest.approx([80, 80])
    (amplitudes,) = any_reflection_file(str(out / "amplitudes" / "ground_truth.mtz")).as_miller_arrays()
    assert amplitudes.is_xray_amplitude_array()
    assert "ground_truth.mtz" in output.out and not (out / "shot_truth.mtz").exists()

    params = parameters.parse([str(out / "shot.phil")]).extract()
    assert (params.n_images, params.crystal.mosaic_domains, params.crystal.Deff_A) == (2, 3, 1000)
    assert (params.beam.total_flux, params.crystal.length_um) == (1e11, 2)
    assert detector_parameters.psf_shape(params) is None
    notes = output.err.splitlines()
    assert [note.split(": ", 1)[1].split(":")[0].split("=")[0] for note in notes] == [
        "context", "diffuse.enable", "n_images", "crystal.mosaic_domains",
        "LY99's values for parameters that the file does not mention",
    ]  # fmt: skip


def test_what_a_trial_does_not_say_is_as_in_ly99(capsys):
    params = extracted(str(DATA / "trial_single.phil"))
    assert (params.beam.mean_energy, params.beam.total_flux, params.beam.size_mm) == (7120, 1e12, 0.003)
    assert (params.crystal.length_um, params.crystal.Deff_A, params.crystal.k_sol) == (4, 4000, 0.435)
    assert (params.background.water_mm, params.background.air_mm) == (0.1, 10)
    assert (params.psf.shape, params.psf.fwhm_mm, params.psf.radius_pixels) == ("fiber", 0.08, 10)
    assert (params.detector.name, params.detector.reference, params.noise) == ("rayonix_mx340", None, False)
    response = params.detector_response
    assert (response.readout_noise, response.calibration_noise, response.adc_offset) == (0, 0, 0)
    assert (params.n_images, params.crystal.mosaic_domains) == (10, 25)
    notes = capsys.readouterr().err
    assert "output.format=smv has no effect: images are written as NeXus/NXmx" in notes
    assert "simulates rubredoxin (PDB entry 1BRF) unless" in notes

    noisy = extracted(trial("context = kokkos_gpu")).detector_response
    assert (noisy.readout_noise, noisy.calibration_noise, noisy.adc_offset) == (1, 0.01, 10)
    assert extracted(trial("context = cuda\ncrystal.length_um = 0.2")).crystal.Deff_A == 2000


def test_trial_of_one_panel_runs_with_another_detector(capsys, tmp_path):
    arguments = ["n_images=1", "detector.reference=reference.expt", "output.directory=here", "spectrum.nchannels=2"]
    assert main([str(DATA / "trial_single.phil"), *arguments]) == 0
    assert (tmp_path / "here" / "shot_master.h5").exists()
    assert "point spread fiber of 0.08 mm to 10 pixels" in capsys.readouterr().out


def test_other_parameters_come_before_the_environment_and_the_defaults_wherever_they_are(monkeypatch):
    monkeypatch.setenv("N_SIM", "7")
    monkeypatch.setenv("MOS_DOM", "8")
    path = trial("context = kokkos_gpu\ncrystal.mosaic_domains = 9")
    assert extracted(path).n_images == 7
    assert extracted(path).crystal.mosaic_domains == 9
    for arguments in ([path, "n_images=5", "water_mm=0"], ["n_images=5", "water_mm=0", path]):
        params = extracted(*arguments)
        assert (params.n_images, params.background.water_mm) == (5, 0)
    assert extracted("seed=3").n_images == 10


def test_parameters_of_this_module_may_stand_beside_those_of_ly99():
    own = "psf.fwhm_mm = 0.1\nseed = 5\ndetector.name = cspad"
    params = extracted(trial(f"psf = True\n{own}\ndetector.tiles = multipanel"))
    assert (params.psf.shape, params.psf.fwhm_mm, params.seed, params.detector.name) == ("fiber", 0.1, 5, "cspad")


# What a file says, and what has to be told of it; nothing happens to the parameters.
WITHOUT_EFFECT = {
    "context = cuda": "context=cuda has no effect: Kokkos runs on the devices that it was built for",
    "psf = False\nres_limit = 1.7": "res_limit=1.7 has no effect: reflections are calculated to the detector's corners",
    "output.format = cbf": "output.format=cbf has no effect: images are written as NeXus/NXmx",
    "psf = False\noutput.h5.typecast = True": "output.h5.typecast=True has no effect: counts are rounded",
    "diffuse { enable = yes\nanisoG = 1,2,3 }": "diffuse.enable=True has no effect: diffuse scattering is not",
    "detector { tiles = single\nreference = a.expt }": "detector.tiles=single has no effect: detector.reference is the detector",
}


@pytest.mark.parametrize("text", WITHOUT_EFFECT)
def test_what_has_no_effect_is_told(text, capsys):
    reference = "\ndetector.reference = a.expt" if "a.expt" in text else ""
    before = extracted(trial(f"psf = True{reference}"))
    capsys.readouterr()
    after = extracted(trial(text))
    assert f"trial.phil: {WITHOUT_EFFECT[text]}" in capsys.readouterr().err
    if "psf" not in text:
        texts = [parameters.phil_scope.format(python_object=params).as_str() for params in (before, after)]
        assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "text",
    [
        "absorption = high_remote",
        'absorption = "high_remote"',
        "output { format = smv *h5\nh5.typecast = False }",
        "context = None\npsf = no\nres_limit = None\ndiffuse.enable = False",
    ],
)
def test_what_is_as_here_is_not_told(text, capsys):
    extracted(trial(text))
    assert "has no effect" not in capsys.readouterr().err


WRONG = {
    "psf = perhaps": "psf=perhaps: expected True or False",
    "context = cuda\nnoise = perhaps": "noise=perhaps: expected True or False",
    "crystal.structure = lysozyme": "crystal.structure=lysozyme: expected ferredoxin, PSII or pdb",
    "crystal.structure = ferredoxin": "crystal.structure=ferredoxin requires crystal.pdb.file, the coordinates of ferredoxin (PDB",
    "crystal { structure = pdb\npdb.code = 4tnl }": "crystal.pdb.code=4tnl requires crystal.pdb.file",
    "detector.tiles = double": "detector.tiles=double: expected single or multipanel",
    "detector.tiles = multipanel": "detector.tiles=multipanel requires detector.reference or another detector.name",
    "psf = True\nbeam.mean_enrgy = 9500": "(trial.phil, line 2). Did you mean beam.mean_energy?",
    "psf = True\nlogger.outdr = x": "logger.outdr: there is no such parameter (trial.phil, line 2)",
    "context = cuda\ncrystal.length_um = long": "crystal.length_um=long: expected a number",
    "absorption = strong": "absorption=strong: expected high_remote or spread",
    "context = cuda\nlogger.outdir = $NOWHERE_AT_ALL": "trial.phil: expected a file of parameters, but reading",
}


@pytest.mark.parametrize("text", WRONG)
def test_wrong_trial_is_refused(text, capsys, tmp_path):
    path = trial(text)
    before = sorted(tmp_path.iterdir())
    assert main([path]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("Sorry: ") and WRONG[text] in error
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("variable", ["N_SIM", "MOS_DOM"])
def test_wrong_environment_is_refused_where_it_counts(variable, monkeypatch):
    monkeypatch.setenv(variable, "many")
    with pytest.raises(Sorry, match=rf"{variable}=many \(environment\): expected a whole number"):
        extracted(trial("context = cuda"))
    extracted("seed=3")


def test_photosystem_needs_coordinates():
    path = str(DATA / "trial_psii.phil")
    with pytest.raises(Sorry, match="crystal.structure=PSII requires crystal.pdb.file, the coordinates of ph"):
        extracted(path)
    params = extracted(path, "crystal.pdb.file=model.pdb")
    assert params.beam.mean_energy == 6550


@pytest.mark.parametrize("absorption, channels", [("high_remote", 1), ("spread", None)])
def test_structure_factors_are_those_of_one_energy_or_of_all(absorption, channels):
    assert extracted(trial(f"absorption = {absorption}")).crystal.anomalous_channels == channels


def test_observed_amplitudes_and_symmetrized_domains_have_their_places():
    source = iotbx.phil.parse("""
        crystal { structure = pdb
                  symmetrize_Flatt = True
                  pdb { file = observed-sf.cif
                        coefficients = *fobs fcalc
                        label = "tensity" } }
    """)
    found = ly99_phil.translation(source, parameters.phil_scope, {})
    assert found.values == {
        "crystal.symmetrize": "True",
        "crystal.structure_factors.file": "observed-sf.cif",
        "crystal.structure_factors.label": '"tensity"',
    }
    assert not found.unknown and not found.needs


def test_files_of_this_module_are_not_taken_for_trials(capsys):
    own = "psf.shape = fiber\nnoise = False\ndetector.offset_mm = 3\ncrystal.pdb.file = model.pdb"
    Path("own.phil").write_text(own)
    params = extracted("own.phil")
    assert (params.beam.total_flux, params.psf.fwhm_mm) == (1e11, None)
    assert capsys.readouterr().err == ""
