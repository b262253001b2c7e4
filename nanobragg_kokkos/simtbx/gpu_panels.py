"""simtbx's class gpu_detector: the sum of channels and backgrounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from cctbx.array_family import flex
from dxtbx.model import Beam, Detector

from nanobragg_kokkos.simtbx.accumulated import ListedPixels, WholeImage
from nanobragg_kokkos.simtbx.arithmetic import cross, dot, unit
from nanobragg_kokkos.simtbx.gathering import Term, first_pass, image_of, scaled
from nanobragg_kokkos.simtbx.nanobragg import nanoBragg as simulation_class
from nanobragg_kokkos.simtbx.nanobragg import state_of
from nanobragg_kokkos.simtbx.properties import integer
from nanobragg_kokkos.simtbx.setup import Panel, Setup, panel_of, setup_of
from nanobragg_kokkos.simtbx.state import State
from nanobragg_kokkos.util.argument_checks import finite


class gpu_detector:
    """Panels of one size and the image that is added to them; dark at first.

    gpu_detector(deviceId, nanoBragg) takes the panel of a nanoBragg object, gpu_detector(deviceId, detector, beam)
    all panels of a dxtbx detector. deviceId is optional if the other arguments have names.

    Args:
        deviceId: stored; gpu_instance chooses the device.
        nanoBragg: the object whose panel to take, at its present position.
        detector, beam: dxtbx models.

    Raises:
        ValueError: neither nanoBragg nor detector and beam are given, or the panels have different sizes.
    """

    _adds_up: type[WholeImage] | type[ListedPixels] = WholeImage

    def __init__(
        self,
        deviceId: int = -1,
        detector: Detector | None = None,
        beam: Beam | None = None,
        *,
        nanoBragg: simulation_class | None = None,
    ) -> None:
        if isinstance(detector, simulation_class):  # as the second argument
            detector, nanoBragg = None, detector
        self._device = integer("deviceId", deviceId)
        if nanoBragg is not None and detector is None:
            s = state_of(nanoBragg)
            self._panels: tuple[Panel, ...] = (panel_of(s),)
            self._fast_pixels, self._slow_pixels = s.fast_pixels, s.slow_pixels
        elif isinstance(detector, Detector) and isinstance(beam, Beam) and nanoBragg is None:
            self._panels = tuple(map(_place_of, detector))
            sizes = {panel.get_image_size() for panel in detector}
            if len(sizes) != 1:
                raise ValueError(f"detector must have panels of one size, not of {len(sizes)} different ones")
            ((self._fast_pixels, self._slow_pixels),) = sizes
        else:
            raise ValueError("gpu_detector takes either nanoBragg, or a dxtbx detector and beam")
        self._sum = self._adds_up(self.shape)
        self._pending: list[Term] = []
        self._last_whitelist = b""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of panels, slow pixels and fast pixels."""
        return (len(self._panels), self._slow_pixels, self._fast_pixels)

    @property
    def n_pixels(self) -> int:
        """Number of pixels of all panels."""
        return len(self._panels) * self._slow_pixels * self._fast_pixels

    def get_deviceID(self) -> int:
        """Returns the deviceId given to the constructor."""
        return self._device

    def show_summary(self) -> None:
        """Prints number and size of the panels, and the position of each (metres)."""
        print(f"{len(self._panels)} panels of {self._fast_pixels} x {self._slow_pixels} pixels (fast, slow)")
        for number, panel in enumerate(self._panels):
            print(f"  panel {number}: {panel.close_distance:g} m from the sample")
            for name in ("fast", "slow", "corner"):
                print(f"    {name} %.8g %.8g %.8g" % getattr(panel, name))

    def each_image_allocate(self, n_pixels: int = 0) -> None:
        """Does nothing: memory is allocated on demand, and the image stays as it is, as in simtbx."""

    def each_image_free(self) -> None:
        """Computes the recorded calls; the image stays, as in simtbx."""
        self._settle()

    def scale_in_place(self, factor: float) -> None:
        """Multiplies the image added so far; 0 makes it dark."""
        factor = finite("factor", factor)
        if factor == 0.0:
            self._pending = []
        elif factor < 0.0:
            self._settle()
        self._pending = [scaled(term, factor) for term in self._pending]
        self._sum.scale(factor)

    def write_raw_pixels(self, nB: simulation_class) -> None:
        """Writes the image into the existing array raw_pixels of a nanoBragg object.

        Raises:
            ValueError: there are several panels, or the object's panel has a different size.
        """
        s = state_of(nB)
        if self.shape != (1, s.slow_pixels, s.fast_pixels):
            raise ValueError(
                f"nanoBragg has a panel of {s.slow_pixels} x {s.fast_pixels} pixels (slow, fast), which cannot hold "
                f"{self.shape[0]} of {self.shape[1]} x {self.shape[2]}"
            )
        nB._check_pixels()
        nB._replace_pixels(self._pixels())

    def get_raw_pixels(self) -> flex.double:
        """Returns a copy of the image, flex.double (panels, slow, fast)."""
        return flex.double(self._pixels().reshape(self.shape))

    def get_whitelist_raw_pixels(self, selection: flex.size_t) -> flex.double:
        """Returns some pixels of the image.

        Args:
            selection: numbers of pixels, (n,), counted through all panels.

        Returns:
            flex.double (n,), in the order of the selection.

        Raises:
            ValueError: there are no such pixels.
        """
        return flex.double(self._pixels()[_pixel_numbers("selection", selection, self.n_pixels)])

    def setup(self, s: State, oversample: int, *, roi: bool = False, whitelist: bytes | None = None) -> Setup:
        """Returns these panels with the sampling of a nanoBragg object's state."""
        return setup_of(s, self._panels, self._fast_pixels, self._slow_pixels, oversample, roi=roi, whitelist=whitelist)

    def whitelist(self, pixels: Any) -> bytes | None:
        """Returns the pixels that a script selects, in the form that Setup takes.

        Args:
            pixels: a flex.bool with an element for each pixel, or numbers of pixels counted through all panels.

        Raises:
            ValueError: the number of bools is wrong, or there are no such pixels.
        """
        name = "pixel_active_list_ints"
        if isinstance(pixels, flex.bool) or (isinstance(pixels, np.ndarray) and np.issubdtype(pixels.dtype, np.bool_)):
            name = "pixel_active_mask_bools"
            mask = (pixels.as_numpy_array() if isinstance(pixels, flex.bool) else pixels).ravel()
            if mask.size != self.n_pixels:
                raise ValueError(f"{name} must have an element for each of {self.n_pixels} pixels, not {mask.size}")
            pixels = np.flatnonzero(mask)
        numbers = _pixel_numbers(name, pixels, self.n_pixels)
        if numbers.size == self.n_pixels and np.array_equal(numbers, np.arange(self.n_pixels)):
            return None
        # Scripts give the same list for each energy of a spectrum; one bytes object for all of them compares quickly.
        if not np.array_equal(numbers, np.frombuffer(self._last_whitelist, np.int64)):
            self._last_whitelist = numbers.tobytes()
        return self._last_whitelist

    def must_hold_all(self, method: str) -> None:
        """Checks that this detector holds all pixels, for methods that take no list of pixels.

        Raises:
            ValueError: this is a gpu_detector_small_whitelist.
        """
        if self._adds_up is not WholeImage:
            raise ValueError(f"{method} needs a gpu_detector: this one holds the pixels of a list only")

    def add(self, term: Term) -> None:
        """Records a term to add to the image.

        Raises:
            ValueError: its number of photons is negative or not a number.
        """
        if not (term.light.fluence >= 0.0 and min(term.light.weights, default=0.0) >= 0.0):
            raise ValueError("weights, spot_scale and fluence must be 0 or more")
        if any(weight * term.light.fluence for weight in term.light.weights):
            self._pending.append(term)

    def _settle(self) -> None:
        """Computes the recorded terms; a term that fails stays recorded."""
        while self._pending:
            group, others = first_pass(self._pending)
            self._sum.add(image_of(group), group[0].setup.whitelist)
            self._pending = others

    def _pixels(self) -> np.ndarray:
        """Returns the image, all panels in a row; the array is valid until the next call."""
        self._settle()
        return self._sum.pixels()


