"""The engine's derivatives against an independent calculation that knows no derivative formula."""

from __future__ import annotations

import json
import shutil

import gradients
import numpy as np
import pytest
from helpers.places import TESTS

FOLDER = TESTS / "gradient_cases"
CASES = sorted(FOLDER.glob("*.json"))
NOT_YET = {"amplitude"}


@pytest.mark.parametrize("engine", ["auto", "pixel", "reflection"])
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_every_derivative_agrees(path, engine):
    found = dict(gradients.deviations(path, engine))
    if all(deviation is None for deviation in found.values()):
        pytest.skip("not a shape for this engine")
    assert {name for name, deviation in found.items() if deviation is None} <= NOT_YET
    assert {name: d for name, d in found.items() if d is not None and not d <= gradients.TOLERANCE} == {}


def test_the_command_reports_and_fails(tmp_path, capsys):
    for suffix in (".json", ".npz"):
        shutil.copy((FOLDER / "gauss_argchk_volume").with_suffix(suffix), tmp_path)
    assert gradients.main([str(tmp_path), "--engine", "pixel"]) == 0
    assert "0 failed" in capsys.readouterr().out
    path = tmp_path / "gauss_argchk_volume.npz"
    arrays = dict(np.load(path))
    arrays["gradient_cell_b"].flat[arrays["gradient_cell_b"].argmax()] *= 1 + 1e-8
    np.savez(path, **arrays)
    assert gradients.main([str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "cell_b" in next(line for line in printed.splitlines() if "FAILED" in line) and "1 failed" in printed
    (tmp_path / "other.json").write_text(json.dumps({"parameters": ["scale"], "properties": []}))
    (tmp_path / "other.npz").write_bytes(b"")
    assert gradients.main([str(tmp_path), "other"]) == 1
    assert gradients.main([str(tmp_path / "nothing")]) == 1
