"""The state of simtbx's class, with its defaults.

As in simtbx, lengths are in metres and angles in radians unless a comment names another unit; the class converts.
"""

from __future__ import annotations

import math
import time
from typing import Any

from cctbx.array_family import flex

from nanobragg_kokkos.simtbx.enums import convention, pivot, shapetype

ZERO = (0.0, 0.0, 0.0)


class State:
    """The mutable state behind a nanoBragg object; the other modules of this folder keep its parts consistent."""

    def __init__(self) -> None:
        # Printing.
        self.verbose = 1
        self.printout = False
        self.printout_pixel = (-1, -1)  # fast, slow
        self.progress_meter = False
        self.progress_pixel = 0

        # The beam as a whole.
        self.beam_vector = (1.0, 0.0, 0.0)  # direction in which photons travel
        self.polar_vector = (0.0, 0.0, 1.0)  # electric field
        self.vert_vector = ZERO  # magnetic field
        self.polarization = 0.0  # Kahn factor
        self.nopolar = False
        self.wavelength = 1e-10
        self.fluence = (
            125932015286227086360700780544.0  # photons/m^2: the inverse square of the classical electron radius
        )
        self.flux = 0.0  # photons/s
        self.exposure = 1.0  # s
        self.beam_size = 1e-4

        # Its spread; a negative number is not yet chosen.
        self.dispersion, self.dispersion_step, self.dispersion_steps = 0.0, -1.0, -1
        self.h_divergence, self.h_divergence_step, self.h_divergence_steps = -1.0, -1.0, -1
        self.v_divergence, self.v_divergence_step, self.v_divergence_steps = -1.0, -1.0, -1
        self.round_div = True
        self.source_distance = 10.0

        # The sources given by a script, and the sources in effect.
        self.given_beams: Any = None  # flex_Beam
        self.given_XYZ: list[tuple] = []
        self.given_intensities: list[float] = []
        self.given_wavelengths: list[float] = []
        self.source_XYZ: list[tuple] = []
        self.source_intensities: list[float] = []
        self.source_wavelengths: list[float] = []

        # Detector.
        self.pixel_size = 0.1e-3
        self.fast_pixels = self.slow_pixels = 0
        self.pixels_allocated = 0
        self.fast_size = self.slow_size = 102.4e-3
        self.distance = 100.0e-3  # along the beam
        self.close_distance = math.nan  # along the normal
        self.fdet_vector = (0.0, 0.0, 1.0)
        self.sdet_vector = (0.0, -1.0, 0.0)
        self.odet_vector = (1.0, 0.0, 0.0)
        self.pix0_vector = ZERO
        self.detector_rotation = ZERO
        self.twotheta = 0.0
        self.twotheta_axis = (0.0, 1.0, 0.0)
        self.detector_pivot = pivot.Beam
        self.beam_convention = convention.MOSFLM
        self.right_handed = True
        self.curved_detector = False
        self.point_pixel = False
        self.user_beam = False  # a script has set the beam centre
        # Beam centres: in the convention, on the detector, and at the point nearest to the sample (XDS: in pixels).
        self.beam_X = self.beam_Y = math.nan
        self.beam_fast = self.beam_slow = math.nan
        self.close_X = self.close_Y = math.nan
        self.close_fast = self.close_slow = math.nan
        self.xds_X = self.xds_Y = math.nan
        self.dials_origin = ZERO  # mm
        self.roi = [-1, -1, -1, -1]  # fast first and last, slow first and last

        # Sensor.
        self.attenuation_length = 234e-6
        self.thickness, self.thickness_step, self.thickness_steps = 0.0, 0.0, -1

        # Sampling.
        self.oversample = -1
        self.recommended_oversample = 1
        self.user_oversample = False
        self.phi, self.phi_step, self.phi_steps, self.oscillation = 0.0, -1.0, -1, -1.0
        self.spindle_vector = (0.0, 0.0, 1.0)

        # Crystal.
        self.shape = shapetype.Square
        self.cells = (1.0, 1.0, 1.0)
        self.crystal_size = ZERO
        self.user_cell = False  # the cell's lengths and angles are in use
        self.user_matrix = False  # the reciprocal vectors are in use
        self.cell_lengths = ZERO  # angstrom
        self.cell_angles = ZERO
        self.real_vectors = (ZERO, ZERO, ZERO)  # angstrom
        self.real_lengths = ZERO
        self.reciprocal_vectors = (ZERO, ZERO, ZERO)  # 1/angstrom
        self.cell_volume = 0.0  # angstrom^3
        self.missets = ZERO
        self.user_missets = False

        # Mosaic blocks.
        self.mosaic_spread = -1.0
        self.mosaic_domains = -1
        self.mosaic_blocks: list[tuple] = []
        self.user_blocks = False

        # Structure factors.
        self.indices = flex.miller_index()
        self.amplitudes = flex.double()
        self.default_F = 0.0
        self.F000 = 0.0
        self.interpolate = 2  # to be chosen
        self.integral_form = False

        # Amorphous sample.
        self.sample_size = ZERO
        self.sample_molecular_weight = 18.0  # Da
        self.sample_density = 1.0e6  # g/m^3
        self.sample_molecules = 0.0
        self.given_Fbg: list[tuple[float, float]] = []  # sin(theta)/lambda in 1/angstrom, structure factor
        self.Fbg_table: list[tuple[float, float]] = []  # in effect
        self.default_Fbg = 0.0

        # Pixels and noise.
        self.raw_pixels = flex.double()
        self.seed = -int(time.time())
        self.mosaic_seed = 12345678
        self.calib_seed = 123456789
        self.psf_type = shapetype.Fiber
        self.psf_fwhm = 80e-6
        self.psf_radius = 0
        self.readout_noise = 3.0  # ADU
        self.flicker_noise = 0.0
        self.calibration_noise = 0.03
        self.spot_scale = 1.0
        self.quantum_gain = 1.0
        self.adc_offset = 40.0
        self.cbf_int = False
        self.device_Id = 0
