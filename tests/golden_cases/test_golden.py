"""The engine against pixel values from an independent calculation."""

from __future__ import annotations

import golden
import numpy as np
import pytest
from helpers.places import TESTS

CASES = sorted((TESTS / "golden_cases" / "cases").glob("*.json"))
SPREADS = [path for path in CASES if path.stem.startswith("psf")]


@pytest.mark.parametrize("engine", ["auto", "pixel", "reflection"])
@pytest.mark.parametrize("path", [path for path in CASES if path not in SPREADS], ids=lambda path: path.stem)
def test_every_pixel_agrees(path, engine):
    panels = golden.deviations(path, engine)
    if panels is None:
        pytest.skip("not a shape for this engine")
    for panel in panels:
        assert panel.relative < golden.TOLERANCE
        assert panel.ratio == pytest.approx(1, abs=1e-8)
        assert panel.undefined == 0


@pytest.mark.parametrize("method", ["auto", "direct", "fourier"])
@pytest.mark.parametrize("path", SPREADS, ids=lambda path: path.stem)
def test_every_blurred_pixel_agrees(path, method):
    (panel,) = golden.deviations(path, blur=method)
    assert panel.relative < golden.SPREAD_TOLERANCE
    assert panel.ratio == pytest.approx(1, abs=1e-12)
    assert panel.undefined == 0


def test_the_command_reports_and_passes(capsys):
    assert (
        golden.main([str(TESTS / "golden_cases" / "cases"), "tophat", "round", "psf_gauss", "--engine", "reflection"])
        == 0
    )
    printed = capsys.readouterr().out
    assert "tophat" in printed and "max|difference|/max" in printed
    assert "not supported" in printed
    assert "2 panels passed, 0 failed, 1 cases not supported" in printed


def test_the_command_fails_on_a_wrong_pixel(tmp_path, capsys):
    source = TESTS / "golden_cases" / "cases"
    (tmp_path / "tophat.json").write_text((source / "tophat.json").read_text())
    with np.load(source / "tophat.npz") as file:
        arrays = dict(file)
    arrays["physical_0"][3, 5] += 2e-9 * arrays["physical_0"].max()
    np.savez(tmp_path / "tophat.npz", **arrays)
    assert golden.main([str(tmp_path)]) == 1
    arrays["physical_0"][3, 5] = np.nan  # of which nothing is known
    np.savez(tmp_path / "tophat.npz", **arrays)
    assert golden.main([str(tmp_path)]) == 0
    assert "without 1 undefined pixels" in capsys.readouterr().out
    arrays["physical_0"][:] = np.nan
    np.savez(tmp_path / "tophat.npz", **arrays)
    assert golden.main([str(tmp_path)]) == 1
    arrays["physical_0"] = np.zeros((3, 3))
    np.savez(tmp_path / "tophat.npz", **arrays)
    assert golden.main([str(tmp_path)]) == 1
    assert golden.main([str(tmp_path / "nothing")]) == 1
