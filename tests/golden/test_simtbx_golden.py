"""The simtbx interface gives simtbx's pixels."""

from __future__ import annotations

import golden_cases
import pytest
from helpers.places import TESTS

CASES = sorted((TESTS / "golden" / "cases_simtbx").glob("*.json"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_pixel_agrees(path):
    for panel in golden_cases.deviations(path, interface="simtbx"):
        assert panel.relative < golden_cases.TOLERANCE
        assert panel.undefined == 0


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_pixel_agrees_through_exascale(path):
    if path.stem in ("F000_default_F", "psf_fiber"):
        assert golden_cases.deviations(path, interface="exascale") is None
    else:
        assert all(panel.good and not panel.undefined for panel in golden_cases.deviations(path, interface="exascale"))


def test_the_command_takes_the_interface(capsys):
    assert golden_cases.main([str(TESTS / "golden" / "cases_simtbx"), "psf_fiber", "--interface", "simtbx"]) == 0
    assert "1 panels passed, 0 failed" in capsys.readouterr().out
