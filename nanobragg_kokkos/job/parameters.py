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

from nanobragg_kokkos.job import ly99_phil, output_parameters
from nanobragg_kokkos.models.amplitudes import parameters as amplitude_parameters
from nanobragg_kokkos.models.beam import parameters as beam_parameters
from nanobragg_kokkos.models.detector import parameters as detector_parameters
from nanobragg_kokkos.models.detector import response_parameters
from nanobragg_kokkos.models.sample import crystal_parameters, scan_parameters
from nanobragg_kokkos.util import value_rules

# Each has TEXT, which is part of phil_scope, RULES and validate.
GROUPS = (
    beam_parameters,
    amplitude_parameters,
    crystal_parameters,
    scan_parameters,
    detector_parameters,
    response_parameters,
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
oversample = 1
  .type = int
  .help = "Sub-pixels along each side of a pixel."
engine = *auto pixel reflection
  .type = choice
  .help = "How the Bragg spots are computed: pixel by pixel, for every crystal.shape, or reflection by reflection, for"
          "gauss, gauss_argchk and tophat, and with a tolerance for square and round. auto: whichever has less to do."
          "The photons are the same, to the tolerance."
tolerance = None
  .type = float
  .help = "What the reflection-driven engine may leave out of any pixel, 1e-15 to 0.1, as a share of the brightest"
          "pixel of the spots: an upper bound. None: 3e-13, and not for square and round. The pixel-driven engine"
          "leaves out nothing."
noise = True
  .type = bool
  .help = "Draw the photons of every pixel from the Poisson distribution. False: expected photons, rounded, and no"
          "other random numbers either, but for noise that a parameter of detector_response asks for."
attenuation = True
  .type = bool
  .help = "Count what the detector's sensor absorbs, at the depth where it does. False: every photon counts, at the"
          "surface."
beam
  .help = "The beam comes from +z and is polarized along x."
{
  mean_energy = None
    .type = float
    .help = "Mean photon energy, eV. None: 9500, or with spectrum.shape=file the mean of its spectra, which stay where"
            "they are. Anomalous scattering and absorption are looked up for it."
  total_flux = 1e11
    .type = float
    .help = "Photons of a pulse, all energies together."
  size_mm = 0.01
    .type = float
    .help = "Side of the beam's square cross-section, mm."
}
"""
    + beam_parameters.TEXT
    + """
crystal {
"""
    + amplitude_parameters.TEXT
    + crystal_parameters.TEXT
    + "}"
    + scan_parameters.TEXT
    + """
background
  .help = "What scatters besides the crystal, over the whole cross-section of the beam. 0: not there."
{
  water_mm = 0.01
    .type = float
    .help = "Thickness of water around the crystal, mm."
  air_mm = 5
    .type = float
    .help = "Path of the beam through air, mm."
}
"""
    + detector_parameters.TEXT
    + response_parameters.TEXT
    + output_parameters.TEXT
)

# photons/mm^2; a billion times what any source has, and the numbers computed from it stay finite.
MOST_FLUENCE = 1e30

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

    fluence = params.beam.total_flux / params.beam.size_mm / params.beam.size_mm
    if not fluence <= MOST_FLUENCE:
        raise Sorry(
            f"beam.total_flux={params.beam.total_flux:g}: expected at most {MOST_FLUENCE:g} photons/mm^2, but with "
            f"beam.size_mm={params.beam.size_mm:g} it is more"
        )
    if params.engine == "reflection" and params.crystal.shape in ("square", "round") and params.tolerance is None:
        raise Sorry(
            f"engine=reflection: expected auto or pixel with crystal.shape={params.crystal.shape}, which has no end, "
            "or a tolerance, 1e-4 for example"
        )
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
    "oversample": value_rules.whole(1),
    "engine": value_rules.given("auto, pixel or reflection"),
    "tolerance": value_rules.or_none(
        (lambda value: value_rules.finite(value) and 1e-15 <= value <= 0.1, "None or 1e-15 to 0.1")
    ),
    "noise": value_rules.given("True or False"),
    "attenuation": value_rules.given("True or False"),
    "beam.total_flux": value_rules.from_0("photons"),
    "beam.size_mm": value_rules.above_0("mm"),
    "background.water_mm": value_rules.from_0("mm"),
    "background.air_mm": value_rules.from_0("mm"),
    **{name: rule for group in GROUPS for name, rule in group.RULES.items()},
}
