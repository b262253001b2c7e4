"""simtbx's own Python on this engine: what it adds to the class, and its tests as they are, through the command."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from helpers.places import COMMAND_LINE

COMMAND = COMMAND_LINE / "simtbx.py"
found = importlib.util.find_spec("simtbx")
pytestmark = pytest.mark.skipif(found is None, reason="simtbx's Python is not installed")
SIMTBX = Path(next(iter(found.submodule_search_locations))) if found else Path()


def run(script: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[1:]), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, COMMAND, script, *arguments]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


WHAT_SIMTBX_ADDS = """
import simtbx_nanoBragg_ext
from cctbx import crystal
from cctbx.array_family import flex
from simtbx.nanoBragg import nanoBragg, shapetype, Gauss
simulation = nanoBragg(detpixels_slowfast=(50, 60))
assert type(simulation) is simtbx_nanoBragg_ext.nanoBragg
assert shapetype.Gauss == Gauss
reflections = crystal.symmetry((30, 40, 50, 90, 90, 90), "P 21 21 21").build_miller_set(True, d_min=5)
array = reflections.array(data=flex.double(reflections.size(), 3.0))
simulation.Fhkl = array
assert abs(simulation.unit_cell_tuple[0] - 30) < 1e-9
assert simulation.Fhkl.size() > array.size()
simulation.beamcenter_convention = simtbx_nanoBragg_ext.DIALS
simulation.add_nanoBragg_spots()
assert simulation.detector[0].get_image_size() == (60, 50)
assert simulation.beam.get_wavelength() == 1.0
assert simulation.crystal.get_unit_cell().parameters()[0] > 29
simulation.to_cbf("image.cbf")
simulation.to_smv_format_py("image.img")
from simtbx import get_exascale
import simtbx_gpu_ext, simtbx_kokkos_ext
assert get_exascale("exascale_api", "kokkos_gpu") is simtbx_kokkos_ext.exascale_api
assert get_exascale("gpu_detector", "cuda") is simtbx_gpu_ext.gpu_detector
print("fine")
"""


@pytest.mark.skipif(
    importlib.util.find_spec("dials") is None, reason="simtbx of 2024 imports dials with its class, and there is none"
)
def test_what_simtbx_adds_to_the_class(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(WHAT_SIMTBX_ADDS)
    done = run(script, cwd=tmp_path)
    assert done.stdout.endswith("fine\n"), done.stderr
    assert (tmp_path / "image.cbf").stat().st_size > 1000
    assert (tmp_path / "image.img").stat().st_size == 1024 + 2 * 50 * 60


SCRIPTS = {
    "nanoBragg/tst_nanoBragg_minimal": [],
    "nanoBragg/tst_nanoBragg_basic": [],
    "nanoBragg/tst_nanoBragg_mosaic": [],
    "nanoBragg/tst_nanoBragg_multipanel": [],
    "nanoBragg/tst_nanoBragg_cbf_write": [],
    "nanoBragg/tst_gauss_argchk": ["GPU"],  # which does all that CPU does, and more
    "nanoBragg/tst_gaussian_mosaicity": [],
    "nanoBragg/tst_gaussian_mosaicity2": [],
    "nanoBragg/tst_anisotropic_mosaicity": [],
    "nanoBragg/tst_multisource_background": [],
    "kokkos/tst_kokkos_lib": [],
    "gpu/tst_exafel_api": [],
    "gpu/tst_gpu_multisource_background": [],
}


@pytest.fixture(scope="module")
def running(request, tmp_path_factory) -> Iterator[dict[str, tuple[Path, Future]]]:
    """The scripts that are to be tested, two at a time, as most of their time is mmtbx's on one core."""
    tests = [item for item in request.session.items if item.originalname == test_a_script_of_simtbx.__name__]
    names = [item.callspec.params["name"] for item in tests]
    with ThreadPoolExecutor(2) as pool:
        started = {}
        for name in names:
            folder = tmp_path_factory.mktemp(Path(name).name)
            started[name] = (folder, pool.submit(run, SIMTBX / f"{name}.py", *SCRIPTS[name], cwd=folder))
        yield started


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_of_simtbx(name, running):
    script = SIMTBX / f"{name}.py"
    if not script.exists():
        pytest.skip(f"this release of simtbx has no {script}")
    folder, future = running[name]
    done = future.result()
    missing = re.search(r"^ModuleNotFoundError: No module named '(\w+)", done.stderr, re.MULTILINE)
    if missing and importlib.util.find_spec(missing[1]) is None and not missing[1].startswith(("simtbx", "nanobragg")):
        pytest.skip(f"{name} needs {missing[1]}, which is not installed")
    assert done.returncode == 0, done.stdout + done.stderr
    # tst_nanoBragg_basic ends before its last line, which would say so.
    assert "OK" in done.stdout or (folder / "noiseimage_001.cbf").exists(), done.stdout
