"""The parameters of nanobragg_kokkos.simulate: what they are called, what they mean, and which values make sense."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import iotbx.phil
import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.imaging import parameters as imaging_parameters
from nanobragg_kokkos.job import ly99_phil, output_parameters
from nanobragg_kokkos.models.amplitudes import parameters as amplitude_parameters
from nanobragg_kokkos.models.beam import parameters as beam_parameters
from nanobragg_kokkos.models.detector import parameters as detector_parameters
from nanobragg_kokkos.models.sample import parameters as sample_parameters
from nanobragg_kokkos.util import value_rules

# Each has TEXT, which is a part of phil_scope (that of amplitudes, a part of crystal), RULES and validate.
GROUPS = (
    imaging_parameters,
    beam_parameters,
    amplitude_parameters,
    sample_parameters,
    detector_parameters,
    output_parameters,
)

phil_scope = iotbx.phil.parse(
    """
n_images = 10
  .type = int
  .help = "Number of images: stills, each of a crystal in a random orientation, or a rotation series, see scan."
seed = 1
  .type = int
  .help = "Seed of all random numbers, 0 or more. An image depends on the seed and its own number only,"
          "not on how many images or MPI ranks there are."
"""
    + imaging_parameters.TEXT
    + beam_parameters.TEXT
    + sample_parameters.TEXT
    + detector_parameters.TEXT
    + output_parameters.TEXT
)

_A_KIND_OF = {
    "int": "a whole number",
    "float": "a number",
    "floats": "numbers, as many as --help says, with commas between them",
    "bool": "True or False",
    "unit_cell": "a unit cell: six numbers, a, b, c in angstrom, alpha, beta, gamma in degrees",
    "space_group": "the symbol or the number of a space group",
    "path": "the name of a file",
    "ints": "whole numbers",
    "str": "text",
}


def parse(arguments: list[str], scope: libtbx.phil.scope = phil_scope) -> libtbx.phil.scope:
    """The effective parameters: the defaults of a scope, changed by phil files and by name=value, the later ones first.

    Parts of a name will do where they say enough: mean_energy=9000. A file may be one of LY99's (see ly99).

    Raises:
        Sorry: an argument is neither, or a name or a value is wrong.
    """
    interpreter = scope.command_line_argument_interpreter(home_scope="")
    files = {argument: _read(argument) for argument in arguments if os.path.isfile(argument)}
    trials = {
        path: ly99_phil.translation(source, scope) for path, source in files.items() if ly99_phil.is_trial(source)
    }
    working = scope
    for path, trial in trials.items():
        working = _with_text(working, trial.defaults, path)
    for argument in arguments:
        if argument in trials:
            working = _with_trial(working, trials[argument], argument)
        elif argument in files:
            working = _with_file(working, files[argument], argument)
        elif "=" in argument and not argument.startswith("-"):
            working = _with_assignment(working, argument, interpreter)
        elif argument.startswith("-"):
            raise Sorry(f"{argument}: expected --help, --show-config, name=value, --dry-run or a file of parameters")
        else:
            raise Sorry(f"{argument}: expected name=value or a file of parameters, but there is no such file")
    for locator in working.all_definitions():
        _check_type(locator)
    for trial in trials.values():
        _check_needs(trial, working, scope)
    return working


def validate(params: libtbx.phil.scope_extract) -> None:
    """Refuses values that make no sense, whatever is in the files that they name.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    for name, (makes_sense, expected) in _RULES.items():
        value = _value(params, name)
        if not makes_sense(value):
            shown = " ".join(map(str, value)) if isinstance(value, list) else value
            raise Sorry(f"{name}={shown}: expected {expected}")

    for group in GROUPS:
        group.validate(params)


def _read(path: str) -> libtbx.phil.scope:
    with _naming_damage(path):
        return iotbx.phil.parse(file_name=path)


def _with_file(working: libtbx.phil.scope, source: libtbx.phil.scope, path: str) -> libtbx.phil.scope:
    with _naming_damage(path):
        changed, unused = working.fetch(source=source, track_unused_definitions=True)
    if unused:
        raise _unknown_in_file(working, unused[0], path)
    return changed


def _with_trial(working: libtbx.phil.scope, trial: ly99_phil.Translation, path: str) -> libtbx.phil.scope:
    if trial.unknown:
        raise _unknown_in_file(working, trial.unknown[0], path)
    for note in trial.notes:
        # Not to the standard output, which may be a phil file.
        print(f"{path}: {note}", file=sys.stderr, flush=True)
    return _with_text(working, trial.values, path)


def _with_text(working: libtbx.phil.scope, values: dict[str, str], path: str) -> libtbx.phil.scope:
    with _naming_damage(path):
        source = iotbx.phil.parse("\n".join(f"{name} = {value}" for name, value in values.items()))
        changed, unused = working.fetch(source=source, track_unused_definitions=True)
    if unused:
        raise _unknown(working, unused[0].path, f" ({path})")
    return changed


def _check_needs(trial: ly99_phil.Translation, working: libtbx.phil.scope, scope: libtbx.phil.scope) -> None:
    before, after = ({found.path: found.object.as_str() for found in s.all_definitions()} for s in (scope, working))
    for names, message in trial.needs:
        if all(before.get(name) == after.get(name) for name in names):
            raise Sorry(message)


@contextmanager
def _naming_damage(path: str) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, UnicodeDecodeError, OSError, Sorry) as error:
        raise Sorry(f"{path}: expected a file of parameters, but reading it failed ({_one_line(error)})") from error


def _with_assignment(
    working: libtbx.phil.scope, argument: str, interpreter: libtbx.phil.command_line.argument_interpreter
) -> libtbx.phil.scope:
    name = argument.split("=")[0].strip()
    try:
        return working.fetch(source=interpreter.process(arg=argument))
    except (RuntimeError, Sorry) as error:
        # The interpreter does not say by type what was wrong.
        if "Unknown" in str(error):
            raise _unknown(working, name) from error
        raise Sorry(f"{argument}: {_one_line(error)}") from error


def _check_type(locator: libtbx.phil.object_locator) -> None:
    definition = locator.object
    try:
        definition.extract()
    # What a unit cell or a space group raises is up to cctbx.
    except Exception as error:
        value = " ".join(word.value for word in definition.words)
        expected = _A_KIND_OF.get(definition.type.phil_type, definition.type.phil_type)
        raise Sorry(f"{locator.path}={value}: expected {expected}") from error


def _unknown(scope: libtbx.phil.scope, name: str, where: str = "") -> Sorry:
    """For a name that is none: the nearest that is one."""

    def likeness(path: str) -> float:
        compared = path if "." in name else path.split(".")[-1]
        return difflib.SequenceMatcher(None, name.lower(), compared.lower()).ratio()

    nearest = max((locator.path for locator in scope.all_definitions()), key=likeness)
    return Sorry(f"{name}: there is no such parameter{where}. Did you mean {nearest}?")


def _unknown_in_file(scope: libtbx.phil.scope, locator: libtbx.phil.object_locator, path: str) -> Sorry:
    return _unknown(scope, locator.path, f" ({path}, line {locator.object.words[0].line_number})")


def _one_line(error: Exception) -> str:
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(error).split()))


def _value(params: libtbx.phil.scope_extract, name: str) -> Any:
    for part in name.split("."):
        params = getattr(params, part)
    return params


# What each value has to be for itself; files and choices are left to who reads them.
_RULES = {
    "n_images": value_rules.whole(1),
    "seed": value_rules.whole(0),
    **{name: rule for group in GROUPS for name, rule in group.RULES.items()},
}
