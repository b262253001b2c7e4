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


def supported_by_exascale(case: dict, arrays: dict) -> bool:
    """Whether the class exascale_api can do it: it has neither default_F nor interpolation, nor a point spread."""
    properties = dict(case["properties"])
    others = properties.get("default_F") or properties.get("F000") or properties.get("interpolate")
    return not others and "psf" not in case["operations"] and ("hkl" in arrays or case["operations"] == ["background"])


def images_through_exascale(case: dict, arrays: dict, detector) -> np.ndarray:
    """The image of each panel, all of them from one nanoBragg object."""
    simulation = _experiment(case, arrays, detector, panel=0)
    image = simtbx.gpu_detector(detector=detector, beam=BeamFactory.from_dict(case["beam"]))
    exascale = simtbx.exascale_api(nanoBragg=simulation)
    exascale.allocate()
    image.each_image_allocate()
    for operation in case["operations"]:
        if operation == "spots":
            amplitudes = simtbx.gpu_energy_channels()
            amplitudes.structure_factors_to_GPU_direct(0, *_structure_factors(arrays))
            exascale.add_energy_channel_from_gpu_amplitudes(0, amplitudes, image)
        elif operation == "background":
            exascale.add_background(image)
    image.scale_in_place(1.0)
    return image.get_raw_pixels().as_numpy_array()


def _polarization_varies(case: dict) -> bool:
    properties = dict(case["properties"])
    if properties.get("nopolar") or "psf" in case["operations"] or "background" in case["operations"]:
        return False
    return properties.get("oversample", 1) > 1 or len(case["sources"] or []) > 1


def _experiment(case: dict, arrays: dict, detector, panel: int) -> simtbx.nanoBragg:
    beam = BeamFactory.from_dict(case["beam"])
    simulation = simtbx.nanoBragg(detector, beam, panel_id=panel)
    simulation.interpolate = 0
    if case["sources"]:
        simulation.xray_beams = _beams(case, beam)
    if "default_F" in dict(case["properties"]) or "hkl" in arrays:
        simulation.Fhkl_tuple = _structure_factors(arrays)
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
    return simulation


def _image(case: dict, arrays: dict, detector, panel: int) -> np.ndarray:
    simulation = _experiment(case, arrays, detector, panel)
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


def _structure_factors(arrays: dict) -> tuple[flex.miller_index, flex.double]:
    hkl = arrays.get("hkl", np.zeros((0, 3), int))
    indices = flex.miller_index([tuple(int(i) for i in row) for row in hkl])
    return indices, flex.double((arrays.get("amplitude_times_10", np.zeros(0)) / 10.0).astype(float))
