"""The text of --help: how to call a command, and its common parameters."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

import libtbx.phil

from nanobragg_kokkos.util.phil import choices, default

# Columns of a help text, and those of a parameter's name and default in it.
COLUMNS = 100
NAME_COLUMNS = 34

OPTIONS = """  -h, --help          show this text
  -c, --show-config   show all effective parameters and what they mean; do nothing else
"""


def help_text(usage: str, scope: libtbx.phil.scope, names: Sequence[str]) -> str:
    """Returns the text of --help, which fits on a screen.

    Args:
        usage: purpose of the command, examples, and its own options, if any.
        scope: all parameters.
        names: names of the common parameters.
    """
    known = {found.path: found.object for found in scope.all_definitions()}
    others = len(known) - len(names)
    more = f" ({others} more: --show-config)" if others else ""
    lines = [parameter_line(name, known[name]) for name in names]
    return "\n".join([usage + OPTIONS, f"Common parameters and their defaults{more}:", *lines])


def parameter_line(name: str, definition: libtbx.phil.definition) -> str:
    """Returns one line: a parameter, its default, its choices if they fit, and the sentences of its help that fit."""
    assignment = textwrap.shorten(f"{name}={default(definition)}".replace("+", " + "), COLUMNS // 2, placeholder=" …")
    assignment = assignment.replace(" + ", "+")
    width = COLUMNS - max(NAME_COLUMNS, len(assignment) + 4)
    sentences = " ".join(str(definition.help or "").split()).replace(". ", ".\n").split("\n")
    if definition.type.phil_type == "choice" and not definition.type.multi:
        names = choices(definition)
        listed = f"{', '.join(names[:-1])} or {names[-1]}."
        if len(listed) <= width:
            sentences.insert(0, listed)
    kept = sentences[0]
    for sentence in sentences[1:]:
        if len(kept) + len(sentence) >= width:
            break
        kept += " " + sentence
    return f"  {assignment:<{NAME_COLUMNS - 4}}  {kept}"
