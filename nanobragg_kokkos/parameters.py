"""The parameters of nanobragg_kokkos.simulate: what they are called, what they mean, and which values make sense."""

from __future__ import annotations

import difflib
import os
from typing import Any

import iotbx.phil
import libtbx.phil
from libtbx.utils import Sorry

from nanobragg_kokkos import output_parameters, response_parameters, rules
from nanobragg_kokkos.response_parameters import MOST_RADIUS

phil_scope = iotbx.phil.parse(
    """
n_images = 10
  .type = int
  .help = "Number of images: stills, each of a crystal in a random orientation."
seed = 1
  .type = int
  .help = "Of all random numbers, 0 or more. An image depends on the seed and its own number only,"
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
  mean_energy = 9500
    .type = float
    .help = "Mean photon energy, eV."
  total_flux = 1e11
    .type = float
    .help = "Photons of a pulse, all energies together."
  size_mm = 0.01
    .type = float
    .help = "Side of the beam's square cross-section, mm."
}
spectrum
  .help = "A Gaussian spectrum around beam.mean_energy, the same for all images."
{
  nchannels = 100
    .type = int
    .help = "Number of energies. 1: a monochromatic beam."
  channel_width = 1
    .type = float
    .help = "From one energy to the next, eV."
  fwhm = 40
    .type = float
    .help = "Full width at half maximum of the Gaussian, eV."
}
crystal {
  pdb
    .help = "The model that structure factors are calculated from."
  {
    file = None
      .type = path
      .help = "Coordinates, PDB format, compressed (.gz) or not. None: rubredoxin, PDB entry 1BRF, which comes with"
              "cctbx."
  }
  unit_cell = None
    .type = unit_cell
    .help = "a, b, c (angstrom), alpha, beta, gamma (degrees). None: that of the PDB file."
  space_group = None
    .type = space_group
    .help = "Symbol or number. None: that of the PDB file."
  anomalous = *sasaki henke
    .type = choice
    .help = "Table of f' and f'' at the mean energy. None: no anomalous scattering."
  k_sol = 0.35
    .type = float
    .help = "Density of the bulk solvent, electrons/angstrom^3. 0: no solvent."
  b_sol = 46
    .type = float
    .help = "Smearing of the bulk solvent (its B factor), angstrom^2."
  length_um = 3
    .type = float
    .help = "Edge of the crystal, a cube, in micrometres. Spots are as strong as what the beam covers of it."
  Deff_A = 2000
    .type = float
    .help = "Edge of a mosaic domain, angstrom: decides how many unit cells diffract together, hence the size of"
            "the spots."
  shape = square round gauss *gauss_argchk tophat
    .type = choice
    .help = "Shape of a mosaic domain, hence profile of the spots. gauss_argchk: gauss without its far tails."
  mosaic_domains = 25
    .type = int
    .help = "Number of domains with an orientation of their own."
  mosaic_spread_deg = 0.05
    .type = float
    .help = "Standard deviation of the domains' orientations, degrees."
}
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
detector {
  reference = None
    .type = path
    .help = "A dxtbx model file (.expt) or an image: simulate its detector, with its beam centre. None: a Rayonix"
            "MX340, 3840 x 3840 pixels of 0.088 mm, the beam in its middle."
  distance_mm = None
    .type = float
    .help = "From the sample to the Rayonix, mm. None: 141.7. For another detector, see offset_mm."
  offset_mm = 0
    .type = float
    .help = "Added to the distance from the sample, along the beam, mm."
  layers = None
    .type = int
    .help = "Layers of the sensor in which photons are absorbed, with attenuation=True. None: one for the Rayonix,"
            "else as many as make each at most half a pixel thick."
}
psf
  .help = "The detector's point-spread function: light from a pixel that a photon hits reaches those around it."
{
  shape = *none gauss fiber
    .type = choice
    .help = "none: it stays in its pixel. gauss: a Gaussian. fiber: that of a taper of glass fibres, with long tails."
  fwhm_mm = None
    .type = float
    .help = "Full width at half maximum, mm. None: that of the preset; for the Rayonix 0.08, else there is none."
  radius_pixels = None
    .type = int
    .help = "Follow the shape so far, 1 to 500 pixels; beyond, light goes evenly over the panel. None: 10, or twice the"
            "width if that is more."
}
detector_response
  .help = "From photons to counts, in this order: flicker, Poisson noise, calibration_noise, psf, quantum_gain,"
          "readout_noise, adc_offset. None: what the preset says. 0 leaves a noise or the offset out."
{
  preset = *auto none rayonix jungfrau pilatus eiger
    .type = choice
    .help = "The kind of detector. auto: rayonix without detector.reference, else none. none: photons are counted, and"
            "nothing else happens to them."
  flicker = None
    .type = float
    .help = "Relative standard deviation of the beam's intensity from image to image, 0 to 1."
  calibration_noise = None
    .type = float
    .help = "Relative standard deviation of the pixels' sensitivity, 0 to 1, the same in all images."
  calibration_seed = None
    .type = int
    .help = "Of the pixels' sensitivity: which detector of its kind. None: 0."
  quantum_gain = None
    .type = float
    .help = "Counts (analog-digital units, ADU) of a photon."
  readout_noise = None
    .type = float
    .help = "Standard deviation of what is read out of a pixel, ADU."
  adc_offset = None
    .type = float
    .help = "Counts without any photon, ADU."
  saturation = None
    .type = int
    .help = "Highest count that is trusted; what is brighter reads one more. None: the highest that the detector's"
            "trusted range, the preset and data_type allow."
  data_type = *auto int32 uint16
    .type = choice
    .help = "Of the images' pixels. auto: that of the preset, if it can hold the saturation."
}
"""
    + output_parameters.TEXT
)

