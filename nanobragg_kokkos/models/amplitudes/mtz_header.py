"""Checks that the parts of an MTZ file (CCP4's format) are consistent before cctbx reads it.

CCP4's library, which cctbx uses, never returns from some files that are cut off.
"""

from __future__ import annotations

from typing import Literal

RECORD = 80
WORD = 4

# Of the bytes 8 to 11: how numbers were stored.
LITTLE_ENDIAN = 4

# Of the format's description, section "Column Types".
COLUMN_TYPES = frozenset("HJFDQGLKMEPWABYIRVT")

# Numbers that each of these records has at the least, after its keyword.
NUMBERS = {"NCOL": 3, "CELL": 6, "SYMINF": 2, "NDIF": 1}


def check(contents: bytes) -> None:
    """Checks the size of the data, and the records that describe it.

    Raises:
        ValueError: they are inconsistent; says what was expected.
    """
    if len(contents) < RECORD:
        raise ValueError("it is too short")
    order: Literal["little", "big"] = "little" if contents[8] >> 4 == LITTLE_ENDIAN else "big"
    start = (int.from_bytes(contents[WORD : 2 * WORD], order, signed=True) - 1) * WORD
    if not RECORD <= start <= len(contents) - 2 * RECORD:
        raise ValueError("it ends too early")
    header = contents[start:].decode("latin-1")
    lines = [header[place : place + RECORD] for place in range(0, len(header), RECORD)]
    words = [line.split() for line in lines]
    ends = [number for number, line in enumerate(lines) if line.rstrip() == "END"]
    if lines[0][:4] != "VERS" or not ends or not any(line[:1] == ["MTZENDOFHEADERS"] for line in words[ends[0] :]):
        raise ValueError("its header does not begin with VERS or does not end with END and MTZENDOFHEADERS")
    records: dict[str, list[list[str]]] = {}
    for line in words[: ends[0]]:
        if not line or not line[0].isascii() or not line[0].isalpha():
            raise ValueError("a record of its header has no name")
        records.setdefault(line[0], []).append(line[1:])
    for keyword, least in NUMBERS.items():
        found = records.get(keyword, [])
        if len(found) != 1 or not all(_is_number(word) for word in found[0][:least]) or len(found[0]) < least:
            raise ValueError(f"its header has no {keyword} with {least} number(s)")
    n_columns, n_reflections = (_whole("NCOL", word) for word in records["NCOL"][0][:2])
    if len(records.get("COLUMN", [])) != n_columns:
        raise ValueError(f"its header names {len(records.get('COLUMN', []))} columns where NCOL says {n_columns}")
    if len(records.get("SYMM", [])) != _whole("SYMINF", records["SYMINF"][0][0]):
        raise ValueError("its header has more or fewer SYMM than SYMINF says")
    if RECORD + n_columns * n_reflections * WORD != start:
        raise ValueError(f"{n_reflections} reflections with {n_columns} columns have another size")
    datasets = [line[0] for line in records.get("DATASET", []) if line]
    if _whole("NDIF", records["NDIF"][0][0]) != len(datasets) or len(set(datasets)) != len(datasets):
        raise ValueError("its header has more or fewer DATASET than NDIF says")
    for line in records["COLUMN"]:
        known = len(line) == 5 and line[1] in COLUMN_TYPES and line[4] in datasets
        if not known or not all(map(_is_number, line[2:4])):
            raise ValueError("a COLUMN of its header is not a label, a type, two numbers and a dataset")


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _whole(keyword: str, word: str) -> int:
    if not word.isdecimal():
        raise ValueError(f"the {keyword} of its header is not a whole number")
    return int(word)
