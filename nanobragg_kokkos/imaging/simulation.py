"""Expected photons in every pixel of a detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scitbx.array_family import flex

from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.models.amplitudes.box import AmplitudeBox
from nanobragg_kokkos.models.amplitudes.structure_factors import StructureFactors
from nanobragg_kokkos.models.beam.sources import Sources
from nanobragg_kokkos.models.detector.point_spread import PointSpread
from nanobragg_kokkos.models.detector.sensor import SensorLayers
from nanobragg_kokkos.models.sample.amorphous import Amorphous
from nanobragg_kokkos.models.sample.crystal import Crystal
from nanobragg_kokkos.util.argument_checks import finite, whole


@dataclass(frozen=True)
class EngineChoice:
    """An engine for the Bragg spots, "pixel" or "reflection", and the reason for its choice."""

    engine: str
    reason: str


class Simulation:
    """An image of expected photons, which starts dark and sums spots and backgrounds.

    It belongs to the process that made it: it cannot be pickled or copied (its models can), nor used in a forked
    process. Ctrl-C takes effect after a calculation.

    Args:
        detector: dxtbx Detector with any number of panels, each in its own plane.
        sources: the incident beam.
        fluence: photons/mm² of the exposure, all sources together.
        beam_size_mm: side of the beam's square cross-section; needed for backgrounds only.
        oversample: sub-pixels along each axis of a pixel.
        sensor: SensorLayers of every panel.  Default: every photon is absorbed at the surface.
        mask: bool array (slow, fast), NumPy or flex, for each panel; pixels where it is False stay dark and take no
            time.
        point_pixel: whether to use 1/r² (1/m²) in place of the solid angle of a pixel.
        polarized: whether to apply the polarization factor.

    Raises:
        ValueError: an argument is invalid; names the argument.
    """

    def __init__(
        self,
        detector,
        sources: Sources,
        *,
        fluence: float,
        beam_size_mm: float | None = None,
        oversample: int = 1,
        sensor: SensorLayers | None = None,
        mask: Sequence[np.ndarray] | None = None,
        point_pixel: bool = False,
        polarized: bool = True,
    ) -> None:
        if beam_size_mm is not None:
            beam_size_mm = finite("beam_size_mm", beam_size_mm, above=0)
        self._given = (detector, beam_size_mm)
        self._polarized = bool(polarized)
        self.shapes: list[tuple[int, int]] = [tuple(reversed(panel.get_image_size())) for panel in detector]
        self._detector = ext.Detector(
            detector=detector,
            oversample=whole("oversample", oversample),
            point_pixel=bool(point_pixel),
            sensor_layers=int(sensor.layers) if sensor else 1,
            layer_placement=float(sensor.placement) if sensor else 0.0,
            thickness_mm=float(sensor.thickness_mm) if sensor else 0.0,
            attenuation_length_mm=float(sensor.attenuation_length_mm) if sensor else 0.0,
            mask=flex.bool() if mask is None else flat_mask(mask, self.shapes),
        )
        self._workspace = ext.Workspace()
        self._image = ext.Image(self._workspace, self._detector.n_pixels)
        self._samples: tuple[Amorphous, ...] = ()
        self._background: ext.Image | None = None  # of these samples in this beam
        self._blur: tuple[tuple[PointSpread, str], ext.Blur, ext.Image] | None = None
        self.illuminate(sources, fluence)

    def illuminate(self, sources: Sources, fluence: float) -> None:
        """Replaces the beam for later additions; the image and the detector on the device stay.

        Args:
            sources: the incident beam.
            fluence: photons/mm² of the exposure, all sources together.
        """
        fluence = finite("fluence", fluence, least=0)
        self._sources = sources.on_device(fluence, self._polarized)
        self._beam = (sources, fluence)
        self._samples = ()

    @property
    def detector(self):
        """The dxtbx Detector given to the constructor."""
        return self._given[0]

    @property
    def sources(self) -> Sources:
        """The incident beam."""
        return self._beam[0]

    @property
    def fluence(self) -> float:
        """Photons/mm² of the exposure."""
        return self._beam[1]

    @property
    def beam_size_mm(self) -> float | None:
        """Side of the beam's square cross-section, mm."""
        return self._given[1]

    def add_spots(
        self,
        crystal: Crystal,
        structure_factors: StructureFactors | AmplitudeBox,
        engine: str = "auto",
        tolerance: float | None = None,
    ) -> None:
        """Adds the Bragg spots of a crystal.

        Args:
            engine: "pixel" evaluates every pixel, for every shape; "reflection" starts from the reflections, for the
                shapes gauss, gauss_argchk and tophat, and with a tolerance for square and round. Both add the same
                terms in different orders. "auto" chooses the engine with less work, see choose_engine.
            tolerance: the most that the reflection-driven engine may leave out of any pixel, as a share of the
                brightest pixel of these spots, 1e-15 to 0.1. None: 3e-13, only for shapes that end. The pixel-driven
                engine leaves nothing out.

        Raises:
            ValueError: a source needs a structure-factor channel that does not exist, the engine does not support the
                shape, or the tolerance is out of range.
        """
        if engine == "auto":
            engine = self.choose_engine(crystal, structure_factors, tolerance).engine
        ext.add_spots(
            workspace=self._workspace,
            image=self._image,
            detector=self._detector,
            sources=self._sources,
            crystal=crystal.on_device(),
            structure_factors=structure_factors.on_device,
            interpolation=crystal.interpolation,
            engine=engine,
            tolerance=tolerance,
        )

    def choose_engine(
        self, crystal: Crystal, structure_factors: StructureFactors | AmplitudeBox, tolerance: float | None = None
    ) -> EngineChoice:
        """Returns the engine with less work for a crystal, estimated from the models; tolerance: see add_spots."""
        pixel, reflection = ext.engine_work(
            workspace=self._workspace,
            detector=self._detector,
            sources=self._sources,
            crystal=crystal.on_device(),
            structure_factors=structure_factors.on_device,
            interpolation=crystal.interpolation,
            tolerance=tolerance,
        )
        if reflection == float("inf"):
            return EngineChoice("pixel", f"the shape {crystal.shape} or its reach leaves no pixel out")
        engine, ratio = ("reflection", pixel / reflection) if reflection < pixel else ("pixel", reflection / pixel)
        return EngineChoice(engine, f"an estimated {ratio:.2g} times less to do than for the other engine")

    def add_background(self, *samples: Amorphous) -> None:
        """Adds the diffuse scattering of one or more amorphous samples.

        The image of these samples together is kept, 8 bytes a pixel, until others are asked for: to add equal ones
        again, after clear() say, takes one addition of images and gives the same bits.

        Raises:
            ValueError: the simulation has no beam_size_mm.
        """
        if self.beam_size_mm is None:
            raise ValueError("beam_size_mm of the simulation is needed for a background")
        if not samples:
            return
        if samples != self._samples or self._background is None:
            self._samples = ()  # until their image is complete
            if self._background is None:
                self._background = ext.Image(self._workspace, self._detector.n_pixels)
            else:
                self._background.clear(self._workspace)
            for amorphous in samples:
                ext.add_background(
                    workspace=self._workspace,
                    image=self._background,
                    detector=self._detector,
                    sources=self._sources,
                    amorphous=amorphous.on_device(self.beam_size_mm),
                )
            self._samples = samples
        self._image.add(self._workspace, self._background)

    def add(self, other: Simulation) -> None:
        """Adds the image of another simulation with the same number of pixels.

        Raises:
            ValueError: another number of pixels.
        """
        self._image.add(self._workspace, other._image)

    def add_photons(self, panels: Sequence[np.ndarray]) -> None:
        """Adds expected photons from other code: one array of numbers (slow, fast) per panel.

        Raises:
            ValueError: arrays of other shapes.
        """
        arrays = [np.asarray(panel, float) for panel in panels]
        if [array.shape for array in arrays] != self.shapes:
            raise ValueError(
                f"panels must be {len(self.shapes)} array(s) with the shapes (slow, fast) of the detector's panels"
            )
        self._image.add_array(self._workspace, flex.double(np.concatenate([array.ravel() for array in arrays])))

    def blur(self, point_spread: PointSpread, method: str = "auto") -> None:
        """Applies a detector's point-spread function to the expected photons, panel by panel.

        Args:
            method: "direct" adds up the pixels within its radius, "fourier" multiplies Fourier transforms; the images
                are the same to 1e-10 of the brightest pixel.  "auto" takes whichever is faster.
        """
        if self._blur is None or self._blur[0] != (point_spread, method):
            blur = ext.Blur(self._workspace, self._detector, point_spread.on_device(), method)
            self._blur = ((point_spread, method), blur, ext.Image(self._workspace, self._detector.n_pixels))
        _, blur, blurred = self._blur
        blur.apply(self._workspace, self._image, blurred)
        self._image.swap(blurred)

    def clear(self) -> None:
        """Makes the image dark again."""
        self._image.clear(self._workspace)

    @property
    def image(self) -> tuple[np.ndarray, ...]:
        """Expected photons, one read-only float64 array (slow, fast) per panel.

        Where the kernels run on the CPU these are views of the image itself, which follow what is added later; from a
        GPU they are copies in memory that the next call overwrites.
        """
        pixels = np.asarray(self._image.on_host(self._workspace))
        pixels.flags.writeable = False
        panels, start = [], 0
        for shape in self.shapes:
            panels.append(pixels[start : start + shape[0] * shape[1]].reshape(shape))
            start += shape[0] * shape[1]
        return tuple(panels)

    @property
    def flex_image(self) -> tuple[flex.double, ...]:
        """Copies of the expected photons as cctbx arrays, one flex.double (slow, fast) per panel."""
        return tuple(flex.double(panel) for panel in self.image)


def flat_mask(mask: Sequence[np.ndarray], shapes: Sequence[tuple[int, int]]) -> flex.bool:
    """Returns the masks of all panels, bool arrays of these shapes (slow, fast), one after the other.

    Raises:
        ValueError: arrays of another kind.
    """
    arrays = [panel.as_numpy_array() if isinstance(panel, flex.bool) else np.asarray(panel) for panel in mask]
    if [array.shape for array in arrays] != list(shapes) or any(array.dtype != bool for array in arrays):
        raise ValueError(
            f"mask must be {len(shapes)} bool array(s) with the shapes (slow, fast) of the detector's panels"
        )
    return flex.bool(np.concatenate([array.ravel() for array in arrays]))
