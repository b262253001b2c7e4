"""Compares derivatives with golden cases: libtbx.python tests/gradients.py DIR [--engine auto|pixel|reflection].

DIR holds NAME.json and NAME.npz: golden cases as tests/golden.py reads them, with derivatives of the expected photons by
named parameters (gradient_NAME).  Prints a line a case and parameter and exits with 1 if any differs by more than TOLERANCE
of the largest of its array.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import golden
import numpy as np

from nanobragg_kokkos import Crystal, Simulation
from nanobragg_kokkos.imaging.image_derivatives import ImageDerivatives
from nanobragg_kokkos.models.beam import beam_tangents
from nanobragg_kokkos.models.detector import panel_tangents
from nanobragg_kokkos.models.sample.crystal_tangents import CELL_PARAMETERS, CrystalTangents
from nanobragg_kokkos.models.tangent import Tangent

TOLERANCE = 1e-9  # of the largest derivative of a parameter
AXES = dict(zip("xyz", np.eye(3)))


def crystal_of(case: dict, properties: dict) -> Crystal:
    plain = golden.crystal_of(case, properties)
    return Crystal(
        plain.model,
        n_cells=properties["Ncells_abc"],
        shape=plain.shape,
        mosaic_blocks=plain.mosaic_blocks,
        volume_mm3=properties.get("crystal_volume_mm3"),
        rotation=plain.rotation,
        interpolation=plain.interpolation,
    )


def tangent_of(name: str, case: dict, simulation: Simulation, crystal: Crystal | None) -> Tangent | None:
    """Returns the tangent of a parameter by the name that the cases have for it; None for one that is not there yet."""
    stem, _, last = name.rpartition("_")
    detector, sources = simulation.detector, simulation.sources
    mosaic = case.get("mosaic") or {}
    of_crystal = CrystalTangents(crystal, mosaic.get("frame") == "crystal") if crystal else None
    if stem == "rotation":
        return of_crystal.rotation(AXES[last])
    if stem == "cell":
        return of_crystal.cell(last)
    if stem == "constrained_cell":
        return sum_of(of_crystal.cell(CELL_PARAMETERS[i]) for i in case["constrained_cell"][last])
    if stem == "n_cells":
        return of_crystal.n_cells("abc".index(last))
    if stem == "beam_rotation":
        return beam_tangents.rotation(AXES[last])
    if stem == "weight":
        return beam_tangents.weight(sources, int(last))
    if name.startswith("mosaic_spread"):
        axes = range(3) if name == "mosaic_spread" else [int(last) - 1]
        return sum_of(of_crystal.mosaic_spread(mosaic["unit_vectors"], mosaic["spread_deg"], axis) for axis in axes)
    if name.startswith(("panel_", "group_")):
        group = case["panel_group"] if name.startswith("group_") else None
        panels = group["panels"] if group else [int(name.split("_")[1])]
        if stem.endswith("origin"):
            return panel_tangents.translation(detector, panels, AXES[last])
        pivot = group["pivot_mm"] if group else panel_tangents.centre(detector, panels[0])
        return panel_tangents.rotation(detector, panels, AXES[last], pivot)
    if name == "background_thickness":
        return Tangent(log_background=1 / case["properties"]["amorphous_sample_thick_mm"])
    others = {
        "scale": lambda: of_crystal.scale(),
        "volume": lambda: of_crystal.volume(),
        "fluence": lambda: 1e-6 * beam_tangents.fluence(simulation.fluence),  # photons/m²
        "wavelength_shift": beam_tangents.wavelength_shift,
        "wavelength_scale": beam_tangents.wavelength_scale,
        "polarization_fraction": beam_tangents.polarization_fraction,
        "background_scale": lambda: Tangent(log_background=1.0),
    }
    return others[name]() if name in others else None


def sum_of(tangents) -> Tangent:
    total = Tangent()
    for tangent in tangents:
        total = total + tangent
    return total


def deviations(path: Path, engine: str) -> Iterator[tuple[str, float | None]]:
    """Yields for each parameter of a case the largest difference relative to the largest derivative; None if not supported."""
    case = json.loads(path.read_text())
    case["properties"] = properties = dict(case["properties"])
    with np.load(path.with_suffix(".npz")) as file:
        arrays = dict(file)
    simulation = golden.simulation_of(case, properties)
    spots = "spots" in case["operations"]
    crystal = crystal_of(case, properties) if spots else None
    if case.get("diffuse") or not golden.supported(case, engine):
        yield from ((name, None) for name in case["parameters"])
        return
    tangents = {name: tangent_of(name, case, simulation, crystal) for name in case["parameters"]}
    derivatives = ImageDerivatives(simulation, {name: t for name, t in tangents.items() if t is not None})
    if spots:
        derivatives.add_spots(crystal, golden.structure_factors_of(case, arrays, properties), engine)
    if "background" in case["operations"]:
        derivatives.add_background(golden.amorphous_of(case, properties))
    yield "image", _deviation(np.stack(derivatives.image), arrays["image"])
    for name, tangent in tangents.items():
        yield name, None if tangent is None else _deviation(np.stack(derivatives[name]), arrays[f"gradient_{name}"])


def _deviation(got: np.ndarray, want: np.ndarray) -> float:
    largest = np.abs(want).max()
    difference = float(np.abs(got.reshape(want.shape) - want).max())
    return difference / largest if largest > 0 else difference


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path, help="folder with NAME.json and NAME.npz")
    parser.add_argument("names", nargs="*", help="only these cases")
    parser.add_argument("--engine", choices=["auto", "pixel", "reflection"], default="auto", help="for the Bragg spots")
    options = parser.parse_args(arguments)
    failed = passed = unsupported = 0
    for path in sorted(options.directory.glob("*.json")):
        if (options.names and path.stem not in options.names) or "parameters" not in json.loads(path.read_text()):
            continue
        try:
            for name, deviation in deviations(path, options.engine):
                if deviation is None:
                    unsupported += 1
                    continue
                good = deviation <= TOLERANCE
                passed, failed = passed + good, failed + (not good)
                print(f"{path.stem:28s} {name:24s} max|difference|/max {deviation:.1e}{'' if good else '  FAILED'}")
        except Exception as error:  # one bad case is a failure, not the end
            failed += 1
            print(f"{path.stem:28s} FAILED: {type(error).__name__}: {error}")
    print(f"{passed} derivatives passed, {failed} failed, {unsupported} not supported")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
