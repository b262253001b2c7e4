"""The sensor of a detector: its material, and absorption of photons in layers."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

from cctbx.eltbx import attenuation_coefficient, tiny_pse
from dxtbx.model import Detector, Panel, ParallaxCorrectedPxMmStrategy, SimplePxMmStrategy
from libtbx.utils import Sorry

from nanobragg_kokkos.util.argument_checks import finite, whole

# What dxtbx 3.11 can look up when it reads sensor_material.
SENSOR_MATERIALS = {"Si": "Si", "Silicon": "Si", "CdTe": "CdTe", "GaAs": "GaAs"}

# A Rayonix screen is a powder of Gd2O2S:Tb. Neither number is published; anything like them stops every photon of
# less than 15 keV, and only that matters here.
PHOSPHOR_THICKNESS_MM = 0.04
PHOSPHOR_DENSITY_GCM3 = 3.7
PHOSPHOR_MASS_FRACTIONS = {"Gd": 0.831, "S": 0.085, "O": 0.084}

# Scintillators: elements with their numbers, and density in g/cm³. Screens of Gd2O2S are powders, as that of a Rayonix.
COMPOUNDS = {
    "Gd2O2S": ({"Gd": 2, "O": 2, "S": 1}, PHOSPHOR_DENSITY_GCM3),
    "CsI": ({"Cs": 1, "I": 1}, 4.51),
    "Y3Al5O12": ({"Y": 3, "Al": 5, "O": 12}, 4.56),
    "Lu3Al5O12": ({"Lu": 3, "Al": 5, "O": 12}, 6.73),
}
SYNONYMS = {"GOS": "Gd2O2S", "GADOX": "Gd2O2S", "P43": "Gd2O2S", "YAG": "Y3Al5O12", "LUAG": "Lu3Al5O12"}

# NXmx files must name some thickness; those of detectors without a known sensor have one near 0.
THINNEST_SENSOR_MM = 1e-3


@dataclass(frozen=True)
class SensorLayers:
    """A sensor with depth: photons are absorbed in layers, which blurs oblique rays (parallax).

    Args:
        thickness_mm: thickness of the sensor.
        attenuation_length_mm: after which 1/e of the photons are left.
        layers: number of equal layers.
        placement: where in its layer a photon is put: 0 the front face (as nanoBragg does), 0.5 the middle, which
            follows parallax with few layers, 1 the back.

    Raises:
        ValueError: a length that is not positive and finite, less than one layer, a placement outside 0…1.
    """

    thickness_mm: float
    attenuation_length_mm: float
    layers: int = 1
    placement: float = 0.0

    def __post_init__(self) -> None:
        finite("thickness_mm of the sensor", self.thickness_mm, above=0)
        finite("attenuation_length_mm of the sensor", self.attenuation_length_mm, above=0)
        whole("layers of the sensor", self.layers)
        if not 0 <= finite("placement in the sensor's layers", self.placement) <= 1:
            raise ValueError(f"placement in the sensor's layers must lie between 0 and 1, not {self.placement}")


def sensor_layers(detector: Detector, wavelength: float, layers: int | None = None) -> SensorLayers | None:
    """Returns the layers in which a sensor absorbs X-rays of a wavelength (angstrom); None: the detector names none.

    Args:
        layers: into how many the sensor is cut. Default: as many as make each at most half a pixel thick, so that
            parallax is followed; one for a screen of a scintillator, which counts at the surface.

    Raises:
        Sorry: the panels have different sensors.
    """
    sensors = {(panel.get_thickness(), _material(panel), panel.get_mu()) for panel in detector}
    if len(sensors) > 1:
        raise Sorry(
            "attenuation=True: expected a detector with one kind of sensor, but the panels of detector.reference differ"
        )
    thickness, material, mu = sensors.pop()
    found = attenuation(material, wavelength)
    mu = mu if found is None else found
    if thickness < THINNEST_SENSOR_MM or mu <= 0:
        return None
    if _compound(material) is not None:
        return _screen(thickness, 1.0 / mu, layers)
    if layers is None:
        layers = math.ceil(2 * thickness / min(detector[0].get_pixel_size()))
    return SensorLayers(thickness, 1.0 / mu, layers, placement=0.5)


def attenuation(material: str, wavelength: float) -> float | None:
    """Returns the attenuation coefficient of a sensor's material (1/mm) at a wavelength (angstrom); None: not known."""
    compound = _compound(material)
    if compound is not None:
        numbers, density = COMPOUNDS[compound]
        masses = {element: n * tiny_pse.table(element).weight() for element, n in numbers.items()}
        total = sum(masses.values())
        return _attenuation({element: mass / total for element, mass in masses.items()}, density, wavelength)
    if material in SENSOR_MATERIALS or material in attenuation_coefficient.nist_elements().symbol_list():
        return attenuation_coefficient.get_table(material).mu_at_angstrom(wavelength) / 10.0
    return None


