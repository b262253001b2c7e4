"""A crystal: a dxtbx crystal model, its mosaic blocks, and its rotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from dxtbx.model import Crystal as DxtbxCrystal
from scitbx.array_family import flex

from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.util.argument_checks import finite, vector, whole

SHAPES = ("square", "round", "gauss", "gauss_argchk", "tophat")
INTERPOLATIONS = ("nearest", "tricubic")


@dataclass(frozen=True)
class Rotation:
    """A rotation during the exposure, right-handed about axis: start_deg + k * width_deg / steps, k = 0 … steps - 1.

    Args:
        axis: vector in the laboratory frame, (3,), of any length.
        start_deg: first angle, degrees.
        width_deg: width of the exposure, degrees.
        steps: number of angles.

    Raises:
        ValueError: the axis is not three numbers or is zero, an angle is not finite, or there is less than one step.
    """

    axis: Sequence[float] = (1.0, 0.0, 0.0)
    start_deg: float = 0.0
    width_deg: float = 0.0
    steps: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "axis", vector("axis of the rotation", self.axis))
        if not any(self.axis):
            raise ValueError("axis of the rotation must not be zero")
        object.__setattr__(self, "start_deg", finite("start_deg", self.start_deg))
        object.__setattr__(self, "width_deg", finite("width_deg", self.width_deg))
        object.__setattr__(self, "steps", whole("steps of the rotation", self.steps))


@dataclass(frozen=True, eq=False)
class Crystal:
    """A crystal of identical blocks in many orientations.

    Args:
        model: dxtbx Crystal; its A matrix is the orientation at angle zero.
        n_cells: unit cells along a, b, c in one block, (3,); whole numbers for the shape square.
        shape: shape of the blocks, which determines the profile of the reflections: square, round, gauss,
            gauss_argchk or tophat.
        mosaic_blocks: rotation matrices, (n, 3, 3), each of which rotates the crystal into the orientation of a block,
            after the rotation of the exposure. Default: one block in the crystal's own orientation.
        volume_mm3: volume of crystal in the beam. The photons of one block are multiplied by volume / (volume of a
            block). Default: one block.
        rotation: Rotation during the exposure. Default: none.
        interpolation: interpolation of the amplitudes between the reflections, nearest or tricubic.

    Raises:
        ValueError: n_cells are not three numbers, 1 or more; shape or interpolation is unknown; a matrix is no
            rotation; or the volume is not positive.
    """

    model: DxtbxCrystal
    n_cells: Sequence[float]
    shape: str = "gauss_argchk"
    mosaic_blocks: np.ndarray | None = None
    volume_mm3: float | None = None
    rotation: Rotation | None = None
    interpolation: str = "nearest"

    def __post_init__(self) -> None:
        n_cells = vector("n_cells", self.n_cells)
        if min(n_cells) < 1 or (self.shape == "square" and any(n % 1 for n in n_cells)):
            kind = "whole numbers" if self.shape == "square" else "numbers"
            raise ValueError(f"n_cells must be three {kind}, 1 or more, not {self.n_cells}")
        object.__setattr__(self, "n_cells", n_cells)
        if self.shape not in SHAPES:
            raise ValueError(f"shape must be one of {', '.join(SHAPES)}, not '{self.shape}'")
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(f"interpolation must be one of {', '.join(INTERPOLATIONS)}, not '{self.interpolation}'")
        if self.volume_mm3 is not None:
            finite("volume_mm3", self.volume_mm3, above=0)
        blocks = np.eye(3)[None] if self.mosaic_blocks is None else np.array(self.mosaic_blocks, float)
        if blocks.ndim != 3 or blocks.shape[0] < 1 or blocks.shape[1:] != (3, 3):
            raise ValueError(f"mosaic_blocks must have the shape (n, 3, 3), not {blocks.shape}")
        if not np.allclose(blocks @ blocks.transpose(0, 2, 1), np.eye(3), atol=1e-6) or np.linalg.det(blocks).min() < 0:
            raise ValueError("mosaic_blocks must be rotation matrices")
        blocks.flags.writeable = False
        object.__setattr__(self, "mosaic_blocks", blocks)

    @property
    def scale(self) -> float:
        """Number of blocks in the beam."""
        if self.volume_mm3 is None:
            return 1.0
        block_angstrom3 = self.model.get_unit_cell().volume() * np.prod(self.n_cells, dtype=float)
        return self.volume_mm3 * 1e21 / block_angstrom3

    def on_device(self) -> ext.Crystal:
        """Returns the core's crystal."""
        rotation = self.rotation or Rotation()
        return ext.Crystal(
            model=self.model,
            mosaic_blocks=flex.double(np.asarray(self.mosaic_blocks).ravel()),
            axis=vector("axis of the rotation", rotation.axis),
            start_deg=rotation.start_deg,
            step_deg=rotation.width_deg / rotation.steps,
            steps=rotation.steps,
            n_cells=vector("n_cells", self.n_cells),
            shape=self.shape,
            scale=self.scale,
        )
