"""Compares the engine with cases of known pixel values.

    libtbx.python tests/golden.py DIR

DIR holds NAME.json (what is simulated: dxtbx models, properties by simtbx's names) and NAME.npz (structure factors hkl
and amplitude_times_10, expected photons physical_0, physical_1, … of each panel).  Prints a line a panel and exits with
1 if any differs by more than TOLERANCE of its brightest pixel, or SPREAD_TOLERANCE where a point-spread function is all
there is. With --interface simtbx or exascale the cases run on the simtbx interface, and panel_0, panel_1, … are what
simtbx gave for them.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from cctbx import crystal, miller
from cctbx.array_family import flex
from dxtbx.model import BeamFactory, Detector
from dxtbx.model import Crystal as DxtbxCrystal
from helpers import golden_simtbx

from nanobragg_kokkos import (
    Amorphous,
    Crystal,
    PointSpread,
    Rotation,
    SensorLayers,
    Simulation,
    Sources,
    StructureFactors,
)

TOLERANCE = 1e-9  # of the brightest pixel
SPREAD_TOLERANCE = 1e-10


def detector_of(case: dict) -> Detector:
    panels = [dict(panel) for panel in case["panels"]]
    children = [{"panel": i} for i in range(len(panels))]
    return Detector.from_dict({"panels": panels, "hierarchy": {"children": children, "panels": panels}})


def sources_of(case: dict, properties: dict) -> Sources:
    beam = BeamFactory.from_dict(case["beam"])
    plain = Sources.from_beam(beam)
    sources = case["sources"] or [
        dict(direction=beam.get_sample_to_source_direction(), wavelength=beam.get_wavelength(), weight=1.0)
    ]
    fraction = plain.polarization_fraction
    if "polarization" in properties:  # the Kahn factor
        fraction = (properties["polarization"] + 1) / 2
    return Sources(
        wavelengths=[source["wavelength"] for source in sources],
        weights=[source["weight"] for source in sources],
        directions=[source["direction"] for source in sources],
        electric_vector=case["effective"]["polar_vector"],  # one for all sources, whatever their directions
        polarization_fraction=fraction,
    )


def sensor_of(properties: dict) -> SensorLayers | None:
    if not properties.get("detector_thick_mm"):
        return None
    return SensorLayers(
        thickness_mm=properties["detector_thick_mm"],
        attenuation_length_mm=properties["detector_attenuation_length_mm"],
        layers=properties.get("detector_thicksteps", 1),
    )


def mask_of(detector: Detector, properties: dict) -> list[np.ndarray] | None:
    if "region_of_interest" not in properties:
        return None
    (fast_min, fast_max), (slow_min, slow_max) = properties["region_of_interest"]
    masks = []
    for panel in detector:
        mask = np.zeros(tuple(reversed(panel.get_image_size())), bool)
        mask[slow_min : slow_max + 1, fast_min : fast_max + 1] = True
        masks.append(mask)
    return masks


def crystal_of(case: dict, properties: dict) -> Crystal:
    real = np.linalg.inv(np.array(case["A_matrix"]))
    steps = properties.get("phisteps", 1)
    return Crystal(
        DxtbxCrystal(*(row.tolist() for row in real), space_group_symbol="P 1"),
        n_cells=[int(n) for n in properties["Ncells_abc"]],
        shape=properties["xtal_shape"].lower(),
        mosaic_blocks=np.reshape(case["mosaic_blocks"], (-1, 3, 3)) if case["mosaic_blocks"] else None,
        rotation=Rotation(
            axis=properties.get("spindle_axis", (1, 0, 0)),
            start_deg=properties.get("phi_deg", 0.0),
            width_deg=properties.get("osc_deg", 0.0),
            steps=steps,
        ),
        interpolation="tricubic" if properties.get("interpolate") else "nearest",
    )


def structure_factors_of(case: dict, arrays: dict, properties: dict) -> StructureFactors:
    hkl = arrays.get("hkl", np.zeros((0, 3), int))
    indices = flex.miller_index([tuple(int(i) for i in row) for row in hkl])
    symmetry = crystal.symmetry(unit_cell=case["unit_cell"], space_group_symbol="P 1")
    # Anomalous: exactly the listed reflections, no mates.
    amplitudes = miller.array(
        miller.set(symmetry, indices, anomalous_flag=True),
        flex.double((arrays.get("amplitude_times_10", np.zeros(0)) / 10.0).astype(float)),
    )
    return StructureFactors(
        amplitudes, default_amplitude=properties.get("default_F", 0.0), F000=properties.get("F000", 0.0)
    )


def spread_photons(case: dict, method: str) -> tuple[np.ndarray, ...]:
    """What the point-spread function of a case makes of photons in a few pixels of its panel."""
    psf, detector = case["psf"], detector_of(case)
    simulation = Simulation(detector, sources_of(case, {}), fluence=0)
    (shape,) = simulation.shapes
    photons = np.zeros(shape)
    for slow, fast, n in psf["input_pixels"]:
        photons[slow, fast] += n
    simulation.add_photons([photons])
    fwhm_mm = psf["fwhm_pixels"] * detector[0].get_pixel_size()[0]
    simulation.blur(PointSpread(psf["type"].lower(), fwhm_mm, psf["radius_pixels"], added_back="beyond_radius"), method)
    return simulation.image


def simulation_of(case: dict, properties: dict) -> Simulation:
    beam_size_mm = properties.get("beamsize_mm")
    fluence = properties.get("fluence", 0.0) * 1e-6  # photons/m² → photons/mm²
    if "fluence" not in properties:
        fluence = properties["flux"] * properties["exposure_s"] / beam_size_mm**2
    detector = detector_of(case)
    return Simulation(
        detector,
        sources_of(case, properties),
        fluence=fluence,
        beam_size_mm=beam_size_mm,
        oversample=properties.get("oversample", 1),
        sensor=sensor_of(properties),
        mask=mask_of(detector, properties) if "spots" in case["operations"] else None,  # as in the reference
        point_pixel=bool(properties.get("point_pixel", False)),
        polarized=not properties.get("nopolar", False),
    )


def amorphous_of(case: dict, properties: dict) -> Amorphous:
    stol, amplitude = zip(*case["Fbg_vs_stol"])
    return Amorphous(
        stol,
        amplitude,
        thickness_mm=properties["amorphous_sample_thick_mm"],
        density_gcm3=properties["amorphous_density_gcm3"],
        molecular_weight_Da=properties["amorphous_molecular_weight_Da"],
    )


def images_of(case: dict, arrays: dict, engine: str = "auto", blur: str = "auto") -> tuple[np.ndarray, ...]:
    """Expected photons of a case, one array a panel."""
    if case["operations"] == ["psf"]:
        return spread_photons(case, blur)
    properties = dict(case["properties"])
    simulation = simulation_of(case, properties)
    if "spots" in case["operations"]:
        simulation.add_spots(crystal_of(case, properties), structure_factors_of(case, arrays, properties), engine)
    if "background" in case["operations"]:
        simulation.add_background(amorphous_of(case, properties))
    return simulation.image


def supported(case: dict, engine: str = "auto") -> bool:
    return not (engine == "reflection" and dict(case["properties"]).get("xtal_shape") in ("Square", "Round"))


@dataclass
class Deviation:
    """How a panel differs from its case.

    relative: the largest difference, relative to the brightest pixel; ratio: of the sums; undefined: the number of
    pixels that are left out, as the case holds no finite value for them; and the largest difference tolerated.
    """

    relative: float
    ratio: float
    undefined: int
    tolerance: float

    @property
    def good(self) -> bool:
        return self.relative <= self.tolerance  # false for NaN


def deviations(
    path: Path, engine: str = "auto", blur: str = "auto", interface: str = "plain"
) -> list[Deviation] | None:
    """Of each panel of NAME.json; None if the case is not supported."""
    case = json.loads(path.read_text())
    with np.load(path.with_suffix(".npz")) as file:
        arrays = dict(file)
    can_be_done = {
        "plain": supported(case, engine),
        "simtbx": True,
        "exascale": golden_simtbx.supported_by_exascale(case, arrays),
    }
    if not can_be_done[interface]:
        return None
    result = []
    if interface != "plain":
        tolerance = golden_simtbx.tolerance_of(case)
        images_of_interface = {"simtbx": golden_simtbx.images_of, "exascale": golden_simtbx.images_through_exascale}
        kind, images = "panel", images_of_interface[interface](case, arrays, detector_of(case))
    else:
        tolerance = SPREAD_TOLERANCE if case["operations"] == ["psf"] else TOLERANCE
        kind, images = "physical", images_of(case, arrays, engine, blur)
    for i, got in enumerate(images):
        want = arrays[f"{kind}_{i}"]
        if got.shape != want.shape:
            raise ValueError(f"{path}: panel {i} is {got.shape}, but {kind}_{i} is {want.shape}")
        defined = np.isfinite(want)
        if not defined.any():
            raise ValueError(f"{path}: {kind}_{i} holds no number")
        want, got = want[defined], got[defined]
        brightest, total = np.abs(want).max(), want.sum()
        difference = np.abs(got - want).max()
        # A panel that must be dark has no brightest pixel: any light in it is a deviation.
        relative = difference / brightest if brightest > 0 else difference
        ratio = got.sum() / total if total else float(got.sum() == 0)
        result.append(Deviation(float(relative), float(ratio), int((~defined).sum()), tolerance))
    return result


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("directory", type=Path, help="folder with NAME.json and NAME.npz")
    parser.add_argument("names", nargs="*", help="only these cases")
    parser.add_argument("--engine", choices=["auto", "pixel", "reflection"], default="auto", help="for the Bragg spots")
    parser.add_argument(
        "--blur", choices=["auto", "direct", "fourier"], default="auto", help="for point-spread functions"
    )
    parser.add_argument(
        "--interface",
        choices=["plain", "simtbx", "exascale"],
        default="plain",
        help="of the package, or simtbx's: its class nanoBragg, or exascale_api",
    )
    options = parser.parse_args(arguments)
    paths = [p for p in sorted(options.directory.glob("*.json")) if not options.names or p.stem in options.names]
    if not paths:
        print(f"no cases in {options.directory}")
        return 1
    failed = passed = unsupported = 0
    for path in paths:
        try:
            panels = deviations(path, options.engine, options.blur, options.interface)
        except Exception as error:  # one bad case is a failure, not the end
            failed += 1
            print(f"{path.stem:28s} FAILED: {type(error).__name__}: {error}")
            continue
        if panels is None:
            unsupported += 1
            print(f"{path.stem:28s} not supported by this {'engine' if options.interface == 'plain' else 'interface'}")
            continue
        for i, panel in enumerate(panels):
            passed, failed = passed + panel.good, failed + (not panel.good)
            print(
                f"{path.stem:28s} panel {i}  max|difference|/max {panel.relative:.1e}  ratio of sums {panel.ratio:.9f}"
                f"{f'  without {panel.undefined} undefined pixels' if panel.undefined else ''}{'' if panel.good else '  FAILED'}"
            )
    print(f"{passed} panels passed, {failed} failed, {unsupported} cases not supported")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
