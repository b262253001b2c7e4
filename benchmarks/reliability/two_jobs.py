"""Attacks with two jobs that are started together in one directory."""

from __future__ import annotations

import random
import time
from pathlib import Path

from harness import Attack, Result, difference, digests, finish, run, start
from inputs import FORMATS, arguments, copy_inputs


def case(number: int, directory: Path) -> Result:
    """Starts two jobs: the same, or of different seeds. One of them makes all files; no file is of both."""
    chance = random.Random(f"together {number}")
    copy_inputs(directory)
    out, whole = directory / "out", directory / "whole"
    job = [*arguments(FORMATS[0], directory), "n_images=6", f"output.images_per_file={chance.choice((1, 4))}"]
    seeds = (1, 1) if number % 2 else (1, 2)
    processes = []
    for seed, name in zip(seeds, ("first.txt", "second.txt")):
        processes.append(start([*job, f"seed={seed}", f"output.directory={out}"], directory, name))
        time.sleep(chance.choice((0, chance.uniform(0, 0.1), chance.uniform(0, 3))))
    ended = [finish(process, directory, name) for process, name in zip(processes, ("first.txt", "second.txt"))]
    said = "\n".join(each.said for each in ended)
    problem = ended[0].problem or ended[1].problem
    done = [seed for seed, each in zip(seeds, ended) if each.code == 0]
    ending = f"{len(done)} done, {2 - len(done)} refused, {'same' if number % 2 else 'different'} parameters"
    if not problem and not done:
        problem = "neither made its images"
    if not problem and len(set(done)) > 1:
        problem = "both ended well, though their parameters differ"
    if not problem:
        run([*job, f"seed={done[0]}", f"output.directory={whole}"], directory)
        problem = difference(digests(out), digests(whole))
    return Result(ending, problem, said)


ATTACK = Attack("two jobs at once in one directory", 20, case)
