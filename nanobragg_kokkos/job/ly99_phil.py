"""Translates parameter files of ExaFEL's LY99 simulations (trial.phil) to parameters of this module.

Names, defaults and meanings come from the public repository ExaFEL/exafel_project: from kpp_utils/phil.py those of the
parameters; from LY99_batch.py, ferredoxin.py and multipanel.py (the same folder) the values that the program fixes or
takes from the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos.util.phil import Translation

# A file with any of these parameters is LY99's.
_SIGNATURE = {
    "absorption", "context", "crystal.structure", "detector.tiles", "logger.outdir", "output.format",
    "output.ground_truth", "output.h5.dtype", "psf",
}  # fmt: skip

# LY99's names of parameters of this module; "mean_wavelength", in eV, is an early name.
_RENAMED = {
    "beam.mean_wavelength": "beam.mean_energy",
    "crystal.symmetrize_Flatt": "crystal.symmetrize",
    "logger.outdir": "output.directory",
    "output.ground_truth": "output.true_amplitudes",
    "output.h5.dtype": "detector_response.data_type",
    "symmetrize_Flatt": "crystal.symmetrize",
}

# Parameters without effect: the value that describes what this module does anyway, and the reason.
_WITHOUT_EFFECT = {
    "context": (None, "Kokkos runs on the devices that it was built for, see nanobragg_kokkos.info"),
    "output.format": ("h5", "images are written as NeXus/NXmx (HDF5)"),
    "output.h5.typecast": ("False", "counts are rounded to the nearest whole number"),
    "res_limit": (None, "reflections are calculated to the detector's corners"),
}

_ELSEWHERE = {
    "absorption", "crystal.pdb.code", "crystal.pdb.coefficients", "crystal.pdb.file", "crystal.pdb.label",
    "crystal.pdb.source", "crystal.structure", "detector.tiles", "psf",
}  # fmt: skip

_ENVIRONMENT = {"N_SIM": "n_images", "MOS_DOM": "crystal.mosaic_domains"}

# Values that LY99 fixes, or uses if a file does not give them.
_FIXED = {
    "beam.total_flux": "1e12",
    "beam.size_mm": "0.003",
    "crystal.length_um": "4",
    "crystal.k_sol": "0.435",
    "crystal.mosaic_spread_deg": "0.05",
    "background.water_mm": "0.1",
    "background.air_mm": "10",
}
_FIXED_NOISE = {
    "detector_response.calibration_noise": "0.01",
    "detector_response.readout_noise": "1",
    "detector_response.adc_offset": "10",
}
_DOMAIN_EDGE_A = 4000.0

_STRUCTURE_FILES = ("crystal.pdb.file", "crystal.structure_factors.file")
_STRUCTURES = {"ferredoxin": "ferredoxin (PDB entry 1M2A)", "PSII": "photosystem II (PDB entry 7RF1, for example)"}


def translation(
    source: libtbx.phil.scope, scope: libtbx.phil.scope, environment: Mapping[str, str] = os.environ
) -> Translation | None:
    """Translates a trial.phil; parameters that the file does not mention get LY99's values.

    Args:
        source: the file, parsed.
        scope: all parameters of this module; the file may contain them under their own names.
        environment: N_SIM and MOS_DOM are the defaults of n_images and crystal.mosaic_domains. DEVICES_PER_NODE
            applies to all jobs, see ranks.choose_device.

    Returns:
        The file in terms of the scope; None if it has no parameter that only LY99 knows.

    Raises:
        Sorry: the file or the environment has an invalid value.
    """
    if not any(_is_foreign(locator.path) for locator in source.all_definitions()):
        return None
    result = Translation()
    own = {locator.path for locator in scope.all_definitions()}
    given: dict[str, str] = {}
    for locator in source.all_definitions():
        path, text = locator.path, _text(locator.object)
        if path in own and path != "crystal.pdb.file":
            result.values[path] = text
        elif path in _RENAMED:
            result.values[_RENAMED[path]] = text
        elif path in _WITHOUT_EFFECT or path in _ELSEWHERE or path.startswith("diffuse."):
            given[path] = text
        else:
            result.unknown.append(locator)
    for path, (as_here, reason) in _WITHOUT_EFFECT.items():
        value = _value(given, path)
        if value not in (None, as_here):
            result.warnings.append(f"{path}={value} has no effect: {reason}")
    if _is_true(given, "diffuse.enable"):
        result.warnings.append("diffuse.enable=True has no effect: diffuse scattering is not simulated")
    _point_spread(given, result)
    _structure(given, result)
    _absorption(given, result)
    _detector(given, result)
    _environment(environment, result)
    _silent(result)
    return result


def _is_foreign(path: str) -> bool:
    return path in _SIGNATURE or path.startswith("diffuse.")


def _text(definition: libtbx.phil.definition) -> str:
    """Returns a value, or the chosen one of several, as text; replaces $NAME and ${NAME} by variables."""
    words = [word for word in definition.words if word.value.startswith("*")] or definition.words
    return os.path.expandvars(" ".join(str(word) for word in words)).lstrip("*")


def _value(given: Mapping[str, str], path: str) -> str | None:
    """Returns the value given for a path, without quotes; None if there is none."""
    plain = given.get(path, "None").strip("\"'")
    return None if plain in ("", "None", "Auto") else plain


def _is_true(given: Mapping[str, str], path: str) -> bool:
    text = (_value(given, path) or "False").lower()
    if text not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
        raise Sorry(f"{path}={text}: expected True or False")
    return text in ("true", "yes", "on", "1")


def _point_spread(given: dict[str, str], result: Translation) -> None:
    if _is_true({"psf": "True", **given}, "psf"):
        result.defaults.update({"psf.shape": "fiber", "psf.fwhm_mm": "0.08", "psf.radius_pixels": "10"})
    else:
        result.defaults["psf.shape"] = "none"


def _structure(given: dict[str, str], result: Translation) -> None:
    structure, code = _value(given, "crystal.structure"), _value(given, "crystal.pdb.code")
    observed = _value(given, "crystal.pdb.coefficients") == "fobs"
    if structure not in (None, "pdb", *_STRUCTURES):
        raise Sorry(f"crystal.structure={structure}: expected ferredoxin, PSII or pdb")
    if _value(given, "crystal.pdb.file") is not None:
        name = "crystal.structure_factors.file" if observed else "crystal.pdb.file"
        result.values[name] = given["crystal.pdb.file"]
        if observed and "crystal.pdb.label" in given:
            result.values["crystal.structure_factors.label"] = given["crystal.pdb.label"]
    elif structure in _STRUCTURES:
        message = (
            f"crystal.structure={structure} requires crystal.pdb.file, the coordinates of {_STRUCTURES[structure]}; "
            "this module does not include them"
        )
        result.needs.append((_STRUCTURE_FILES, message))
    elif structure == "pdb" or code is not None:
        message = f"crystal.pdb.code={code} requires crystal.pdb.file, the coordinates; nothing is downloaded"
        result.needs.append((_STRUCTURE_FILES, message))
    else:
        result.warnings.append(
            "crystal.structure is not given; this module does not include LY99's ferredoxin, and simulates rubredoxin "
            "(PDB entry 1BRF) unless crystal.pdb.file is given"
        )


def _absorption(given: dict[str, str], result: Translation) -> None:
    absorption = _value(given, "absorption") or "high_remote"
    if absorption not in ("high_remote", "spread"):
        raise Sorry(f"absorption={absorption}: expected high_remote or spread")
    if absorption == "high_remote":
        result.defaults["crystal.anomalous_channels"] = "1"


def _detector(given: dict[str, str], result: Translation) -> None:
    tiles = _value(given, "detector.tiles") or "single"
    if tiles not in ("single", "multipanel"):
        raise Sorry(f"detector.tiles={tiles}: expected single or multipanel")
    if tiles == "multipanel":
        message = "detector.tiles=multipanel requires detector.reference or another detector.name"
        result.needs.append((("detector.reference", "detector.name"), message))
    if "detector.tiles" in given and tiles == "single" and _value(result.values, "detector.reference") is not None:
        result.warnings.append(
            "detector.tiles=single has no effect: detector.reference is the detector; LY99 uses a Rayonix"
        )


def _environment(environment: Mapping[str, str], result: Translation) -> None:
    for variable, name in _ENVIRONMENT.items():
        value = environment.get(variable)
        if value is None:
            continue
        if not value.strip().isdecimal() or int(value) < 1:
            raise Sorry(f"{variable}={value} (environment): expected a whole number, 1 or more, for {name}")
        result.defaults[name] = value.strip()
        if name not in result.values:
            result.warnings.append(f"{name}={value.strip()}, from {variable} in the environment")


def _silent(result: Translation) -> None:
    """Adds LY99's values for parameters that the file does not mention."""
    noise = _is_true({"noise": "True", **result.values}, "noise")
    try:
        largest = 1e4 * float(result.values.get("crystal.length_um", _FIXED["crystal.length_um"]))
    except ValueError:  # a later check reports the length
        largest = _DOMAIN_EDGE_A
    result.defaults.update(
        {
            **_FIXED,
            **{name: value if noise else "0" for name, value in _FIXED_NOISE.items()},
            "crystal.Deff_A": f"{min(_DOMAIN_EDGE_A, largest):g}",
        }
    )
    sources = set(_ENVIRONMENT.values())
    taken = [f"{n}={v}" for n, v in result.defaults.items() if n not in result.values and n not in sources]
    if taken:
        result.warnings.append(f"LY99's values for parameters that the file does not mention: {' '.join(taken)}")
