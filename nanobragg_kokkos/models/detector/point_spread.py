"""A detector's point-spread function."""

from __future__ import annotations

from dataclasses import dataclass

from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.util.argument_checks import finite, whole


@dataclass(frozen=True)
class PointSpread:
    """A detector's point-spread function, integrated over each pixel within a radius of a photon's pixel.

    Args:
        shape: "gauss", or "fiber" for a taper of glass fibres, g/2π (g² + r²)^-3/2 (Holton, Nielsen & Frankel, J.
            Synchrotron Rad. 19, 1006 (2012)).
        fwhm_mm: full width at half maximum.
        radius: radius in pixels along the fast axis; photons beyond it are added back evenly over the panel.
        added_back: the share to add back. "missing": the share that the kernel's pixels lack, so that photons are lost
            only over the panel's edges; "beyond_radius": the share outside the circle of that radius, as in simtbx.

    Raises:
        ValueError: the shape is unknown, the width is not positive and finite, or the radius is below 1 or above
            2³¹ − 1.
    """

    shape: str
    fwhm_mm: float
    radius: int
    added_back: str = "missing"

    def __post_init__(self) -> None:
        finite("fwhm_mm of the point spread", self.fwhm_mm, above=0)
        if whole("radius of the point spread", self.radius) >= 2**31:
            raise ValueError(f"radius of the point spread must be less than 2**31, not {self.radius!r}")
        self.on_device()

    def on_device(self) -> ext.PointSpread:
        """Returns the core's point-spread function."""
        return ext.PointSpread(self.shape, float(self.fwhm_mm), int(self.radius), self.added_back)
