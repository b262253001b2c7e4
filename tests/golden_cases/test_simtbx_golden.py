"""The simtbx interface gives simtbx's pixels."""

from __future__ import annotations

import golden
import pytest
from helpers.places import TESTS

CASES = sorted((TESTS / "golden_cases" / "cases_simtbx").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_pixel_agrees(path):
    for panel in golden.deviations(path, interface="simtbx"):
        assert panel.relative < golden.TOLERANCE
        assert panel.undefined == 0


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_pixel_agrees_through_exascale(path):
    if path.stem in ("F000_default_F", "psf_fiber"):
        assert golden.deviations(path, interface="exascale") is None
    else:
        assert all(panel.good and not panel.undefined for panel in golden.deviations(path, interface="exascale"))


def test_the_command_takes_the_interface(capsys):
    assert golden.main([str(TESTS / "golden_cases" / "cases_simtbx"), "psf_fiber", "--interface", "simtbx"]) == 0
    assert "1 panels passed, 0 failed" in capsys.readouterr().out
