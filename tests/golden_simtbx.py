"""Golden cases on the simtbx interface: its properties are set as the scripts did that the values come from."""

from __future__ import annotations

import numpy as np
from cctbx.array_family import flex
from dxtbx.model import Beam, BeamFactory
from dxtbx_model_ext import flex_Beam

from nanobragg_kokkos import simtbx

TOLERANCE = 1e-9  # of the brightest pixel
# simtbx multiplies a pixel's photons by the polarization factor of its last sub-pixel and source, not each by its own.
POLARIZATION_TOLERANCE = 2e-3


def tolerance_of(case: dict) -> float:
    return POLARIZATION_TOLERANCE if _polarization_varies(case) else TOLERANCE


def images_of(case: dict, arrays: dict, detector) -> tuple[np.ndarray, ...]:
    """The image of each panel."""
    return tuple(_image(case, arrays, detector, panel) for panel in range(len(detector)))


def _polarization_varies(case: dict) -> bool:
    properties = dict(case["properties"])
    if properties.get("nopolar") or "psf" in case["operations"] or "background" in case["operations"]:
        return False
    return properties.get("oversample", 1) > 1 or len(case["sources"] or []) > 1


def _image(case: dict, arrays: dict, detector, panel: int) -> np.ndarray:
    beam = BeamFactory.from_dict(case["beam"])
    simulation = simtbx.nanoBragg(detector, beam, panel_id=panel)
    simulation.interpolate = 0
    if case["sources"]:
        simulation.xray_beams = _beams(case, beam)
    if "default_F" in dict(case["properties"]) or "hkl" in arrays:
        _set_structure_factors(simulation, arrays)
    simulation.Amatrix_RUB = (
        np.linalg.inv(np.array(case["A_matrix"])).ravel().tolist() if case["A_matrix"] else _IDENTITY
    )
    for name, value in case["properties"]:
        setattr(simulation, name, getattr(simtbx, value) if isinstance(value, str) else value)
    if case["mosaic_blocks"]:
        simulation.mosaic_spread_deg = case["mosaic_spread_deg"]
        simulation.set_mosaic_blocks(flex.mat3_double([tuple(block) for block in case["mosaic_blocks"]]))
    if case["Fbg_vs_stol"]:
        simulation.Fbg_vs_stol = flex.vec2_double([tuple(point) for point in case["Fbg_vs_stol"]])
    for operation in case["operations"]:
        if operation == "spots":
            simulation.add_nanoBragg_spots()
        elif operation == "background":
            simulation.add_background()
        elif operation == "psf":
            psf, pixels = case["psf"], simulation.raw_pixels
            for slow, fast, photons in psf["input_pixels"]:
                pixels[slow, fast] = photons
            simulation.apply_psf(getattr(simtbx, psf["type"]), psf["fwhm_pixels"], psf["radius_pixels"])
    return simulation.raw_pixels.as_numpy_array()


_IDENTITY = np.eye(3).ravel().tolist()


def _beams(case: dict, beam) -> flex_Beam:
    """Fluxes are the weights; wavelengths in metres, as the property takes them."""
    result = flex_Beam()
    for source in case["sources"]:
        one = Beam(source["direction"], source["wavelength"] * 1e-10)
        one.set_flux(source["weight"])
        one.set_polarization_fraction(beam.get_polarization_fraction())
        one.set_polarization_normal(beam.get_polarization_normal())
        result.append(one)
    return result


def _set_structure_factors(simulation: simtbx.nanoBragg, arrays: dict) -> None:
    hkl = arrays.get("hkl", np.zeros((0, 3), int))
    indices = flex.miller_index([tuple(int(i) for i in row) for row in hkl])
    amplitudes = flex.double((arrays.get("amplitude_times_10", np.zeros(0)) / 10.0).astype(float))
    simulation.Fhkl_tuple = (indices, amplitudes)
