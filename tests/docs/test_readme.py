"""The README's Python example runs as printed."""

from __future__ import annotations

import re

import numpy as np
from helpers.places import TESTS


def test_example_runs(run_python):
    readme = (TESTS.parent / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    done = run_python(example)
    assert (done.returncode, done.stderr) == (0, "")
    numbers = [float(number) for number in re.findall(r"[\d.]+", done.stdout)]
    assert numbers[:2] == [3840, 3840]
    assert numbers[3] > 10 * numbers[2] > 0 and np.isfinite(numbers).all()
