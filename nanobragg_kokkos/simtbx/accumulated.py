"""What the images of a gpu_detector add up to."""

from __future__ import annotations

import numpy as np

from nanobragg_kokkos import Simulation
from nanobragg_kokkos.simtbx.setup import dark_image

ANY_SIZE = 1e-4  # of a pixel (m), where it does not matter


class WholeImage:
    """Every pixel of all panels; dark at first.

    Args:
        shape: panels, slow pixels, fast pixels.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._shape = shape
        self._image: Simulation | None = None  # dark: takes no memory

    def add(self, image: Simulation, whitelist: bytes | None) -> None:
        """Adds an image, on the device; pixels that are not listed are dark in it."""
        if self._image is None:
            panels, slow_pixels, fast_pixels = self._shape
            self._image = dark_image(panels, fast_pixels, slow_pixels, ANY_SIZE)
        self._image.add(image)

    def scale(self, factor: float) -> None:
        """Multiplies all pixels."""
        if factor == 0.0:
            self._image = None
        elif self._image is not None and factor != 1.0:
            panels = [panel * factor for panel in self._image.image]
            self._image.clear()
            self._image.add_photons(panels)

    def pixels(self) -> np.ndarray:
        """All pixels in a row: a copy."""
        return np.zeros(np.prod(self._shape)) if self._image is None else np.concatenate(self._image.image, axis=None)


class ListedPixels:
    """The pixels of a list, one after the other in its order, and zeros after them.

    Args:
        shape: panels, slow pixels, fast pixels.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._sum = np.zeros(np.prod(shape))

    def add(self, image: Simulation, whitelist: bytes | None) -> None:
        """Adds the listed pixels of an image; without a list, all."""
        photons = np.concatenate(image.image, axis=None)
        if whitelist is not None:
            photons = photons[np.frombuffer(whitelist, np.int64)]
        self._sum[: photons.size] += photons

    def scale(self, factor: float) -> None:
        """Multiplies all pixels."""
        self._sum *= factor

    def pixels(self) -> np.ndarray:
        """All pixels in a row: a copy."""
        return self._sum.copy()
