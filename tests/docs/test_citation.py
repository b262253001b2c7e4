"""CITATION.cff agrees with the package and with the README."""

from __future__ import annotations

import re

from helpers.places import CLONE

import nanobragg_kokkos

CITATION = (CLONE / "CITATION.cff").read_text()


def test_version_is_that_of_the_package():
    assert re.findall(r"^version: (.+)$", CITATION, re.MULTILINE) == [nanobragg_kokkos.__version__]


def test_licence_is_that_of_the_project():
    assert "license: BSD-3-Clause\n" in CITATION
    assert (CLONE / "LICENSE").read_text().startswith("BSD 3-Clause License")


def test_works_are_those_of_the_readme():
    readme = (CLONE / "README.md").read_text().partition("## How to cite")[2]
    for name in (
        "FEBS J.",
        "281",
        "4046",
        "Accelerating X-Ray Tracing for Exascale Systems using Kokkos",
        "2205.07976",
    ):
        assert name in readme and name in CITATION
