"""What the commands have in common: how they end, what they are called with, and their help."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Callable, Sequence

import libtbx.phil

from nanobragg_kokkos.mpi import ranks

HELP_OPTIONS = ("-h", "--help")
CONFIG_OPTIONS = ("-c", "--show-config")

# Columns of a help text, and those of a parameter's name and default in it.
COLUMNS = 100
NAME_COLUMNS = 34

OPTIONS = """  -h, --help          shows this text
  -c, --show-config   shows all parameters as they would be used, each with what it means, and stops
"""


def run(action: Callable[[], None]) -> int:
    """Runs a command in this process alone; returns the exit code of the process."""
    try:
        ranks.on_first(ranks.OneRank(), action)
        return 0
    except ranks.Failed as failure:
        print(failure, file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted", file=sys.stderr, flush=True)
        return 130
    except BrokenPipeError:
        # Whoever read the output (head, say) has seen enough; Python's last flush is not to complain either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Arguments about parameters (name=value, files of parameters, unknown options), and names of other files."""
    about = [a for a in arguments if a.startswith("-") or a.endswith((".phil", ".eff")) or "=" in a]
    return about, [a for a in arguments if a not in about]


def help_text(usage: str, scope: libtbx.phil.scope, names: Sequence[str]) -> str:
    """How to call a command, and the parameters that people change, in as many lines as fit a screen.

    Args:
        usage: what the command does and examples.
        scope: all parameters.
        names: those to be told.
    """
    known = {found.path: found.object for found in scope.all_definitions()}
    others = len(known) - len(names)
    lines = [parameter_line(name, known[name]) for name in names]
    head = "Parameters, with what they are if nothing is said"
    more = f" ({others} more: --show-config)" if others else ""
    return "\n".join([usage + OPTIONS, f"{head}{more}:", *lines])


def parameter_line(name: str, definition: libtbx.phil.definition) -> str:
    """A parameter with its default and as much of its choices and its help as fits a line."""
    assignment = textwrap.shorten(f"{name}={default(definition)}".replace("+", " + "), COLUMNS // 2, placeholder=" …")
    assignment = assignment.replace(" + ", "+")
    sentences = " ".join(str(definition.help or "").split()).replace(". ", ".\n").split("\n")
    if definition.type.phil_type == "choice" and not definition.type.multi:
        names = choices(definition)
        sentences.insert(0, f"{', '.join(names[:-1])} or {names[-1]}.")
    width = COLUMNS - max(NAME_COLUMNS, len(assignment) + 4)
    kept = sentences[0] if len(sentences[0]) <= width else textwrap.shorten(sentences[0], width, placeholder=" …")
    for sentence in sentences[1:]:
        if len(kept) + len(sentence) >= width:
            break
        kept += " " + sentence
    return f"  {assignment:<{NAME_COLUMNS - 4}}  {kept}"


def choices(definition: libtbx.phil.definition) -> list[str]:
    """What a parameter of type choice can be."""
    return [word.value.lstrip("*") for word in definition.words]


def default(definition: libtbx.phil.definition) -> str:
    """A parameter's value as it would be given: of a choice what is chosen."""
    words = [word.value for word in definition.words]
    if definition.type.phil_type == "choice":
        words = ["+".join(word[1:] for word in words if word.startswith("*")) or "None"]
    return " ".join(words)
