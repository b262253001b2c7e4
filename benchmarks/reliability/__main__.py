"""Attacks nanobragg_kokkos.simulate, and counts how often it held. Run it with libtbx.python.

    build/bin/libtbx.python benchmarks/reliability                    all cases of all attacks
    build/bin/libtbx.python benchmarks/reliability files resumes      those of two
    build/bin/libtbx.python benchmarks/reliability files 37           one case, with what the command printed
    build/bin/libtbx.python benchmarks/reliability --document         all, and writes the table of docs/reliability.md

A case is decided by its number alone, and its files are made from it. The exit code is 1 if the command did not hold.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path

import damaged_files
import full_disks
import long_jobs
import parameter_sets
import resumes
import signals
import two_jobs
from harness import Attack, Result

ATTACKS: dict[str, Attack] = {
    "parameters": parameter_sets.ATTACK,
    "files": damaged_files.ATTACK,
    "together": two_jobs.ATTACK,
    "resumes": resumes.ATTACK,
    "signals": signals.ATTACK,
    "disks": full_disks.ATTACK,
    "ranks": long_jobs.KILLED_RANKS,
    "memory": long_jobs.MEMORY,
}

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"
HEADER = "| Attack | Tried | Held | How the jobs ended |\n| --- | --- | --- | --- |\n"


def run_case(attack: Attack, number: int, directory: Path) -> Result:
    """Runs a case in a new folder; a defect of the attack itself counts as a failure of the case."""
    try:
        return attack.case(number, directory)
    except Exception as error:
        return Result("broken", f"{type(error).__name__}: {error}", traceback.format_exc())


def run_attack(name: str, attack: Attack, n_cases: int) -> tuple[str, bool]:
    """Runs the first cases of an attack; returns its row of the table, and whether all held."""
    outcomes: Counter[str] = Counter()
    held = 0
    for number in range(n_cases):
        directory = Path(tempfile.mkdtemp(prefix="reliability_"))
        try:
            result = run_case(attack, number, directory)
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        outcomes[result.ending] += 1
        held += not result.problem
        if result.problem:
            print(f"{name} {number}: {result.problem}")
            print(f"    to repeat it: build/bin/libtbx.python benchmarks/reliability {name} {number}", flush=True)
    endings = ", ".join(f"{n} {ending}" for ending, n in outcomes.most_common())
    return f"| {attack.title} | {n_cases} | {held} | {endings} |\n", held == n_cases


def repeat(name: str, number: int) -> bool:
    """Runs one case and keeps its folder; returns whether it held."""
    directory = Path(tempfile.mkdtemp(prefix=f"reliability_{name}_{number}_"))
    result = run_case(ATTACKS[name], number, directory)
    print(result.said)
    print(f"{name} {number}: {result.ending}; {result.problem or 'held'}; its files are in {directory}")
    return not result.problem


def write_table(rows: list[str]) -> None:
    """Replaces the rows of the table in the document."""
    before, found, after = DOCUMENT.read_text().partition(HEADER)
    if not found:
        raise SystemExit(f"{DOCUMENT}: expected the line {HEADER.splitlines()[0]}")
    lines = after.splitlines(keepends=True)
    while lines and lines[0].startswith("|"):
        del lines[0]
    DOCUMENT.write_text(before + HEADER + "".join([*rows, *lines]))


def main() -> int:
    """Runs what the arguments ask for; returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", nargs="*", help=f"attacks, of {', '.join(ATTACKS)}, or an attack and a case's number")
    parser.add_argument("--cases", type=int, help="run the first so many cases of each attack")
    parser.add_argument("--document", action="store_true", help="write the table of docs/reliability.md")
    options = parser.parse_args()
    *names, last = options.what or [""]
    if last.isdecimal() and len(names) == 1 and names[0] in ATTACKS:
        return 0 if repeat(names[0], int(last)) else 1
    if unknown := set(options.what) - set(ATTACKS):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(ATTACKS)}")
    if options.document and (options.what or options.cases is not None):
        parser.error("--document: expected no other argument, as the table has all cases of all attacks")
    rows, good = [], True
    for name in options.what or ATTACKS:
        attack = ATTACKS[name]
        n_cases = attack.n_cases if options.cases is None else min(options.cases, attack.n_cases)
        row, held = run_attack(name, attack, n_cases)
        rows.append(row)
        good = good and held
        print(row, end="", flush=True)
    if options.document:
        write_table(rows)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
