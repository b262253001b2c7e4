"""What a conda or pip environment is told that it lacks, in folders laid out like theirs."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest
from helpers.places import CLONE

GENERATED = "scitbx/array_family/operator_traits_builtin.h"


@pytest.fixture
def check_environment(monkeypatch, tmp_path):
    """The script, in an environment whose prefix is empty."""
    monkeypatch.syspath_prepend(CLONE / "setup")
    import check_environment

    paths = {"include": f"{tmp_path}/include/python3.12", "platlib": f"{tmp_path}/lib/python3.12/site-packages"}
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setattr(sysconfig, "get_paths", lambda: paths)
    return check_environment


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def headers_lacking(check_environment) -> list[str]:
    return [what for what in check_environment.lacking("building") if what.startswith("header")]


def test_headers_are_found_where_conda_forge_has_them(check_environment, tmp_path):
    packages = tmp_path / "lib/python3.12/site-packages"
    assert len(headers_lacking(check_environment)) == 4
    touch(packages / "cctbx/miller.h", packages / "dxtbx/model/detector.h")
    touch(tmp_path / "include" / GENERATED, tmp_path / "include/boost/python.hpp")
    assert headers_lacking(check_environment) == []


def test_conda_environment_gets_one_command(check_environment, tmp_path):
    touch(tmp_path / "conda-meta/history")
    said = check_environment.advice({"header a.h": "cctbx-base", "Python module b": "dxtbx", "c": "cctbx-base"})
    assert said == "conda install -c conda-forge cctbx-base dxtbx"


def test_pip_environment_is_told_what_pypi_lacks(check_environment):
    said = check_environment.advice(check_environment.lacking("building"))
    assert "conda install" not in said
    assert all(word in said for word in ("PyPI's cctbx-base", "Boost", "dxtbx", "environment.yml"))
