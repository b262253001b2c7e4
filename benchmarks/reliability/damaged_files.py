"""Attacks with damaged, wrong, endless and malicious files of every format that a job reads."""

from __future__ import annotations

import bz2
import gzip
import os
import pickle
import random
import re
from collections.abc import Callable
from pathlib import Path

from harness import EXECUTED, Attack, Result, left_by, run
from inputs import FORMATS, Format, arguments, copy_inputs

# In place of a number of a text file; those of JSON can be read, so that the values themselves are tried.
JSON_NUMBERS = ("NaN", "Infinity", "-1", "0", "1e300", "1e-300", "99999999999999999999", "2147483648", "[]", "null")
NUMBERS = ("nan", "inf", "-1", "0", "1e300", "1e-300", "99999999999999999999", "0x10", "", "?", "1,5", "٣", "-0.0")


class _Malicious:
    """Creates a file when its pickle is loaded."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (EXECUTED,)


def cut(contents: bytes, chance: random.Random) -> bytes:
    return contents[: chance.randrange(1, len(contents))]


def emptied(contents: bytes, chance: random.Random) -> bytes:
    return b""


def zero_page(contents: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(contents)) // 64 * 64
    length = min(chance.choice((64, 512, 4096)), len(contents) - begin)
    return contents[:begin] + bytes(length) + contents[begin + length :]


def random_bytes(contents: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(contents))
    length = min(chance.randint(1, 300), len(contents) - begin)
    return contents[:begin] + chance.randbytes(length) + contents[begin + length :]


def part_lost(contents: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(contents))
    return contents[:begin] + contents[begin + chance.randint(1, 200) :]


def part_doubled(contents: bytes, chance: random.Random) -> bytes:
    begin = chance.randrange(len(contents))
    return contents[: begin + chance.randint(1, 200)] + contents[begin:]


def numbers(contents: bytes, chance: random.Random) -> bytes:
    """Puts nonsense in place of numbers; in binary files, the largest number, which also declares huge sizes."""
    if b"\0" in contents:
        begin = chance.randrange(len(contents)) // 8 * 8
        return (
            contents[:begin]
            + chance.choice((b"\xff" * 8, b"\xff\xff\xff\x7f", b"\0\0\xc0\x7f"))
            + contents[begin + 8 :]
        )
    found = list(re.finditer(rb"-?\d+(\.\d+)?(e-?\d+)?", contents))
    others = JSON_NUMBERS if contents.startswith(b"{") else NUMBERS
    for match in sorted(chance.sample(found, min(3, len(found))), key=lambda match: -match.start()):
        contents = contents[: match.start()] + chance.choice(others).encode() + contents[match.end() :]
    return contents


def malicious(contents: bytes, chance: random.Random) -> bytes:
    return pickle.dumps(_Malicious(), protocol=chance.randrange(5))


def bomb(contents: bytes, chance: random.Random) -> bytes:
    """Returns 4 GB of zeros or of lines, in a thousandth of that."""
    block = chance.choice((bytes(2**20), b"ATOM\n" * 2**18))
    compress = chance.choice((gzip.compress, bz2.compress))
    return compress(block) * (4 * 2**30 // len(block))


Damage = Callable[[bytes, random.Random], bytes]
Replacement = Callable[[Path, random.Random], None]

DAMAGES: tuple[Damage, ...] = (cut, emptied, zero_page, random_bytes, part_lost, part_doubled, numbers, malicious, bomb)


def directory_instead(path: Path, chance: random.Random) -> None:
    path.mkdir()


def endless_instead(path: Path, chance: random.Random) -> None:
    path.symlink_to(chance.choice(("/dev/zero", "/dev/urandom")))


def other_format_instead(path: Path, chance: random.Random) -> None:
    others = [form.damaged for form in FORMATS if form.damaged != path.name]
    path.write_bytes((path.parent / chance.choice(others)).read_bytes())


REPLACEMENTS: tuple[Replacement, ...] = (directory_instead, endless_instead, other_format_instead)


def way_of(number: int) -> int:
    """Returns which of DAMAGES and REPLACEMENTS a case uses: the formats take turns with each of them."""
    turn, place = divmod(number, len(FORMATS))
    return (turn + place) % (len(DAMAGES) + len(REPLACEMENTS))


def damage(number: int, form: Format, directory: Path) -> str:
    """Damages the file of a format in a way that the number of the case decides; returns the name of the way."""
    chance = random.Random(f"files {number}")
    path = directory / form.damaged
    kind = way_of(number)
    if kind < len(DAMAGES):
        path.write_bytes(DAMAGES[kind](path.read_bytes(), chance))
        return DAMAGES[kind].__name__
    path.unlink()
    replacement = REPLACEMENTS[kind - len(DAMAGES)]
    replacement(path, chance)
    return replacement.__name__


def case(number: int, directory: Path) -> Result:
    """Simulates with a damaged file: an image, or one message that names the file or its parameter."""
    form = FORMATS[number % len(FORMATS)]
    copy_inputs(directory)
    way = damage(number, form, directory)
    out = directory / "out"
    ended = run([*arguments(form, directory), f"output.directory={out}"], directory)
    problem = ended.problem or left_by(out, ended)
    if not problem and ended.code == 1 and form.damaged != "job.phil":
        message = ended.said.strip().splitlines()[-1]
        known = (form.damaged, form.arguments[-1].partition("=")[0])
        if not any(name in message for name in known):
            problem = f"the message names neither {known[0]} nor {known[1]}: {message}"
    return Result(ended.word, problem and f"{form.title}, {way}: {problem}", ended.said)


ATTACK = Attack("damaged, wrong, endless and malicious files", 150, case)
