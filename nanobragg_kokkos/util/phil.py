"""Effective parameters of a command: the defaults of a scope, changed by phil files and by name=value."""

from __future__ import annotations

import copy
import difflib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import iotbx.phil
import libtbx.phil
import libtbx.phil.tokenizer
from libtbx.utils import Sorry

from nanobragg_kokkos.util.reading import reading, reason

# Words that mean themselves in a phil file.
PLAIN = re.compile(r"[\w.,:/+*%@~=&|^<>?()\[\]-]+")

_EXPECTED_BY_TYPE = {
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


@dataclass
class Translation:
    """Another program's parameter file in terms of a scope.

    Args:
        values: values of parameters as phil text, by name.
        defaults: values for parameters that the file does not mention; any value given elsewhere overrides them.
        warnings: warnings for the user, one line each.
        unknown: definitions that belong to neither program.
        needs: names of parameters, one of which must be given, and the message if none is.
    """

    values: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    unknown: list[libtbx.phil.object_locator] = field(default_factory=list)
    needs: list[tuple[tuple[str, ...], str]] = field(default_factory=list)


def parse(
    arguments: Sequence[str],
    scope: libtbx.phil.scope,
    translate: Callable[[libtbx.phil.scope], Translation | None] = lambda source: None,
) -> libtbx.phil.scope:
    """Returns the effective parameters; a later value overrides an earlier one.

    Args:
        arguments: phil files and name=value, where an unambiguous part of a name is enough: mean_energy=9000.
        scope: all parameters with their defaults.
        translate: returns a phil file of another program in terms of the scope, or None for any other file.

    Raises:
        Sorry: an argument is neither a phil file nor name=value, or a name or a value is invalid.
    """
    interpreter = scope.command_line_argument_interpreter(home_scope="")
    files = {argument: _read(argument) for argument in arguments if os.path.isfile(argument)}
    translations = {path: found for path, source in files.items() if (found := translate(source)) is not None}
    working = scope
    for path, translation in translations.items():
        working = _named(_with_text(working, translation.defaults, path), scope)
    for argument in arguments:
        if argument in translations:
            working = _with_translation(working, translations[argument], argument)
        elif argument in files:
            working = _with_file(working, files[argument], argument)
        elif "=" in argument and not argument.startswith("-"):
            working = _with_assignment(working, argument, interpreter)
        elif argument.startswith("-"):
            raise Sorry(f"{argument}: there is no such option (--help lists them)")
        else:
            raise Sorry(f"{argument}: expected name=value or a file of parameters, but there is no such file")
        working = _named(working, scope)
    for locator in working.all_definitions():
        _check_type(locator)
    for translation in translations.values():
        _check_needs(translation, working, scope)
    return working


def as_text(scope: libtbx.phil.scope, attributes_level: int = 0) -> str:
    """Returns parameters as the text of a phil file, which gives the same values again, whatever is in them."""
    scope = copy.deepcopy(scope)
    for locator in scope.all_definitions():
        # Where words of a choice are not plain, the parameter has been refused.
        if locator.object.type.phil_type != "choice":
            locator.object.words = [_quoted(word) for word in locator.object.words]
    return scope.as_str(attributes_level=attributes_level)


def value_of(params: libtbx.phil.scope_extract, name: str) -> Any:
    """Returns the value of a parameter, given its full name."""
    for part in name.split("."):
        params = getattr(params, part)
    return params


def choices(definition: libtbx.phil.definition) -> list[str]:
    """Returns the values that a parameter of type choice can have."""
    return [word.value.lstrip("*") for word in definition.words]


def default(definition: libtbx.phil.definition) -> str:
    """Returns a parameter's value as a user would write it; for a choice, the chosen names with + between them."""
    words = [word.value for word in definition.words]
    if definition.type.phil_type == "choice":
        words = ["+".join(word[1:] for word in words if word.startswith("*")) or "None"]
    return " ".join(words)


def _quoted(word: libtbx.phil.tokenizer.word) -> libtbx.phil.tokenizer.word:
    """Returns a word in quotes if it needs them; within single ones, phil replaces no $NAME."""
    if PLAIN.fullmatch(word.value) and word.quote_token is None:
        return word
    return libtbx.phil.tokenizer.word(value=word.value, quote_token="'")


def _read(path: str) -> libtbx.phil.scope:
    with _reading_parameters(path):
        return iotbx.phil.parse(file_name=path)


def _with_file(working: libtbx.phil.scope, source: libtbx.phil.scope, path: str) -> libtbx.phil.scope:
    with _reading_parameters(path):
        changed, unused = working.fetch(source=source, track_unused_definitions=True)
    if unused:
        raise _unknown_in_file(working, unused[0], path)
    return changed


def _with_translation(working: libtbx.phil.scope, translation: Translation, path: str) -> libtbx.phil.scope:
    if translation.unknown:
        raise _unknown_in_file(working, translation.unknown[0], path)
    for warning in translation.warnings:
        # The standard output may be a phil file.
        print(f"{path}: {warning}", file=sys.stderr, flush=True)
    return _with_text(working, translation.values, path)


def _with_text(working: libtbx.phil.scope, values: dict[str, str], path: str) -> libtbx.phil.scope:
    with _reading_parameters(path):
        source = iotbx.phil.parse("\n".join(f"{name} = {value}" for name, value in values.items()))
        changed, unused = working.fetch(source=source, track_unused_definitions=True)
    if unused:
        raise _unknown(working, unused[0].path, f" ({path})")
    return changed


def _check_needs(translation: Translation, working: libtbx.phil.scope, scope: libtbx.phil.scope) -> None:
    before, after = ({found.path: found.object.as_str() for found in s.all_definitions()} for s in (scope, working))
    for names, message in translation.needs:
        if all(before.get(name) == after.get(name) for name in names):
            raise Sorry(message)


@contextmanager
def _reading_parameters(path: str) -> Iterator[None]:
    with reading(path, "a file of parameters"):
        yield


def _with_assignment(
    working: libtbx.phil.scope, argument: str, interpreter: libtbx.phil.command_line.argument_interpreter
) -> libtbx.phil.scope:
    name = argument.split("=")[0].strip()
    try:
        return working.fetch(source=interpreter.process(arg=argument))
    except (RuntimeError, Sorry) as error:
        # Only the text of the exception tells which kind of error it was.
        if "Unknown" in str(error):
            raise _unknown(working, name) from error
        if "Missing value" in str(error):
            raise Sorry(f"{argument}: expected a value after =, or None") from error
        raise Sorry(f"{argument}: {reason(error)}") from error


def _named(working: libtbx.phil.scope, scope: libtbx.phil.scope) -> libtbx.phil.scope:
    """Returns parameters whose choices have names again where phil has taken the word auto for its own Auto.

    Raises:
        Sorry: auto is no name of the choice.
    """
    all_names = {locator.path: choices(locator.object) for locator in scope.all_definitions()}
    for locator in working.all_definitions():
        definition = locator.object
        if definition.type.phil_type != "choice" or [word.value for word in definition.words] != ["Auto"]:
            continue
        names = all_names[locator.path]
        if "auto" not in names:
            raise Sorry(f"{locator.path}=Auto: {_expected_choice(definition, names)}")
        definition.words = [libtbx.phil.tokenizer.word("*" * (name == "auto") + name) for name in names]
    return working


def _expected_choice(definition: libtbx.phil.definition, names: Sequence[str]) -> str:
    return f"expected {'one or several' if definition.type.multi else 'one'} of {', '.join(names)}"


def _check_type(locator: libtbx.phil.object_locator) -> None:
    definition = locator.object
    try:
        definition.extract()
    # For unit cells and space groups, cctbx raises various exceptions.
    except Exception as error:
        value = " ".join(word.value for word in definition.words)
        expected = f"expected {_EXPECTED_BY_TYPE.get(definition.type.phil_type, definition.type.phil_type)}"
        if definition.type.phil_type == "choice":
            expected = _expected_choice(definition, choices(definition))
        raise Sorry(f"{locator.path}={value}: {expected}") from error


def _unknown(scope: libtbx.phil.scope, name: str, where: str = "") -> Sorry:
    """Returns the error for an unknown name, with the most similar known one."""

    def likeness(path: str) -> float:
        compared = path if "." in name else path.split(".")[-1]
        return difflib.SequenceMatcher(None, name.lower(), compared.lower()).ratio()

    nearest = max((locator.path for locator in scope.all_definitions()), key=likeness)
    return Sorry(f"{name}: there is no such parameter{where}. Did you mean {nearest}?")


def _unknown_in_file(scope: libtbx.phil.scope, locator: libtbx.phil.object_locator, path: str) -> Sorry:
    return _unknown(scope, locator.path, f" ({path}, line {locator.object.words[0].line_number})")
