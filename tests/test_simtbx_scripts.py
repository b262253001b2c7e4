"""simtbx's own Python on this engine: what it adds to the class, and its tests as they are."""

from __future__ import annotations

import importlib.util

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("simtbx") is None, reason="simtbx's Python is not installed")

AS_EXTENSION = """
import runpy, sys
from importlib.util import find_spec
import nanobragg_kokkos.simtbx
sys.modules["simtbx_nanoBragg_ext"] = nanobragg_kokkos.simtbx
"""


def test_what_simtbx_adds_to_the_class(run_python, tmp_path):
    program = AS_EXTENSION + f"""
from simtbx.nanoBragg import nanoBragg, shapetype, Gauss
import simtbx_nanoBragg_ext
from cctbx import crystal
simulation = nanoBragg(detpixels_slowfast=(50, 60))
assert type(simulation) is simtbx_nanoBragg_ext.nanoBragg
assert shapetype.Gauss == Gauss
from cctbx.array_family import flex
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
simulation.to_cbf({str(tmp_path / "image.cbf")!r})
simulation.to_smv_format_py({str(tmp_path / "image.img")!r})
print("fine")
"""
    finished = run_python(program)
    assert finished.stdout.endswith("fine\n"), finished.stderr
    assert (tmp_path / "image.cbf").stat().st_size > 1000
    assert (tmp_path / "image.img").stat().st_size == 1024 + 2 * 50 * 60


@pytest.mark.parametrize("name", ["minimal", "multipanel"])
def test_a_script_of_simtbx(run_python, tmp_path, name):
    program = AS_EXTENSION + f"""
import os
os.chdir({str(tmp_path)!r})
runpy.run_module("simtbx.nanoBragg.tst_nanoBragg_{name}", run_name="__main__")
"""
    finished = run_python(program)
    assert "OK" in finished.stdout and finished.returncode == 0, finished.stderr
