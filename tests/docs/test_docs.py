"""The documentation: its commands run as they stand, its links lead somewhere, and what is generated is up to date."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import libtbx.load_env
import pytest
from helpers.places import TESTS

from nanobragg_kokkos.benchmark import parameters as benchmark_parameters
from nanobragg_kokkos.job import parameters
from nanobragg_kokkos.util import phil

CLONE = TESTS.parent
DOCUMENTS = sorted([*CLONE.glob("*.md"), *CLONE.glob("docs/*.md"), *CLONE.glob("tests/*/*.md")])

# Seconds; on two cores a document takes half a minute.
MOST_SECONDS = 240


def commands(document: Path) -> list[str]:
    """The shell blocks of a document that say of themselves that they are tested, in their order."""
    return re.findall(r"<!-- tested -->\n```bash\n(.*?)```", document.read_text(), re.DOTALL)


def test_there_are_commands_to_test():
    assert len(commands(CLONE / "docs" / "tutorial.md")) >= 5


@pytest.mark.skipif(not shutil.which("dials.index"), reason="DIALS is not installed")
@pytest.mark.parametrize("document", [d for d in DOCUMENTS if commands(d)], ids=lambda document: document.name)
def test_commands_run_as_they_stand(document, tmp_path):
    """All in one shell that stops at the first error, in an empty folder, with the module's commands on the PATH."""
    # DIALS has its own interpreter and libraries.
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    environment["PATH"] = os.pathsep.join((str(Path(libtbx.env.under_build("bin"))), environment["PATH"]))
    script = "set -euo pipefail\n" + "\n".join(commands(document))
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=MOST_SECONDS
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    if document.name == "tutorial.md":
        assert_tutorial_keeps_its_promises(tmp_path, done.stdout)


def assert_tutorial_keeps_its_promises(directory: Path, said: str) -> None:
    names = ("simulated/shot_report.html", "shot_master_2.png", "spot.png", "indexed.expt")
    assert [name for name in names if not (directory / name).is_file()] == []
    tutorial = (CLONE / "docs" / "tutorial.md").read_text()
    (promised,) = re.findall(r"^    Written to .*?\n\n", tutorial, re.DOTALL | re.MULTILINE)
    assert textwrap.dedent(promised).strip() in said
    # "some hundredths of a degree"
    first = re.search(r"Rotation of (-?[\d.]+) degrees", said)
    assert first and abs(float(first.group(1))) < 0.1


def test_reference_of_parameters_is_up_to_date():
    """If this fails, run build/bin/libtbx.python docs/make_reference.py and commit what changed."""
    done = subprocess.run(
        [sys.executable, str(CLONE / "docs" / "make_reference.py"), "--check"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def calls(document: Path) -> list[tuple[str, list[str]]]:
    """The calls of simulate and benchmark in a document: command and arguments."""
    text = document.read_text().replace("\\\n", " ")
    found = re.findall(r"(?:nanobragg_kokkos\.|\./bootstrap )(simulate|benchmark) ([^`#\n]*=[^`#\n]*)", text)
    return [(command, shlex.split(arguments)) for command, arguments in found]


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if calls(d)], ids=lambda document: document.name)
def test_calls_make_sense(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command, arguments in calls(document):
        for name in arguments:
            if "=" not in name and not name.startswith("-"):
                Path(name).touch()
        if command == "simulate":
            parameters.validate(parameters.parse(arguments).extract())
        else:
            phil.parse(arguments, benchmark_parameters.phil_scope)


def prose(document: Path) -> list[str]:
    """Lines of a document that are neither code nor measured results."""
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    return re.sub(r"<!-- measured: begin -->.*?<!-- measured: end -->", "", text, flags=re.DOTALL).splitlines()


def anchors(document: Path) -> set[str]:
    """What links to a document's headings end with, as GitHub makes it of them."""
    headings = [line.lstrip("#").strip() for line in prose(document) if re.match(r"#+ ", line)]
    names = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return {name if (before := names[:k].count(name)) == 0 else f"{name}-{before}" for k, name in enumerate(names)}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)\s]+)[^)]*\)", "\n".join(prose(document)))
    for target, _, anchor in (link.partition("#") for link in links if "://" not in link and "mailto:" not in link):
        linked = document.parent / target if target else document
        assert linked.exists(), f"{document.name}: {target}"
        assert not anchor or anchor in anchors(linked), f"{document.name}: {target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_lines_are_short(document):
    """But for rows of tables and commands, which cannot be broken."""
    long = [line for line in prose(document) if len(line) > 120 and not line.startswith(("|", "    "))]
    assert not long, f"{document.name}: {long[0]}"
