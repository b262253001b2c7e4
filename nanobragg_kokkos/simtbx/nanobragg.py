"""simtbx's class nanoBragg on this engine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from cctbx import uctbx
from cctbx.array_family import flex
from dxtbx.model import Beam, Detector

from nanobragg_kokkos.simtbx import (
    amplitudes,
    background,
    geometry,
    mosaic,
    noise,
    output,
    sampling,
    sources,
    unit_cell,
)
from nanobragg_kokkos.simtbx.arithmetic import DEGREE, cross, unit
from nanobragg_kokkos.simtbx.engine import Engine
from nanobragg_kokkos.simtbx.enums import convention, pivot, shapetype
from nanobragg_kokkos.simtbx.properties import (
    Unit,
    boolean,
    flex_array,
    from_thousandth,
    integer,
    mapped,
    member_of,
    number,
    of_state,
    pair_of_state,
    to_thousandth,
    vector,
)
from nanobragg_kokkos.simtbx.state import State

EV_ANGSTROM = 12398.42  # simtbx's factor between energies and wavelengths

MM = Unit(to_thousandth, from_thousandth)
MRAD = MM
PERCENT = Unit(lambda value: value / 100.0, lambda value: value * 100.0)
DEGREES = Unit(lambda value: value / DEGREE, lambda value: value * DEGREE)
SIZE = [geometry.size_detector]
BEAM = [sources.balance_fluence]
SOURCES = [sampling.choose_steps, sources.make_sources]
STEPS = [sampling.choose_steps]
BLOCKS = [mosaic.make_blocks, sampling.choose_steps]
SAMPLE = [background.prepare_sample]
OVERSAMPLE = [sampling.choose_oversample]


def reconcile(s: State) -> None:
    """Makes all parts of the state consistent."""
    for step in (
        geometry.size_detector,
        sources.balance_fluence,
        geometry.place_beam,
        sampling.choose_steps,
        geometry.place_detector,
        sampling.choose_interpolation,
        unit_cell.orient,
        sampling.choose_oversample,
        background.prepare_sample,
        sources.make_sources,
        mosaic.make_blocks,
    ):
        step(s)


def _fields(**values: Any):
    """Returns a function that sets these fields of a state."""

    def set(s: State) -> None:
        for name, value in values.items():
            setattr(s, name, value)

    return set


class nanoBragg:
    """A diffraction experiment with one panel, like simtbx's class of this name.

    nanoBragg(detector, beam, verbose=0, panel_id=0) takes dxtbx models; nanoBragg(detpixels_slowfast=..., ...) takes
    any of the parameters below, which have defaults.

    Args:
        detector, beam: dxtbx models.
        panel_id: number of the panel of the detector.
        detpixels_slowfast: pixels along the slow and the fast axis.
        Ncells_abc, unit_cell_Adeg, beam_center_mm, distance_mm, pixel_size_mm, wavelength_A, oversample: see the
            properties of these names; an oversample of 0 is chosen automatically.
        misset_deg: missetting angles in radians, despite the name, as in simtbx; ignored if one of them is 0.
        divergence_mrad: horizontal and vertical divergence.
        dispersion_pct, mosaic_spread_deg: see the properties.
        verbose: any value but 0 prints messages.

    Raises:
        ValueError: an argument is invalid; names the argument.
        RuntimeError: the beam does not approach the panel from the front.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._state = State()
        self._engine = Engine()
        if "detector" in kwargs or (args and isinstance(args[0], Detector)):
            self._from_models(*args, **kwargs)
        else:
            self._from_numbers(*args, **kwargs)

    def _from_models(self, detector: Detector, beam: Beam, verbose: int = 0, panel_id: int = 0) -> None:
        s = self._state
        s.verbose = integer("verbose", verbose)
        panel = detector[integer("panel_id", panel_id)]
        s.beam_vector = unit(beam.get_unit_s0())
        s.wavelength = beam.get_wavelength() * 1e-10
        if beam.get_divergence() > 0.0:
            s.h_divergence = s.v_divergence = beam.get_divergence()
        if beam.get_flux() > 0.0:
            s.flux = beam.get_flux()
        # dxtbx's fraction serves as the Kahn factor, as in simtbx.
        if -1.0 <= beam.get_polarization_fraction() <= 1.0:
            s.polarization = beam.get_polarization_fraction()
        s.vert_vector = unit(beam.get_polarization_normal())
        s.polar_vector = unit(cross(s.beam_vector, s.vert_vector))
        s.pixel_size = panel.get_pixel_size()[0] / 1000.0
        s.fast_pixels, s.slow_pixels = panel.get_image_size()
        geometry.size_detector(s)
        s.beam_convention = convention.Custom
        geometry.take_panel(s, panel, beam.get_s0())
        s.spindle_vector = s.fdet_vector
        s.reciprocal_vectors = unit_cell.default_reciprocal_vectors()
        reconcile(s)
        if not s.distance > 0:
            raise RuntimeError("the distance of the panel along the beam must be positive")
        if s.verbose:
            self.show_params()

    def _from_numbers(
        self,
        detpixels_slowfast=(1024, 1024),
        Ncells_abc=(1, 1, 1),
        unit_cell_Adeg=(78.0, 78.0, 38.0, 90.0, 90.0, 90.0),
        misset_deg=(0.0, 0.0, 0.0),
        beam_center_mm=(math.nan, math.nan),
        distance_mm=100,
        pixel_size_mm=0.1,
        wavelength_A=1,
        divergence_mrad=0,
        dispersion_pct=0,
        mosaic_spread_deg=0,
        oversample=0,
        verbose=0,
    ) -> None:
        s = self._state
        s.slow_pixels, s.fast_pixels = vector("detpixels_slowfast", detpixels_slowfast, 2, integer)
        s.cells = vector("Ncells_abc", Ncells_abc)
        self._take_cell("unit_cell_Adeg", unit_cell_Adeg)
        s.missets = vector("misset_deg", misset_deg)
        s.user_missets = all(angle != 0.0 for angle in s.missets)
        centre = vector("beam_center_mm", beam_center_mm, 2)
        if not any(map(math.isnan, centre)):
            s.user_beam = True
            s.beam_X, s.beam_Y = mapped(to_thousandth, centre)
        s.distance = number("distance_mm", distance_mm) / 1000.0
        s.pixel_size = number("pixel_size_mm", pixel_size_mm) / 1000.0
        s.wavelength = number("wavelength_A", wavelength_A) / 1e10
        s.h_divergence = s.v_divergence = number("divergence_mrad", divergence_mrad) / 1000.0
        s.dispersion = number("dispersion_pct", dispersion_pct) / 100.0
        s.mosaic_spread = number("mosaic_spread_deg", mosaic_spread_deg) / DEGREE
        s.oversample = integer("oversample", oversample)
        s.user_oversample = s.oversample > 0
        s.verbose = integer("verbose", verbose)
        reconcile(s)

    def free_all(self) -> None:
        """Releases memory on the device; it is allocated again on demand."""
        self._engine.release()

    # Printing.
    verbose = of_state("verbose", "verbose", "any value but 0 prints messages", convert=integer)
    printout = of_state("printout", "printout", "stored without effect", convert=boolean)
    printout_pixel_fastslow = of_state(
        "printout_pixel_fastslow",
        "printout_pixel",
        "stored without effect",
        convert=lambda name, value: vector(name, value, 2, integer),
        first=lambda s: setattr(s, "printout", s.printout or s.printout_pixel[0] > 0),
    )
    progress_meter = of_state("progress_meter", "progress_meter", "stored without effect", convert=boolean)
    progress_pixel = of_state("progress_pixel", "progress_pixel", "pixels that have been simulated", convert=integer)

    # The crystal.
    Ncells_abc = of_state(
        "Ncells_abc",
        "cells",
        "unit cells along a, b, c in a mosaic block",
        convert=vector,
        first=_fields(crystal_size=(-1.0, -1.0, -1.0)),
        then=OVERSAMPLE,
    )
    xtal_size_mm = of_state(
        "xtal_size_mm",
        "crystal_size",
        "size of a mosaic block along a, b, c (mm), instead of Ncells_abc",
        convert=vector,
        then=[sampling.choose_oversample, sampling.choose_interpolation],
        unit=MM,
    )
    xtal_shape = of_state("xtal_shape", "shape", "shapetype of the mosaic blocks", convert=member_of(shapetype))

    def _take_cell(self, name: str, cell: Any) -> None:
        s = self._state
        parameters = vector(name, cell.parameters() if hasattr(cell, "parameters") else cell, 6)
        s.cell_lengths = parameters[:3]
        s.cell_angles = tuple(angle / DEGREE for angle in parameters[3:])
        s.user_cell = True

    def _set_unit_cell_Adeg(self, cell: Any) -> None:
        self._take_cell("unit_cell_Adeg", cell)
        unit_cell.orient(self._state)

    def _set_unit_cell_tuple(self, cell: Any) -> None:
        self._take_cell("unit_cell_tuple", cell)
        unit_cell.orient(self._state)

    def _get_unit_cell_tuple(self) -> tuple:
        s = self._state
        return (*(1e10 * edge for edge in s.real_lengths), *(angle * DEGREE for angle in s.cell_angles))

    unit_cell_tuple = property(
        _get_unit_cell_tuple,
        _set_unit_cell_tuple,
        doc="cell: six numbers, angstrom and degrees; sets a standard orientation",
    )
    unit_cell_Adeg = property(
        lambda self: uctbx.unit_cell(self._get_unit_cell_tuple()),
        _set_unit_cell_Adeg,
        doc="unit_cell_tuple as a cctbx unit_cell",
    )

    missets_deg = of_state(
        "missets_deg",
        "missets",
        "turns the crystal about x, then y, then z (degrees)",
        convert=vector,
        first=_fields(user_missets=True),
        then=[unit_cell.orient],
        unit=DEGREES,
    )

    def _get_Amatrix(self) -> tuple:
        return sum(self._state.reciprocal_vectors, ())

    def _set_Amatrix(self, matrix: Any) -> None:
        s = self._state
        elements = vector("Amatrix", matrix, 9)
        s.reciprocal_vectors = (elements[0:3], elements[3:6], elements[6:9])
        s.user_cell, s.user_matrix = False, True
        unit_cell.orient(s)

    def _set_Amatrix_RUB(self, matrix: Any) -> None:
        unit_cell.take_direct_matrix(self._state, vector("Amatrix_RUB", matrix, 9))

    Amatrix = property(_get_Amatrix, _set_Amatrix, doc="a*, b*, c* (rows, 1/angstrom)")
    Amatrix_RUB = property(
        _get_Amatrix,
        _set_Amatrix_RUB,
        doc="reads as Amatrix; is set by a, b, c (rows, angstrom), which are not turned further",
    )

    def randomize_orientation(self) -> None:
        """Rotates the crystal at random, in the same way for the same seed."""
        unit_cell.randomize_orientation(self._state)

    phi_deg = of_state("phi_deg", "phi", "first angle of the spindle (degrees)", unit=DEGREES, then=STEPS)
    osc_deg = of_state(
        "osc_deg",
        "oscillation",
        "rotation of the exposure (degrees)",
        first=_fields(phi_step=-1.0),
        unit=DEGREES,
        then=STEPS,
    )
    phisteps = of_state(
        "phisteps", "phi_steps", "number of angles", convert=integer, first=_fields(phi_step=-1.0), then=STEPS
    )

    def _set_phistep_deg(self, value: Any) -> None:
        self._state.phi_step = number("phistep_deg", value) / DEGREE
        sampling.choose_steps(self._state)

    phistep_deg = property(
        lambda self: self._state.phi * DEGREE,
        _set_phistep_deg,
        doc="between angles (degrees); reads as phi_deg, as in simtbx",
    )

    # Mosaic blocks.
    mosaic_spread_deg = of_state(
        "mosaic_spread_deg", "mosaic_spread", "largest misorientation of a block (degrees)", unit=DEGREES, then=BLOCKS
    )
    mosaic_domains = of_state("mosaic_domains", "mosaic_domains", "number of blocks", convert=integer, then=BLOCKS)
    mosaic_seed = of_state("mosaic_seed", "mosaic_seed", "of the blocks' random orientations", convert=integer)

    def get_mosaic_blocks(self) -> flex.mat3_double:
        """Returns the rotation matrices of the mosaic blocks."""
        s = self._state
        return flex.mat3_double(s.mosaic_blocks[: s.mosaic_domains])

    def set_mosaic_blocks(self, umat_in: flex.mat3_double) -> None:
        """Sets the rotation matrices of the mosaic blocks, which are used if mosaic_spread_deg is positive."""
        mosaic.take_blocks(self._state, umat_in)

    def get_mosaic_domains_abc_phi_0(self) -> flex.mat3_double:
        """Returns a, b, c (angstrom) of each block at the angle 0."""
        return mosaic.cells_of_blocks(self._state)

    # Structure factors.
    def _set_indices(self, indices: flex.miller_index) -> None:
        self._state.indices = flex_array("indices", indices, flex.miller_index)

    def _set_amplitudes(self, values: flex.double) -> None:
        self._state.amplitudes = flex_array("amplitudes", values, flex.double)

    def _set_Fhkl_tuple(self, pair: tuple) -> None:
        indices, values = pair[0], pair[1]
        self._set_indices(indices)
        self._set_amplitudes(values)

    indices = property(
        lambda self: amplitudes.all_in_box(self._state)[0],
        _set_indices,
        doc="Miller indices: of every reflection in their box",
    )
    amplitudes = property(
        lambda self: amplitudes.all_in_box(self._state)[1], _set_amplitudes, doc="structure factor amplitudes of these"
    )
    Fhkl_tuple = property(
        lambda self: amplitudes.all_in_box(self._state), _set_Fhkl_tuple, doc="indices and amplitudes"
    )
    default_F = of_state("default_F", "default_F", "amplitude of reflections that are not given")
    F000 = of_state("F000", "F000", "amplitude at 0, 0, 0, whatever is given for it")
    interpolate = of_state(
        "interpolate", "interpolate", "1: structure factors between reflections; 2: chosen by size", convert=integer
    )
    integral_form = of_state("integral_form", "integral_form", "kept; it does nothing, as in simtbx", convert=boolean)

    # The beam.
    def _set_wavelength(self, value: Any) -> None:
        s = self._state
        s.wavelength = number("wavelength_A", value) / 1e10
        s.given_wavelengths = [s.wavelength] * len(s.given_wavelengths)
        sources.make_sources(s)

    wavelength_A = property(
        lambda self: self._state.wavelength * 1e10, _set_wavelength, doc="central wavelength (angstrom)"
    )
    energy_eV = of_state(
        "energy_eV",
        "wavelength",
        "the same as an energy (eV); the sources change with the next property that makes them, as in simtbx",
        unit=Unit(lambda value: (EV_ANGSTROM / value) / 1e10, lambda value: EV_ANGSTROM / (value * 1e10)),
    )
    fluence = of_state("fluence", "fluence", "photons/m^2", first=_fields(flux=0.0), then=BEAM)
    flux = of_state("flux", "flux", "photons/s", then=BEAM)
    exposure_s = of_state("exposure_s", "exposure", "seconds", then=BEAM)
    beamsize_mm = of_state("beamsize_mm", "beam_size", "side of the beam's cross-section (mm)", unit=MM, then=BEAM)
    dispersion_pct = of_state(
        "dispersion_pct",
        "dispersion",
        "range of wavelengths (%)",
        first=lambda s: setattr(s, "dispersion_step", -1.0 if s.dispersion_steps > 0 else s.dispersion_step),
        unit=PERCENT,
        then=SOURCES,
    )
    dispsteps = of_state(
        "dispsteps",
        "dispersion_steps",
        "number of wavelengths",
        convert=integer,
        first=_fields(dispersion_step=-1.0),
        then=SOURCES,
    )
    divergence_hv_mrad = pair_of_state(
        "divergence_hv_mrad",
        ("h_divergence", "v_divergence"),
        "range of angles along and across the electric field (mrad)",
        first=_fields(h_divergence_step=-1.0, v_divergence_step=-1.0),
        unit=MRAD,
        then=SOURCES,
    )
    divsteps_hv = pair_of_state(
        "divsteps_hv",
        ("h_divergence_steps", "v_divergence_steps"),
        "numbers of these angles",
        one=integer,
        first=_fields(h_divergence_step=-1.0, v_divergence_step=-1.0),
        then=SOURCES,
    )
    divstep_hv_mrad = pair_of_state(
        "divstep_hv_mrad",
        ("h_divergence_step", "v_divergence_step"),
        "between these angles (mrad)",
        first=_fields(h_divergence_steps=-1, v_divergence_steps=-1),
        unit=MRAD,
        then=SOURCES,
    )
    round_div = of_state("round_div", "round_div", "an elliptic divergence, not a rectangular one", convert=boolean)

    def _set_xray_beams(self, beams: Any) -> None:
        self._state.given_beams = beams
        sources.make_sources(self._state)

    def _set_source_XYZ(self, positions: Any) -> None:
        self._state.given_XYZ = [vector("xray_source_XYZ", position) for position in positions]
        sources.make_sources(self._state)

    def _set_source_wavelengths(self, values: Any) -> None:
        self._state.given_wavelengths = [number("xray_source_wavelengths_A", value) for value in values]
        sources.make_sources(self._state)

    def _set_source_intensities(self, values: Any) -> None:
        self._state.given_intensities = [number("xray_source_intensity_fraction", value) for value in values]
        sources.make_sources(self._state)

    xray_beams = property(
        lambda self: sources.beams(self._state),
        _set_xray_beams,
        doc="sources as dxtbx beams: wavelengths in angstrom when read, and in metres when set",
    )
    xray_source_XYZ = property(
        lambda self: flex.vec3_double(self._state.source_XYZ), _set_source_XYZ, doc="positions of the sources (m)"
    )
    xray_source_wavelengths_A = property(
        lambda self: flex.double([wavelength * 1e10 for wavelength in self._state.source_wavelengths]),
        _set_source_wavelengths,
        doc="wavelengths of the sources (angstrom; may be set in metres)",
    )
    xray_source_intensity_fraction = property(
        lambda self: flex.double(self._state.source_intensities),
        _set_source_intensities,
        doc="intensities of the sources",
    )
    polarization = of_state("polarization", "polarization", "Kahn factor, -1 to 1; 0: unpolarized")
    nopolar = of_state("nopolar", "nopolar", "leaves out the polarization factor", convert=boolean)

    # The detector.
    pixel_size_mm = of_state("pixel_size_mm", "pixel_size", "side of a pixel (mm)", unit=MM, then=SIZE)
    detpixels_fastslow = pair_of_state(
        "detpixels_fastslow",
        ("fast_pixels", "slow_pixels"),
        "pixels along the fast and the slow axis",
        one=integer,
        first=_fields(fast_size=0.0, slow_size=0.0),
        then=SIZE,
    )
    detsize_fastslow_mm = pair_of_state(
        "detsize_fastslow_mm",
        ("fast_size", "slow_size"),
        "size along the fast and the slow axis (mm)",
        first=_fields(fast_pixels=0, slow_pixels=0),
        unit=MM,
        then=SIZE,
    )

    def _set_roi(self, ranges: Any) -> None:
        s = self._state
        try:
            fast, slow = ranges
        except (TypeError, ValueError):
            raise ValueError(f"region_of_interest must be ((fast, fast), (slow, slow)), not {ranges!r}") from None
        s.roi = [*vector("region_of_interest", fast, 2, integer), *vector("region_of_interest", slow, 2, integer)]
        geometry.place_beam(s)

    region_of_interest = property(
        lambda self: (tuple(self._state.roi[:2]), tuple(self._state.roi[2:])),
        _set_roi,
        doc="first and last pixel, fast and slow; both belong to it",
    )
    oversample = of_state(
        "oversample",
        "oversample",
        "sub-pixels along each axis; 0: as many as the crystal needs",
        convert=integer,
        first=_fields(user_oversample=True),
        then=OVERSAMPLE,
    )

    def _set_beam_center(self, centre: Any) -> None:
        s = self._state
        x, y = mapped(to_thousandth, vector("beam_center_mm", centre, 2))
        s.beam_X = s.beam_fast = s.close_X = s.close_fast = x
        s.beam_Y = s.beam_slow = s.close_Y = s.close_slow = y
        s.user_beam = True
        s.xds_X = s.xds_Y = math.nan
        reconcile(s)

    def _set_XDS_ORGXY(self, centre: Any) -> None:
        s = self._state
        s.xds_X, s.xds_Y = vector("XDS_ORGXY", centre, 2)
        s.user_beam = True
        s.beam_convention = convention.XDS
        s.beam_X = s.beam_Y = s.beam_fast = s.beam_slow = math.nan
        s.close_X = s.close_Y = s.close_fast = s.close_slow = math.nan
        reconcile(s)

    def _set_distance(self, name: str, value: Any) -> None:
        s = self._state
        s.distance = s.close_distance = number(name, value) / 1000.0
        reconcile(s)

    beam_center_mm = property(
        lambda self: (self._state.beam_X * 1000.0, self._state.beam_Y * 1000.0),
        _set_beam_center,
        doc="beam centre (mm) in the convention of beamcenter_convention",
    )
    XDS_ORGXY = property(
        lambda self: (self._state.xds_X, self._state.xds_Y),
        _set_XDS_ORGXY,
        doc="pixel nearest to the sample, as in XDS",
    )

    @property
    def adxv_beam_center_mm(self) -> tuple:
        """Beam centre (mm) in ADXV's convention."""
        s = self._state
        return (s.beam_fast * 1000.0, (s.slow_size - s.beam_slow) * 1000.0)

    @property
    def mosflm_beam_center_mm(self) -> tuple:
        """Beam centre (mm) in MOSFLM's convention."""
        s = self._state
        return tuple((centre - 0.5 * s.pixel_size) * 1000.0 for centre in (s.beam_slow, s.beam_fast))

    @property
    def denzo_beam_center_mm(self) -> tuple:
        """Beam centre (mm) in Denzo's convention."""
        return (self._state.beam_slow * 1000.0, self._state.beam_fast * 1000.0)

    @property
    def dials_origin_mm(self) -> tuple:
        """Corner of the first pixel (mm) in the frame of imgCIF."""
        return self._state.dials_origin

    @property
    def pix0_vector_mm(self) -> tuple:
        """Corner of the first pixel (mm)."""
        return tuple(1000 * x for x in self._state.pix0_vector)

    beamcenter_convention = of_state(
        "beamcenter_convention",
        "beam_convention",
        "convention of beam_center_mm; sets the vectors of its frame",
        convert=member_of(convention),
        then=[geometry.place_beam],
    )
    detector_pivot = of_state(
        "detector_pivot", "detector_pivot", "pivot of detector_rotation_deg", convert=member_of(pivot)
    )
    fdet_vector = of_state("fdet_vector", "fdet_vector", "fast axis", convert=vector, then=SIZE)
    sdet_vector = of_state("sdet_vector", "sdet_vector", "slow axis", convert=vector, then=SIZE)
    odet_vector = of_state("odet_vector", "odet_vector", "normal, away from the sample", convert=vector, then=SIZE)
    beam_vector = of_state("beam_vector", "beam_vector", "direction in which photons travel", convert=vector, then=SIZE)
    polar_vector = of_state("polar_vector", "polar_vector", "electric field of the beam", convert=vector, then=SIZE)
    spindle_axis = of_state("spindle_axis", "spindle_vector", "axis of the spindle", convert=vector, then=SIZE)
    twotheta_axis = of_state(
        "twotheta_axis", "twotheta_axis", "axis of detector_twotheta_deg", convert=vector, then=SIZE
    )

    def _set_polar_Bvector(self, value: Any) -> None:
        s = self._state
        s.polar_vector = unit(cross(vector("polar_Bvector", value), s.beam_vector))

    polar_Bvector = property(
        lambda self: sources.magnetic_vector(self._state), _set_polar_Bvector, doc="magnetic field of the beam"
    )
    distance_meters = of_state(
        "distance_meters", "distance", "distance along the beam (m); setting it changes nothing else"
    )
    distance_mm = property(
        lambda self: self._state.distance * 1000.0,
        lambda self, value: self._set_distance("distance_mm", value),
        doc="distance from the sample to the detector along the beam (mm)",
    )
    close_distance_mm = property(
        lambda self: self._state.close_distance * 1000.0,
        lambda self, value: self._set_distance("close_distance_mm", value),
        doc="distance from the sample to the plane of the detector (mm)",
    )
    detector_rotation_deg = of_state(
        "detector_rotation_deg",
        "detector_rotation",
        "rotation about x, then y, then z (degrees)",
        convert=vector,
        unit=DEGREES,
        then=SIZE,
    )
    detector_twotheta_deg = of_state(
        "detector_twotheta_deg",
        "twotheta",
        "rotation about twotheta_axis (degrees)",
        first=_fields(detector_pivot=pivot.Beam),
        unit=DEGREES,
        then=SIZE,
    )
    curved_detector = of_state(
        "curved_detector", "curved_detector", "stored; simulating with it is an error", convert=boolean
    )
    point_pixel = of_state("point_pixel", "point_pixel", "1/r^2 in place of a pixel's solid angle", convert=boolean)
    detector_thick_mm = of_state(
        "detector_thick_mm",
        "thickness",
        "thickness of the sensor (mm)",
        first=_fields(thickness_step=-1.0),
        unit=MM,
        then=STEPS,
    )
    detector_thicksteps = of_state(
        "detector_thicksteps",
        "thickness_steps",
        "layers of the sensor",
        convert=integer,
        first=_fields(thickness_step=-1.0),
        then=STEPS,
    )
    detector_thickstep_mm = of_state(
        "detector_thickstep_mm", "thickness_step", "distance between layers (mm)", unit=MM, then=STEPS
    )
    detector_attenuation_length_mm = of_state(
        "detector_attenuation_length_mm",
        "attenuation_length",
        "depth at which 1/e of the photons are left (mm)",
        unit=MM,
    )

    def set_dxtbx_detector_panel(self, panel: Any, s0_vector: Any) -> None:
        """Takes the geometry of a dxtbx panel, for a beam along s0_vector."""
        geometry.take_panel(self._state, panel, vector("s0_vector", s0_vector))

    # The amorphous sample.
    amorphous_sample_size_mm = of_state(
        "amorphous_sample_size_mm",
        "sample_size",
        "size along the beam and across (mm)",
        convert=vector,
        unit=MM,
        then=SAMPLE,
    )

    def _set_sample_thickness(self, value: Any) -> None:
        s = self._state
        s.sample_size = (number("amorphous_sample_thick_mm", value) / 1000.0, *s.sample_size[1:])
        background.prepare_sample(s)

    amorphous_sample_thick_mm = property(
        lambda self: self._state.sample_size[0] * 1000.0, _set_sample_thickness, doc="thickness along the beam (mm)"
    )
    amorphous_density_gcm3 = of_state(
        "amorphous_density_gcm3",
        "sample_density",
        "density, g/cm^3",
        unit=Unit(lambda value: value * 1e6, lambda value: value / 1e6),
        then=SAMPLE,
    )
    amorphous_molecular_weight_Da = of_state(
        "amorphous_molecular_weight_Da", "sample_molecular_weight", "molecular weight, Da", then=SAMPLE
    )

    def _set_Fbg_vs_stol(self, table: Any) -> None:
        self._state.given_Fbg = [vector("Fbg_vs_stol", row, 2) for row in table]
        background.prepare_sample(self._state)

    Fbg_vs_stol = property(
        lambda self: flex.vec2_double(self._state.Fbg_table),
        _set_Fbg_vs_stol,
        doc="sin(theta)/lambda (1/angstrom) and structure factor of the amorphous sample",
    )
    default_Fbg = of_state(
        "default_Fbg", "default_Fbg", "value where Fbg_vs_stol is not a number, or not given", then=SAMPLE
    )

    # Noise.
    seed = of_state("seed", "seed", "seed of the noise and of randomize_orientation", convert=integer)
    calib_seed = of_state("calib_seed", "calib_seed", "seed of the calibration error", convert=integer)
    spot_scale = of_state("spot_scale", "spot_scale", "factor of the photons of the spots")
    quantum_gain = of_state("quantum_gain", "quantum_gain", "ADU per photon")
    adc_offset_adu = of_state("adc_offset_adu", "adc_offset", "ADU without photons")
    detector_calibration_noise_pct = of_state(
        "detector_calibration_noise_pct", "calibration_noise", "calibration error of each pixel (%)", unit=PERCENT
    )
    flicker_noise_pct = of_state("flicker_noise_pct", "flicker_noise", "flicker of the beam (%)", unit=PERCENT)
    readout_noise_adu = of_state("readout_noise_adu", "readout_noise", "standard deviation (ADU)")
    detector_psf_type = of_state(
        "detector_psf_type",
        "psf_type",
        "shapetype of the point spread: Gauss, Fiber, or Unknown",
        convert=member_of(shapetype),
    )
    detector_psf_fwhm_mm = of_state(
        "detector_psf_fwhm_mm", "psf_fwhm", "full width at half maximum (mm); 0: none", unit=MM
    )
    detector_psf_kernel_radius_pixels = of_state(
        "detector_psf_kernel_radius_pixels",
        "psf_radius",
        "radius of the point spread; 0: chosen automatically",
        convert=integer,
    )

    # The image.
    def _set_raw_pixels(self, pixels: flex.double) -> None:
        self._state.raw_pixels = flex_array("raw_pixels", pixels, flex.double)

    raw_pixels = property(
        lambda self: self._state.raw_pixels, _set_raw_pixels, doc="the image, flex.double (slow, fast): not a copy"
    )
    cbf_int = of_state("cbf_int", "cbf_int", "integers in files that to_cbf writes", convert=boolean)
    device_Id = of_state("device_Id", "device_Id", "stored: Kokkos chooses the device", convert=integer)

    def _pixels(self) -> np.ndarray:
        """Returns a copy of the image (slow, fast)."""
        self._check_pixels()
        return self._state.raw_pixels.as_numpy_array().reshape(self._state.slow_pixels, self._state.fast_pixels)

    def _check_pixels(self) -> None:
        s = self._state
        if s.raw_pixels.size() != s.slow_pixels * s.fast_pixels:
            raise ValueError(
                f"raw_pixels must hold {s.slow_pixels} x {s.fast_pixels} pixels (slow, fast), not {s.raw_pixels.size()}"
            )

    def _as_raw_pixels(self, pixels: np.ndarray) -> flex.double:
        """Returns the same numbers with the accessor of raw_pixels."""
        array = flex.double(np.ascontiguousarray(pixels))
        array.reshape(self._state.raw_pixels.accessor())
        return array

    def _replace_pixels(self, pixels: np.ndarray) -> None:
        """Writes into the existing array, to which scripts may hold a reference."""
        row = flex.grid(1, pixels.size)
        held, new = self._state.raw_pixels.as_1d(), flex.double(np.ascontiguousarray(pixels))  # the former is no copy
        held.reshape(row)
        new.reshape(row)
        held.matrix_paste_block_in_place(new, 0, 0)

    def _add(self, photons: np.ndarray, what: str) -> None:
        self._check_pixels()
        raw_pixels = self._state.raw_pixels
        raw_pixels += self._as_raw_pixels(photons)
        self._state.progress_pixel = photons.size
        if self._state.verbose:
            print(f"{what}: {photons.sum():g} photons, at most {photons.max(initial=0.0):g} in a pixel")

    def add_nanoBragg_spots(self) -> None:
        """Adds the expected photons of the Bragg spots."""
        self._add(self._engine.spots(self._state), "Bragg spots")

    def add_nanoBragg_spots_nks(self, *output: Any) -> None:
        """Adds the spots like add_nanoBragg_spots; ignores the stream to which simtbx prints."""
        self.add_nanoBragg_spots()

    def add_nanoBragg_spots_cuda(self) -> None:
        """Adds the spots like add_nanoBragg_spots; the build of Kokkos decides whether a GPU computes them."""
        self.add_nanoBragg_spots()

    def add_background(self, oversample: int = -1, override_source: int = -1) -> None:
        """Adds the expected photons of the amorphous sample.

        Args:
            oversample: sub-pixels along each axis; 0 or less: the property.
            override_source: number of the source that replaces all others; less than 0: use all.
        """
        photons = self._engine.background(
            self._state, integer("oversample", oversample), integer("override_source", override_source)
        )
        self._add(photons, "background")

    def extract_background(self, source: int = -1) -> None:
        """Replaces the structure factors of Fbg_vs_stol by those that the image implies for the light of one source."""
        self._check_pixels()
        background.extract(self._state, max(integer("source", source), 0))

    def apply_psf(self, psf_type: shapetype = shapetype.Fiber, fwhm_pixels: float = -1, psf_radius: int = -1) -> None:
        """Blurs the image.

        Args:
            psf_type: Gauss or Fiber; anything else does nothing.
            fwhm_pixels: full width at half maximum; 0 or less: the property.
            psf_radius: radius in pixels; 0 or less: the property, or chosen automatically.
        """
        kind = member_of(shapetype)("psf_type", psf_type)
        fwhm, radius = number("fwhm_pixels", fwhm_pixels), integer("psf_radius", psf_radius)
        self._replace_pixels(noise.apply_psf(self._state, self._engine, self._pixels(), kind, fwhm, radius))

    def add_noise(self) -> None:
        """Converts expected photons to ADU: flicker, counting, calibration, point spread, gain, offset and readout."""
        self._replace_pixels(noise.add_noise(self._state, self._engine, self._pixels()))

    # Files.
    def get_intfile_scale(self, intfile_scale: float = 0) -> float:
        """Returns the factor of pixels in a file of integers; 0: the factor that makes the brightest one 55000."""
        return output.scale_of(self._pixels(), number("intfile_scale", intfile_scale))

    def raw_pixels_unsigned_short_as_python_bytes(
        self, intfile_scale: float = 0, debug_x: int = -1, debug_y: int = -1
    ) -> bytes:
        """Returns the image as 16-bit integers."""
        return output.integers(self._pixels(), number("intfile_scale", intfile_scale))

    def to_smv_format_streambuf(
        self, output: Any, intfile_scale: float = 0, debug_x: int = -1, debug_y: int = -1
    ) -> None:
        """Writes the image as 16-bit integers to a file object."""
        output.write(self.raw_pixels_unsigned_short_as_python_bytes(intfile_scale))

    def to_smv_format(self, fileout: str, intfile_scale: float = 0, debug_x: int = -1, debug_y: int = -1) -> None:
        """Writes an SMV file: a header and 16-bit integers.

        Args:
            intfile_scale: factor of the pixels; 0: the factor that makes the brightest one 55000.
        """
        with open(fileout, "wb") as file:
            file.write(output.smv(self._state, self._pixels(), number("intfile_scale", intfile_scale)))

    # Printing of the state.
    def show_params(self) -> None:
        """Prints the experiment."""
        s = self._state
        lines = [
            "nanoBragg on nanobragg_kokkos",
            f"  {s.indices.size()} reflections, all others {s.default_F:g}",
            f"  crystal: {s.shape}, {s.cells[0]:.1f} x {s.cells[1]:.1f} x {s.cells[2]:.1f} cells",
            *unit_cell.show(s),
            "  amorphous sample %g x %g x %g m" % s.sample_size,
            f"  {s.sample_density / 1e6:g} g/cm^3, {s.sample_molecular_weight:g} Da, {s.sample_molecules:g} molecules",
            f"  wavelength {s.wavelength:g} m +/- {s.dispersion * 100:g}% in {s.dispersion_steps} steps",
            "  no polarization factor" if s.nopolar else f"  Kahn polarization factor {s.polarization:f}",
            f"  fluence {s.fluence:g} photons/m^2",
            *geometry.show(s),
            f"  divergence {s.h_divergence:g} x {s.v_divergence:g} rad in steps of {s.h_divergence_step:g} x "
            f"{s.v_divergence_step:g} rad",
            f"  {len(s.source_XYZ)} sources",
            f"  {s.mosaic_domains} mosaic domains over {s.mosaic_spread * DEGREE:g} degrees",
            f"  {s.phi_steps} phi steps from {s.phi * DEGREE:g} to {(s.phi + s.oscillation) * DEGREE:g} degrees",
            f"  {s.oversample} x {s.oversample} sub-pixels",
        ]
        print("\n".join(lines))

    def show_sources(self) -> None:
        """Prints the sources."""
        print("\n".join(sources.show(self._state)))

    def show_mosaic_blocks(self) -> None:
        """Prints the mosaic blocks."""
        print("\n".join(mosaic.show(self._state)))


def state_of(simulation: nanoBragg) -> State:
    """Returns the state of a nanoBragg object.

    Raises:
        ValueError: the value is not such an object.
    """
    if not isinstance(simulation, nanoBragg):
        raise ValueError(f"nanoBragg must be an object of the class nanoBragg, not {type(simulation).__name__}")
    return simulation._state
