"""The sum of the images of a gpu_detector."""

from __future__ import annotations

import numpy as np

from nanobragg_kokkos import Simulation
from nanobragg_kokkos.simtbx.setup import dark_image

ANY_SIZE = 1e-4  # size of a pixel (m) where it does not matter


# The last image that is no longer used, by its shape. Scripts make a detector for each image, and allocating memory on
# a GPU takes as long as computing the photons.
_spare: dict[tuple[int, int, int], Simulation] = {}


def release() -> None:
    """Releases the image that is kept on the device."""
    _spare.clear()


class WholeImage:
    """The sum over all pixels of all panels; dark at first.

    Args:
        shape: numbers of panels, slow pixels and fast pixels.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._shape = shape
        self._image: Simulation | None = None  # dark: takes no memory

    def __del__(self) -> None:
        self._darken()

    def add(self, image: Simulation, whitelist: bytes | None) -> None:
        """Adds an image on the device; its pixels are dark unless they are listed."""
        if self._image is None:
            self._image = _spare.pop(self._shape, None)
            if self._image is None:
                panels, slow_pixels, fast_pixels = self._shape
                self._image = dark_image(panels, fast_pixels, slow_pixels, ANY_SIZE)
            else:
                self._image.clear()
        self._image.add(image)

    def scale(self, factor: float) -> None:
        """Multiplies all pixels by a factor."""
        if factor == 0.0:
            self._darken()
        elif self._image is not None and factor != 1.0:
            panels = [panel * factor for panel in self._image.image]
            self._image.clear()
            self._image.add_photons(panels)

    def pixels(self) -> np.ndarray:
        """Returns all pixels in a row; the array is valid until the next call."""
        if self._image is None:
            return np.zeros(np.prod(self._shape))
        panels = self._image.image
        return panels[0].ravel() if len(panels) == 1 else np.concatenate(panels, axis=None)

    def _darken(self) -> None:
        if self._image is not None:
            _spare.clear()
            _spare[self._shape] = self._image
            self._image = None


class ListedPixels:
    """The sum over the pixels of a list, in the order of the list, followed by zeros.

    Args:
        shape: numbers of panels, slow pixels and fast pixels.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._sum = np.zeros(np.prod(shape))

    def add(self, image: Simulation, whitelist: bytes | None) -> None:
        """Adds the listed pixels of an image, or all pixels without a list."""
        photons = np.concatenate(image.image, axis=None)
        if whitelist is not None:
            photons = photons[np.frombuffer(whitelist, np.int64)]
        self._sum[: photons.size] += photons

    def scale(self, factor: float) -> None:
        """Multiplies all pixels by a factor."""
        self._sum *= factor

    def pixels(self) -> np.ndarray:
        """Returns all pixels in a row; the array is valid until the next call."""
        return self._sum
