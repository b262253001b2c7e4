"""Attacks with resumed jobs of which something has changed: a parameter, a file behind one, the record, or a result.

docs/parameters.md says which of them are refused, and which make files again.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
from dxtbx.model.experiment_list import ExperimentListFactory
from harness import Attack, Result, difference, digests, run
from inputs import copy_inputs
from libtbx import easy_pickle
from scitbx.array_family import flex

REFUSED, MADE_AGAIN, ACCEPTED = "refused", "made again", "accepted"

# A job that reads a file of every kind, and those behind it.
JOB = (
    "n_images=4",
    "crystal.mosaic_domains=2",
    "crystal.pdb.file={}/model.pdb",
    "crystal.anomalous_tables=S={}/iron.txt",
    "crystal.orientation.file={}/crystals.expt",
    "detector.reference={}/masked.expt",
    "spectrum.shape=file",
    "spectrum.file={}/spectra.h5",
    "output.reduce=sum",
)


@dataclass(frozen=True)
class Change:
    """Something that changes between a job and the same command.

    Args:
        title: what changes.
        expected: what is right: REFUSED, without any file changed; MADE_AGAIN, so that all files are those of the
            first job; ACCEPTED as the same job.
        arguments: further arguments of the second command.
        files: changes the files; is called with their folder, that of the job, and random numbers.
    """

    title: str
    expected: str
    arguments: tuple[str, ...] = ()
    files: Callable[[Path, Path, random.Random], None] = lambda inputs, out, chance: None


def _replaced(name: str, old: str, new: str) -> Callable[[Path, Path, random.Random], None]:
    """Returns a change of the text of an input file."""

    def change(inputs: Path, out: Path, chance: random.Random) -> None:
        text = (inputs / name).read_text()
        if old not in text:
            raise ValueError(f"{name} has no {old}")
        (inputs / name).write_text(text.replace(old, new, 1))

    return change


def _mask(inputs: Path, out: Path, chance: random.Random) -> None:
    mask = flex.bool(flex.grid(30, 30), True)
    mask[chance.randrange(38, 900)] = False
    easy_pickle.dump(str(inputs / "mask.pickle"), (mask,))


def _weights(inputs: Path, out: Path, chance: random.Random) -> None:
    with h5py.File(inputs / "weights.h5", "r+") as file:
        file["weights"][1, 2] = chance.uniform(0, 2)


def _crystals(inputs: Path, out: Path, chance: random.Random) -> None:
    experiments = ExperimentListFactory.from_json_file(str(inputs / "crystals.expt"), check_format=False)
    experiments[0].crystal.rotate_around_origin((0, 0, 1), chance.uniform(0.001, 1))
    experiments.as_file(str(inputs / "crystals.expt"))


def _copied(inputs: Path, out: Path, chance: random.Random) -> None:
    shutil.copy(inputs / "model.pdb", inputs / "same.pdb")


def _cut(path: Path, chance: random.Random) -> None:
    contents = path.read_bytes()
    path.write_bytes(contents[: chance.randrange(1, len(contents) - 1)])


def _zeroed(path: Path, chance: random.Random) -> None:
    contents = bytearray(path.read_bytes())
    begin = chance.choice([k for k, byte in enumerate(contents) if byte])
    contents[begin : begin + 512] = bytes(min(512, len(contents) - begin))
    path.write_bytes(contents)


def _result(name: str, damage: Callable[[Path, random.Random], object]) -> Callable[[Path, Path, random.Random], None]:
    """Returns a change of a file that the job has written; * is one of several."""
    return lambda inputs, out, chance: (damage(chance.choice(sorted(out.glob(name))), chance), None)[1]


def _record(change: Callable[[list[bytes], random.Random], bytes]) -> Callable[[Path, Path, random.Random], None]:
    """Returns a change of the lines of the record."""

    def changed(inputs: Path, out: Path, chance: random.Random) -> None:
        path = out / "shot_record.jsonl"
        path.write_bytes(change(path.read_bytes().splitlines(keepends=True), chance))

    return changed


def _cut_later(lines: list[bytes], chance: random.Random) -> bytes:
    contents = b"".join(lines)
    return contents[: chance.randrange(len(b"".join(lines[:2])), len(contents) - 1)]


def _edited_file(lines: list[bytes], chance: random.Random) -> bytes:
    """Gives a file of the record another checksum, as if by an editor."""
    k = chance.choice([k for k, line in enumerate(lines) if b'"file"' in line and b"_0000" in line])
    entry = json.loads(lines[k])
    entry[1]["sha256"] = "0" * 64
    lines[k] = json.dumps(entry).encode() + b"\n"
    return b"".join(lines)


def _cut_first(lines: list[bytes], chance: random.Random) -> bytes:
    return lines[0][: chance.randrange(1, len(lines[0]) - 1)]


def _edited(lines: list[bytes], chance: random.Random) -> bytes:
    """Gives the record another seed, as if by an editor."""
    return b"".join(lines).replace(b'"seed":["1"]', b'"seed":["2"]')


def _other_image(path: Path, chance: random.Random) -> None:
    others = [other for other in sorted(path.parent.glob("shot_0*.h5")) if other != path]
    shutil.copy(chance.choice(others), path)


CHANGES = (
    Change("seed", REFUSED, ("seed=2",)),
    Change("oversample", REFUSED, ("oversample=2",)),
    Change("noise", REFUSED, ("noise=False",)),
    Change("beam, in its twelfth digit", REFUSED, ("beam.total_flux=100000000001",)),
    Change("spectrum", REFUSED, ("spectrum.energy_jitter_eV=1",)),
    Change("crystal", REFUSED, ("crystal.length_um=3.0000001",)),
    Change("scan", REFUSED, ("scan.axis=0 1 0",)),
    Change("background", REFUSED, ("background.air_mm=6",)),
    Change("detector", REFUSED, ("detector.offset_mm=1e-6",)),
    Change("psf", REFUSED, ("psf.shape=gauss", "psf.fwhm_mm=2")),
    Change("detector_response", REFUSED, ("detector_response.quantum_gain=2",)),
    Change("images in a file", REFUSED, ("output.images_per_file=2",)),
    Change("element of a table", REFUSED, ("crystal.anomalous_tables=N={}/iron.txt",)),
    Change("coordinates", REFUSED, (), _replaced("model.pdb", "0.80 15.00", "0.81 15.00")),
    Change("anomalous table", REFUSED, (), _replaced("iron.txt", "0.5", "0.6")),
    Change("orientations", REFUSED, (), _crystals),
    Change("detector file", REFUSED, (), _replaced("masked.expt", '"type": ""', '"type": "SENSOR_PAD"')),
    Change("mask behind an .expt", REFUSED, (), _mask),
    Change("spectra behind a link", REFUSED, (), _weights),
    Change("same contents under another name", ACCEPTED, ("crystal.pdb.file={}/same.pdb",), _copied),
    Change("another way to write a number", ACCEPTED, ("beam.total_flux=100e9",)),
    Change("record removed", REFUSED, (), _result("shot_record.jsonl", lambda path, chance: path.unlink())),
    Change("record emptied", REFUSED, (), _record(lambda lines, chance: b"")),
    Change("record cut in its first line", REFUSED, (), _record(_cut_first)),
    Change("record edited", REFUSED, (), _record(_edited)),
    Change("record cut", MADE_AGAIN, (), _record(_cut_later)),
    Change("checksum in the record edited", MADE_AGAIN, (), _record(_edited_file)),
    Change("data file cut", MADE_AGAIN, (), _result("shot_0*.h5", _cut)),
    Change("data file zeroed", MADE_AGAIN, (), _result("shot_0*.h5", _zeroed)),
    Change("data file emptied", MADE_AGAIN, (), _result("shot_0*.h5", lambda path, chance: path.write_bytes(b""))),
    Change("data file removed", MADE_AGAIN, (), _result("shot_0*.h5", lambda path, chance: path.unlink())),
    Change("data file of another image", MADE_AGAIN, (), _result("shot_0*.h5", _other_image)),
    Change("master file cut", MADE_AGAIN, (), _result("shot_master.h5", _cut)),
    Change("truth cut", MADE_AGAIN, (), _result("shot_truth.*", _cut)),
    Change("sums zeroed", MADE_AGAIN, (), _result("shot_reduced.h5", _zeroed)),
    Change("parameters emptied", MADE_AGAIN, (), _result("shot.phil", lambda path, chance: path.write_bytes(b""))),
)  # fmt: skip


def _contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def case(number: int, directory: Path) -> Result:
    """Runs a job, changes something, and runs the command again."""
    change = CHANGES[number % len(CHANGES)]
    chance = random.Random(f"resumes {number}")
    copy_inputs(directory)
    out = directory / "out"
    job = [*(argument.replace("{}", str(directory)) for argument in JOB), f"output.directory={out}"]
    first = run(job, directory)
    if first.code:
        return Result("broken", f"the first job ended with {first.code}", first.said)
    whole, phil = digests(out), (out / "shot.phil").read_bytes()
    change.files(directory, out, chance)
    before = _contents(out)
    more = [argument.replace("{}", str(directory)) for argument in change.arguments]
    ended = run([*job, *more], directory)
    problem = ended.problem
    if not problem and (ended.code == 1) != (change.expected == REFUSED):
        problem = f"{ended.word}, though {change.expected} is right"
    if not problem and change.expected == REFUSED and _contents(out) != before:
        problem = "refused, but files have changed"
    if not problem and change.expected != REFUSED:
        problem = difference(digests(out), whole)
        if not problem and change.expected == MADE_AGAIN and (out / "shot.phil").read_bytes() != phil:
            problem = "not the parameters of the first job: shot.phil"
    return Result(change.expected, problem and f"{change.title}: {problem}", ended.said)


ATTACK = Attack(f"resumes of which something has changed, {len(CHANGES)} kinds", 3 * len(CHANGES), case)
