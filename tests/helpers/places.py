"""Where the tests and the project lie."""

from __future__ import annotations

from pathlib import Path

TESTS = Path(__file__).parents[1]
CLONE = TESTS.parent
COMMAND_LINE = CLONE / "command_line"
