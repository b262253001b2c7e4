"""A rotation series: images of the same crystals at increasing angles."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
from dxtbx.model import Goniometer, GoniometerFactory, Scan

from nanobragg_kokkos.models.sample.crystal import Crystal, Rotation
from nanobragg_kokkos.models.sample.random_orientations import axis_rotation
from nanobragg_kokkos.models.sample.specimen import Specimen

# How far from one step to the next a lattice point may go, over 1 / (edge of a domain): two thirds of a reflection's
# full width at half maximum, which is 0.93 for a Gaussian domain and 0.89 for a parallelepiped.
FARTHEST_STEP = 0.6


@dataclass(frozen=True, eq=False)
class RotationSeries:
    """The crystals of the first image of another specimen, rotated for each image.

    Image k, counted from 0, is the mean over `steps` angles, the middles of equal parts of start_deg + k * width_deg …
    start_deg + (k + 1) * width_deg. Mosaic blocks turn with their crystal, by the angle in the middle of the image.

    Args:
        specimen: its first image has the crystals at angle 0.
        axis: vector in the laboratory frame, (3,).
        start_deg, width_deg: first angle and width of the first image, degrees.
        steps: number of angles in an image.
    """

    specimen: Specimen
    axis: tuple[float, float, float]
    start_deg: float
    width_deg: float
    steps: int

    def crystals(self, image: int, seed: int) -> tuple[Crystal, ...]:
        """Returns the crystals of an image, counted from 0."""
        begin = self.start_deg + image * self.width_deg
        rotation = Rotation(self.axis, begin + 0.5 * self.width_deg / self.steps, self.width_deg, self.steps)
        turn = axis_rotation(self.axis, begin + 0.5 * self.width_deg)
        return tuple(
            dataclasses.replace(crystal, rotation=rotation, mosaic_blocks=turn @ crystal.mosaic_blocks @ turn.T)
            for crystal in self.specimen.crystals(0, seed)
        )

    def scan(self, n_images: int) -> Scan:
        """Returns the dxtbx model of the scan, of n_images from the first one on."""
        return Scan((1, n_images), (self.start_deg, self.width_deg))

    @property
    def goniometer(self) -> Goniometer:
        """The dxtbx model of a goniometer with the axis of the scan and otherwise at its datum."""
        return GoniometerFactory.known_axis(self.axis)


def smooth_steps(width_deg: float, domain_A: float, d_min: float) -> int:
    """Returns the number of angles in an image that integrates each reflection of one domain at one energy.

    A lattice point at the resolution d and perpendicular to the axis moves by 1/d per radian. From one angle to the
    next, no point may move farther than 0.6 / (edge of a domain). Several domains and energies smooth the sum further.

    Args:
        width_deg: width of an image, degrees.
        domain_A: longest edge of a domain, angstrom.
        d_min: highest resolution, angstrom.
    """
    return max(1, math.ceil(math.radians(width_deg) / d_min * domain_A / FARTHEST_STEP))


def longest_edge_A(crystal: Crystal) -> float:
    """Returns the longest edge of a mosaic domain, angstrom."""
    return float(np.max(np.multiply(crystal.n_cells, crystal.model.get_unit_cell().parameters()[:3])))
