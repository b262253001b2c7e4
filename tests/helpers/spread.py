"""A detector's point-spread function by NumPy and SciPy, straight from its definition."""

from __future__ import annotations

import numpy as np
from scipy import signal, special

from nanobragg_kokkos import PointSpread


def corner(spread: PointSpread, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of the function over the rectangle from its middle to (x, y), mm."""
    if spread.shape == "gauss":
        scale = 2 * np.sqrt(np.log(2)) / spread.fwhm_mm
        return special.erf(scale * x) * special.erf(scale * y) / 4
    g = 0.652383013252053 * spread.fwhm_mm
    return np.arctan(x * y / (g * np.sqrt(g**2 + x**2 + y**2))) / (2 * np.pi)


def beyond(spread: PointSpread, distance: float) -> float:
    """Of the function outside a circle, mm."""
    if spread.shape == "gauss":
        return np.exp(-np.log(16) * (distance / spread.fwhm_mm) ** 2)
    g = 0.652383013252053 * spread.fwhm_mm
    return g / np.hypot(g, distance)


def kernel_of(spread: PointSpread, pixel_mm: tuple[float, float]) -> tuple[np.ndarray, float]:
    """What pixels (slow, fast) around one receive of its photons, and what is added back, all pixels together."""
    fast, slow = pixel_mm
    high = int(spread.radius * fast / slow * (1 + 1e-12))
    y, x = np.ogrid[-high : high + 1, -spread.radius : spread.radius + 1]
    y, x = y * slow, x * fast
    left, right, low, top = x - fast / 2, x + fast / 2, y - slow / 2, y + slow / 2
    shares = (
        corner(spread, right, top) - corner(spread, left, top) - corner(spread, right, low) + corner(spread, left, low)
    )
    kernel = np.where(x**2 + y**2 <= (spread.radius * fast) ** 2 * (1 + 1e-12), shares, 0)
    added_back = 1 - kernel.sum() if spread.added_back == "missing" else beyond(spread, spread.radius * fast)
    return kernel, added_back


def blurred(photons: np.ndarray, spread: PointSpread, pixel_mm: tuple[float, float] = (0.1, 0.1)) -> np.ndarray:
    """What becomes of the photons of a panel."""
    kernel, added_back = kernel_of(spread, pixel_mm)
    # No further than from one end of the panel to the other
    cut = [max(0, (of_kernel - 1) // 2 - of_panel + 1) for of_kernel, of_panel in zip(kernel.shape, photons.shape)]
    kernel = kernel[cut[0] : kernel.shape[0] - cut[0], cut[1] : kernel.shape[1] - cut[1]]
    return signal.convolve(photons, kernel, "same", "direct") + photons.sum() * added_back / photons.size
