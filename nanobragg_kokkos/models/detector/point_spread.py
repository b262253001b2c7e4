"""A detector's point-spread function."""

from __future__ import annotations

from dataclasses import dataclass

from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.util.argument_checks import finite, whole


@dataclass(frozen=True)
class PointSpread:
    """A detector's point-spread function, integrated over each pixel within a radius of the one that a photon hits.

    Args:
        shape: "gauss", or "fiber" for a taper of glass fibres, g/2π (g² + r²)^-3/2 (Holton, Nielsen & Frankel, J.
            Synchrotron Rad. 19, 1006 (2012)).
        fwhm_mm: full width at half maximum.
        radius: pixels along the fast axis; what falls beyond is added back evenly over the panel.
        added_back: "missing": what the kernel's pixels lack, so that no photon is lost but over the panel's edges;
            "beyond_radius": what the function has outside the circle of that radius, as simtbx does.

    Raises:
        ValueError: another name, a width that is not positive and finite, a radius below 1 or above 2³¹ − 1.
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