USAGE = """Simulates X-ray diffraction stills of a protein crystal.

Usage: nanobragg_kokkos.simulate [FILE.phil] [name=value] ...
       mpirun -n 4 nanobragg_kokkos.simulate ...       shares the images among 4 processes

  -h, --help          shows this text
  -c, --show-config   shows the parameters as they would be used, and stops
  -n, --dry-run       says what would be done, and how long it would take, and stops

Examples:
  nanobragg_kokkos.simulate
  nanobragg_kokkos.simulate n_images=100 crystal.pdb.file=model.pdb beam.mean_energy=7120 output.directory=iron_edge
  nanobragg_kokkos.simulate detector.reference=geometry.expt detector.offset_mm=50

Parameters, with what they are if nothing is said:
"""

# photons/mm^2; a billion times what any source has, and the numbers computed from it stay finite.
MOST_FLUENCE = 1e30

# Far above what fits a count; nothing overflows below.
MOST_ADU = 1e9

_A_KIND_OF = {
    "int": "a whole number",
    "float": "a number",
    "bool": "True or False",
    "unit_cell": "a unit cell: six numbers, a, b, c in angstrom, alpha, beta, gamma in degrees",
    "space_group": "the symbol or the number of a space group",
    "path": "the name of a file",
    "str": "text",
}


def help_text() -> str:
    """How to call the command, and every parameter."""
    return USAGE + "\n" + phil_scope.as_str(prefix="  ", attributes_level=1)


def parse(arguments: list[str], scope: libtbx.phil.scope = phil_scope) -> libtbx.phil.scope:
    """The effective parameters: the defaults of a scope, changed by phil files and by name=value, the later ones first.

    Parts of a name will do where they say enough: mean_energy=9000.

    Raises:
        Sorry: an argument is neither, or a name or a value is wrong.
    """
    interpreter = scope.command_line_argument_interpreter(home_scope="")
    working = scope
    for argument in arguments:
        if os.path.isfile(argument):
            working = _with_file(working, argument)
        elif "=" in argument and not argument.startswith("-"):
            working = _with_assignment(working, argument, interpreter)
        elif argument.startswith("-"):
            raise Sorry(f"{argument}: expected --help, --show-config, name=value, --dry-run or a file of parameters")
        else:
            raise Sorry(f"{argument}: expected name=value or a file of parameters, but there is no such file")
    for locator in working.all_definitions():
        _check_type(locator)
    return working


def validate(params: libtbx.phil.scope_extract) -> None:
    """Refuses values that make no sense, whatever is in the files that they name.

    Raises:
        Sorry: with the name of the parameter and what was expected.
    """
    for name, (makes_sense, expected) in _RULES.items():
        value = _value(params, name)
        if not makes_sense(value):
            raise Sorry(f"{name}={value}: expected {expected}")

    spectrum, crystal, detector = params.spectrum, params.crystal, params.detector
    lowest = params.beam.mean_energy - 0.5 * (spectrum.nchannels - 1) * spectrum.channel_width
    if lowest <= 0:
        raise Sorry(
            f"spectrum.nchannels={spectrum.nchannels}: expected a spectrum above 0 eV, but with "
            f"spectrum.channel_width={spectrum.channel_width:g} it begins at {lowest:g} eV"
        )
    fluence = params.beam.total_flux / params.beam.size_mm / params.beam.size_mm
    if not fluence <= MOST_FLUENCE:
        raise Sorry(
            f"beam.total_flux={params.beam.total_flux:g}: expected at most {MOST_FLUENCE:g} photons/mm^2, but with "
            f"beam.size_mm={params.beam.size_mm:g} it is more"
        )
    if params.engine == "reflection" and crystal.shape in ("square", "round") and params.tolerance is None:
        raise Sorry(
            f"engine=reflection: expected auto or pixel with crystal.shape={crystal.shape}, which has no end, "
            "or a tolerance, 1e-4 for example"
        )
    if crystal.Deff_A > 1e4 * crystal.length_um:
        raise Sorry(
            f"crystal.Deff_A={crystal.Deff_A:g}: expected mosaic domains no larger than the crystal, "
            f"which with crystal.length_um={crystal.length_um:g} is {1e4 * crystal.length_um:g} angstrom"
        )
    if detector.distance_mm is not None and detector.reference is not None:
        raise Sorry(
            f"detector.distance_mm={detector.distance_mm:g}: expected None with detector.reference, which has a "
            "distance of its own; use detector.offset_mm"
        )
    response_parameters.validate(params)
    output_parameters.validate(params)


