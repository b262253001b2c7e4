"""Expected photons in every pixel of a detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np
from scitbx.array_family import flex

from nanobragg_kokkos.amorphous import Amorphous
from nanobragg_kokkos.crystal import Crystal
from nanobragg_kokkos.extension import ext
from nanobragg_kokkos.sources import Sources
from nanobragg_kokkos.structure_factors import StructureFactors


@dataclass(frozen=True)
class SensorLayers:
    """A sensor with depth: photons are absorbed in layers, which blurs oblique rays (parallax).

    Args:
        thickness_mm: of the sensor.
        attenuation_length_mm: after which 1/e of the photons are left.
        layers: number of equal layers; all the photons of a layer are placed at the depth of its front face.
    """

    thickness_mm: float
    attenuation_length_mm: float
    layers: int = 1

    def __post_init__(self) -> None:
        if not self.thickness_mm > 0:
            raise ValueError(f"thickness_mm of a sensor must be positive, not {self.thickness_mm}")
        if not self.attenuation_length_mm > 0:
            raise ValueError(f"attenuation_length_mm of a sensor must be positive, not {self.attenuation_length_mm}")
        if self.layers < 1:
            raise ValueError(f"layers of a sensor must be at least 1, not {self.layers}")


class Simulation:
    """An image of expected photons: starts dark, and adds up what is asked for.

    Args:
        detector: dxtbx Detector; any number of panels, each in a plane of its own.
        sources: the incident beam.
        fluence: photons/mm² of the exposure, all sources together.
        beam_size_mm: side of the beam's square cross-section; needed for backgrounds only.
        oversample: sub-pixels along each axis of a pixel.
        sensor: SensorLayers of every panel.  Default: every photon is absorbed at the surface.
        mask: bool array (slow, fast) for each panel; pixels where it is False stay dark and take no time.
        point_pixel: 1/r² (1/m²) in place of the solid angle of a pixel.
        polarized: False leaves out the polarization factor altogether.

    Raises:
        ValueError: whatever of this cannot be, by name.
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
        if beam_size_mm is not None and not beam_size_mm > 0:
            raise ValueError(f"beam_size_mm must be positive, not {beam_size_mm}")
        self.detector = detector
        self.sources = sources
        self.fluence = fluence
        self.beam_size_mm = beam_size_mm
        self._shapes = [tuple(reversed(panel.get_image_size())) for panel in detector]
        self._sources = sources.on_device(fluence, polarized)
        self._detector = ext.Detector(
            detector=detector,
            oversample=oversample,
            point_pixel=point_pixel,
            sensor_layers=sensor.layers if sensor else 1,
            thickness_mm=sensor.thickness_mm if sensor else 0.0,
            attenuation_length_mm=sensor.attenuation_length_mm if sensor else 0.0,
            mask=flex.bool() if mask is None else self._flat_mask(mask),
        )
        self._image = ext.Image(self._detector.n_pixels)

    def add_spots(self, crystal: Crystal, structure_factors: StructureFactors) -> None:
        """Adds the Bragg spots of a crystal.

        Raises:
            ValueError: a source asks for a structure-factor channel that is not there.
        """
        ext.add_spots(
            image=self._image,
            detector=self._detector,
            sources=self._sources,
            crystal=crystal.on_device(),
            structure_factors=structure_factors.on_device,
            interpolation=crystal.interpolation,
        )

    def add_background(self, amorphous: Amorphous) -> None:
        """Adds the diffuse scattering of an amorphous sample.

        Raises:
            ValueError: the simulation has no beam_size_mm.
        """
        if self.beam_size_mm is None:
            raise ValueError("beam_size_mm of the simulation is needed for a background")
        ext.add_background(
            image=self._image,
            detector=self._detector,
            sources=self._sources,
            amorphous=amorphous.on_device(self.beam_size_mm),
        )

    def add(self, other: Simulation) -> None:
        """Adds the image of another simulation of as many pixels.

        Raises:
            ValueError: another number of pixels.
        """
        self._image.add(other._image)

    def clear(self) -> None:
        """Makes the image dark again."""
        self._image.clear()

    @property
    def image(self) -> tuple[np.ndarray, ...]:
        """Expected photons, one read-only float64 array (slow, fast) a panel.

        Where the kernels run on the CPU these are views of the image itself, which follow what is added later; from a
        GPU they are copies in memory that the next call overwrites.
        """
        pixels = np.asarray(self._image.on_host())
        pixels.flags.writeable = False
        panels, start = [], 0
        for shape in self._shapes:
            panels.append(pixels[start : start + shape[0] * shape[1]].reshape(shape))
            start += shape[0] * shape[1]
        return tuple(panels)

    @property
    def flex_image(self) -> tuple[flex.double, ...]:
        """Expected photons as cctbx arrays, one flex.double (slow, fast) a panel: copies."""
        return tuple(flex.double(panel) for panel in self.image)

    def _flat_mask(self, mask: Sequence[np.ndarray]) -> flex.bool:
        arrays = [np.asarray(panel, bool) for panel in mask]
        shapes = [array.shape for array in arrays]
        if shapes != self._shapes:
            raise ValueError(f"mask must have the shapes {self._shapes} of the detector's panels, not {shapes}")
        return flex.bool(np.concatenate([array.ravel() for array in arrays]))
