"""Attacks with signals at random times; the same job then goes on."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from harness import Attack, Result, difference, digests, finish, run, start, unreadable, wait_until
from inputs import FORMATS, arguments, copy_inputs

JOB = ("n_images=20", "output.reduce=sum+variance", "crystal.mosaic_domains=20", "spectrum.nchannels=10")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGKILL)

# Exit codes after each; the first by the command, the second if Python has not begun with it yet.
CODES = {signal.SIGTERM: (130, -15), signal.SIGINT: (130, -2), signal.SIGKILL: (-9, -9)}


def case(number: int, directory: Path) -> Result:
    """Signals a job up to three times, each time later; files are whole, and the last job ends as if undisturbed."""
    chance = random.Random(f"signals {number}")
    copy_inputs(directory)
    out, whole = directory / "out", directory / "whole"
    job = [*arguments(FORMATS[0], directory), *JOB, f"output.images_per_file={chance.choice((1, 3))}"]
    begun = time.monotonic()
    finish(start([*job, f"output.directory={whole}"], directory), directory)
    seconds = time.monotonic() - begun
    said, problem, sent = "", "", []
    for _ in range(chance.randint(1, 3)):
        which = SIGNALS[number % len(SIGNALS)]
        process = start([*job, f"output.directory={out}"], directory)
        # Half of the signals at any time, half once it writes.
        if chance.random() < 0.5:
            wait_until(lambda process=process: process.poll() is not None or out.exists(), seconds)
            time.sleep(chance.uniform(0, 0.3 * seconds))
        else:
            time.sleep(chance.uniform(0, seconds))
        process.send_signal(which)
        ended = finish(process, directory)
        said += ended.said
        if ended.code == 0:
            break
        sent.append(which.name)
        if ended.code not in CODES[which]:
            problem = f"exit code {ended.code} after {which.name}"
        elif "Traceback" in ended.said:
            problem = f"a traceback after {which.name}"
        elif ended.code == 130 and "the same command goes on" not in ended.said:
            problem = f"it does not say how to go on after {which.name}"
        elif out.is_dir() and (bad := unreadable(out)):
            problem = f"unreadable after {which.name}: {', '.join(bad)}"
        if problem:
            return Result("signalled", problem, said)
    ended = run([*job, f"output.directory={out}"], directory)
    problem = ended.problem or ("" if ended.code == 0 else "the same command is refused")
    problem = problem or difference(digests(out), digests(whole))
    if not problem and (left := [path.name for path in out.glob(".*.part")]):
        problem = f"half-written files stay: {', '.join(left)}"
    return Result(f"{SIGNALS[number % len(SIGNALS)].name}" if sent else "ended before", problem, said + ended.said)


ATTACK = Attack("signals at random times, then the same job", 30, case)