class gpu_detector_small_whitelist(gpu_detector):
    """A gpu_detector that holds only the pixels of a list.

    The first pixels of its image are those of the list, in the list's order; the others are 0. It accepts only
    add_energy_channel_mask_allpanel and add_energy_multichannel_mask_allpanel.
    """

    _adds_up = ListedPixels

    def each_image_allocate(self, n_pixels: int = 0) -> None:
        """Checks its argument, and does nothing else.

        Raises:
            ValueError: n_pixels is not the number of pixels in a list.
        """
        if not 0 < integer("n_pixels", n_pixels) <= self.n_pixels:
            raise ValueError(f"n_pixels must lie between 1 and {self.n_pixels}, not {n_pixels}")


def detector_of(name: str, value: Any) -> gpu_detector:
    """Returns the value, which must be a gpu_detector.

    Raises:
        ValueError: the value is something else; names the argument.
    """
    if not isinstance(value, gpu_detector):
        raise ValueError(f"{name} must be a gpu_detector, not {type(value).__name__}")
    return value


def _place_of(panel: Any) -> Panel:
    """Returns the position of a dxtbx panel."""
    fast, slow = unit(panel.get_fast_axis()), unit(panel.get_slow_axis())
    corner = tuple(coordinate / 1000.0 for coordinate in panel.get_origin())
    return Panel(fast, slow, corner, abs(dot(corner, unit(cross(fast, slow)))))


def _pixel_numbers(name: str, values: Any, n_pixels: int) -> np.ndarray:
    array = values.as_numpy_array() if hasattr(values, "as_numpy_array") else np.asarray(values)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise ValueError(f"{name} must be whole numbers in a row, flex.size_t for example")
    numbers = array.astype(np.int64)
    if numbers.size and not (numbers.min() >= 0 and numbers.max() < n_pixels):
        raise ValueError(f"{name} must hold numbers of pixels from 0 to {n_pixels - 1}")
    return numbers
