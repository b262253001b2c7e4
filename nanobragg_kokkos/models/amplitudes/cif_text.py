"""Checks the syntax of CIF texts (Hall, Allen & Brown 1991, Acta Cryst. A47, 655-685) before cctbx reads them.

cctbx's reader crashes the process on some invalid texts, such as a loop that was cut off among its names. This module
checks only the order of the parts, not their contents.
"""

from __future__ import annotations

import re

TOKEN = re.compile(
    r"""
      (?P<comment>  \#[^\n]* )
    | (?P<text>     ^;(?:.|\n)*?\n;(?=\s|\Z) )
    | (?P<quoted>   '(?:[^'\n]|'(?=\S))*'(?=\s|\Z) | "(?:[^"\n]|"(?=\S))*"(?=\s|\Z) )
    | (?P<open>     ^; | ['"] )
    | (?P<name>     _\S* )
    | (?P<loop>     loop_(?=\s|\Z) )
    | (?P<block>    data_\S* )
    | (?P<keyword>  (?:save_|global_|stop_)\S* )
    | (?P<value>    \S+ )
    """,
    re.VERBOSE | re.MULTILINE | re.IGNORECASE,
)

# All but tab and the ends of lines.
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def is_cif(text: str) -> bool:
    """Returns whether a text begins like a CIF, with a block of data after some comments."""
    return re.match(r"(?:\s+|#[^\n]*\n)*data_", text, re.IGNORECASE) is not None


def check(text: str) -> None:
    """Checks the order of names and values in a text without save frames, such as an mmCIF file.

    Raises:
        ValueError: the order is wrong; gives the number of the line and what was expected there.
    """
    control = CONTROL.search(text)
    if control:
        raise _unexpected(text, control.start(), "text, but it has the character " + ascii(control.group()))
    state, names, values = "start", 0, 0
    for token in TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "comment":
            continue
        if kind == "open":
            raise _unexpected(text, token.start(), "the end of a quotation")
        if kind in ("value", "quoted", "text"):
            if state == "value":
                state = "next"
            elif state in ("names", "values") and names:
                state, values = "values", values + 1
            else:
                expected = "a name (_…) or loop_" if state == "next" else "a block (data_…)"
                raise _unexpected(text, token.start(), expected)
            continue
        if kind == "name" and state == "names":
            names += 1
            continue
        if state in ("value", "names") or (state == "values" and values % names):
            raise _unexpected(text, token.start(), "a value" if state != "names" or names else "a name (_…)")
        if kind == "keyword" or (state == "start" and kind != "block"):
            raise _unexpected(text, token.start(), "a block (data_…)" if state == "start" else "a name (_…) or loop_")
        state = {"name": "value", "loop": "names", "block": "next"}[str(kind)]
        names = values = 0
    if state in ("start", "value", "names") or (state == "values" and values % names):
        raise _unexpected(text, len(text), "more: the file ends too early")


def _unexpected(text: str, place: int, expected: str) -> ValueError:
    return ValueError(f"line {text.count(chr(10), 0, place) + 1}: expected {expected}")
