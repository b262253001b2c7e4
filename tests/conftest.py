"""Settings and fixtures of all tests."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.places import TESTS
from hypothesis import settings

# The same examples in every run, however slow the machine is.
settings.register_profile("deterministic", derandomize=True, deadline=None, database=None)
settings.load_profile("deterministic")


@pytest.fixture
def run_python():
    """Runs a program in a fresh interpreter of the same environment; returns the finished process."""

    def run(program: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path[1:]]), **environment},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run