def without_sensor(detector: Detector, wavelength: float) -> str:
    """Returns the reason, in words, why sensor_layers finds no sensor."""
    panel = detector[0]
    material, thickness = _material(panel), panel.get_thickness()
    if not material and thickness < THINNEST_SENSOR_MM:
        return "has no sensor material and thickness"
    if not material:
        return f"has a sensor of {thickness:g} mm without a material"
    if thickness < THINNEST_SENSOR_MM:
        return f"has a sensor of {material}, but no thickness of it"
    return f"has a sensor of {thickness:g} mm of {material}, of which no attenuation coefficient is known"


def with_sensor(detector: Detector, sensor: SensorLayers | None) -> Detector:
    """Returns the detector with panels that describe the simulated sensor and the depth at which it counts photons.

    With a sensor that has depth, the panels get its thickness and attenuation coefficient, and dxtbx's parallax
    correction for these; else, whatever they said of a sensor is taken from them, apart from a material that files
    cannot name.
    """
    detector = copy.deepcopy(detector)
    deep = None if sensor is None or (sensor.layers == 1 and sensor.placement == 0) else sensor
    for panel in detector:
        panel.set_material(_material(panel))
        if deep is None:
            if not is_foreign(panel.get_material()):
                panel.set_thickness(0.0)
                panel.set_mu(0.0)
            panel.set_px_mm_strategy(SimplePxMmStrategy())
        else:
            panel.set_thickness(deep.thickness_mm)
            panel.set_mu(1.0 / deep.attenuation_length_mm)
            panel.set_px_mm_strategy(ParallaxCorrectedPxMmStrategy(panel.get_mu(), panel.get_thickness()))
    return detector


def phosphor(wavelength: float, layers: int | None = None) -> SensorLayers:
    """Returns the screen of a Rayonix detector at a wavelength (angstrom), by default in one layer.

    One layer counts at the surface: so does dxtbx for these detectors, and a screen's depth is a fraction of a pixel.
    """
    mu = sum(
        fraction * attenuation_coefficient.get_table(element).mu_rho_at_angstrom(wavelength)
        for element, fraction in PHOSPHOR_MASS_FRACTIONS.items()
    )
    return _screen(PHOSPHOR_THICKNESS_MM, 10.0 / (mu * PHOSPHOR_DENSITY_GCM3), layers)


def is_foreign(material: str) -> bool:
    """Returns whether dxtbx does not know the sensor's material, so that it cannot use the name in NXmx files."""
    return bool(material) and material not in SENSOR_MATERIALS


def _screen(thickness_mm: float, attenuation_length_mm: float, layers: int | None) -> SensorLayers:
    layers = layers or 1
    return SensorLayers(thickness_mm, attenuation_length_mm, layers, 0.5 if layers > 1 else 0.0)


def _attenuation(mass_fractions: dict[str, float], density: float, wavelength: float) -> float:
    """Returns the attenuation coefficient (1/mm) of a mixture of elements; density in g/cm³."""
    mu_rho = sum(
        fraction * attenuation_coefficient.get_table(element).mu_rho_at_angstrom(wavelength)
        for element, fraction in mass_fractions.items()
    )
    return mu_rho * density / 10.0


def _compound(material: str) -> str | None:
    """Returns the name in COMPOUNDS, of which some files have another."""
    name = SYNONYMS.get(material.upper(), material)
    return name if name in COMPOUNDS else None


def _material(panel: Panel) -> str:
    """Returns the symbol of the sensor's material, which some files spell out."""
    return SENSOR_MATERIALS.get(panel.get_material(), panel.get_material())