def _with_file(working: libtbx.phil.scope, path: str) -> libtbx.phil.scope:
    try:
        source = iotbx.phil.parse(file_name=path)
        changed, unused = working.fetch(source=source, track_unused_definitions=True)
    except (RuntimeError, UnicodeDecodeError, OSError, Sorry) as error:
        raise Sorry(f"{path}: expected a file of parameters, but reading it failed ({_one_line(error)})") from error
    if unused:
        raise _unknown(working, unused[0].path, f" ({path}, line {unused[0].object.words[0].line_number})")
    return changed


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


def _one_line(error: Exception) -> str:
    return "".join(c if c.isprintable() else "?" for c in " ".join(str(error).split()))


def _value(params: libtbx.phil.scope_extract, name: str) -> Any:
    for part in name.split("."):
        params = getattr(params, part)
    return params


# What each value has to be for itself; files and choices are left to who reads them.
_RULES = {
    "n_images": rules.whole(1),
    "seed": rules.whole(0),
    "oversample": rules.whole(1),
    "engine": rules.given("auto, pixel or reflection"),
    "tolerance": rules.or_none((lambda value: rules.finite(value) and 1e-15 <= value <= 0.1, "None or 1e-15 to 0.1")),
    "noise": rules.given("True or False"),
    "attenuation": rules.given("True or False"),
    # Outside, there are no tables of what sensors absorb.
    "beam.mean_energy": (lambda value: rules.finite(value) and 1e3 <= value <= 1e5, "1000 to 100000 eV"),
    "beam.total_flux": rules.from_0("photons"),
    "beam.size_mm": rules.above_0("mm"),
    "spectrum.nchannels": rules.whole(1),
    "spectrum.channel_width": rules.above_0("eV"),
    "spectrum.fwhm": rules.above_0("eV"),
    "crystal.k_sol": rules.from_0("electrons/angstrom^3"),
    "crystal.b_sol": rules.from_0("angstrom^2"),
    "crystal.length_um": rules.above_0("micrometres"),
    "crystal.Deff_A": rules.above_0("angstrom"),
    "crystal.shape": rules.given("square, round, gauss, gauss_argchk or tophat"),
    "crystal.mosaic_domains": rules.whole(1),
    "crystal.mosaic_spread_deg": (lambda value: rules.finite(value) and 0 <= value <= 180, "0 to 180 degrees"),
    "background.water_mm": rules.from_0("mm"),
    "background.air_mm": rules.from_0("mm"),
    "detector.distance_mm": rules.or_none(rules.above_0("mm")),
    "detector.offset_mm": (rules.finite, "a number of mm"),
    "detector.layers": rules.or_none(rules.whole(1)),
    "psf.fwhm_mm": rules.or_preset(rules.above_0("mm")),
    "psf.radius_pixels": rules.or_preset(
        (lambda value: isinstance(value, int) and 1 <= value <= MOST_RADIUS, f"1 to {MOST_RADIUS} pixels")
    ),
    "detector_response.flicker": rules.or_preset(rules.between(0, 1, "")),
    "detector_response.calibration_noise": rules.or_preset(rules.between(0, 1, "")),
    "detector_response.calibration_seed": rules.or_preset(rules.whole(0)),
    "detector_response.quantum_gain": rules.or_preset(
        (lambda value: rules.finite(value) and 0 < value <= MOST_ADU, f"more than 0, at most {MOST_ADU:g} ADU a photon")
    ),
    "detector_response.readout_noise": rules.or_preset(rules.between(0, MOST_ADU, " ADU")),
    "detector_response.adc_offset": rules.or_preset(rules.between(0, MOST_ADU, " ADU")),
    "detector_response.saturation": rules.or_preset(
        (lambda value: isinstance(value, int) and 1 <= value <= 2**31 - 2, "a whole number, 1 to 2147483646")
    ),
    **output_parameters.RULES,
}
