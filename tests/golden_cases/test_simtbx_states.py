"""The simtbx interface reports what simtbx's class reports after the same steps."""

from __future__ import annotations

import json

import pytest
import simtbx_states
from helpers.places import TESTS

RECIPES = json.loads((TESTS / "golden_cases" / "simtbx_states.json").read_text())


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe["name"])
def test_every_value_agrees(recipe):
    assert simtbx_states.differences(recipe) == []


def test_the_command_fails_on_a_wrong_value(tmp_path, capsys):
    recipe = json.loads(json.dumps(RECIPES[0]))
    file = tmp_path / "recipes.json"
    file.write_text(json.dumps([recipe]))
    assert simtbx_states.main([str(file)]) == 0
    recipe["state"]["distance_mm"] *= 1 + 1e-8
    file.write_text(json.dumps([recipe]))
    assert simtbx_states.main([str(file)]) == 1
    assert "distance_mm" in capsys.readouterr().out
