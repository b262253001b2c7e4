"""An experiment: all models that determine its images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from cctbx import miller
from dxtbx import flumpy
from dxtbx.model import Detector, Goniometer, Scan

from nanobragg_kokkos.imaging.exposure import Exposure
from nanobragg_kokkos.imaging.readout import Readout
from nanobragg_kokkos.imaging.simulation import Simulation
from nanobragg_kokkos.models.amplitudes.crystal_scattering import CrystalScattering
from nanobragg_kokkos.models.beam.pulses import Pulse, Pulses
from nanobragg_kokkos.models.beam.sources import Sources
from nanobragg_kokkos.models.detector.response import DetectorResponse
from nanobragg_kokkos.models.detector.sensor import SensorLayers
from nanobragg_kokkos.models.sample.amorphous import Amorphous
from nanobragg_kokkos.models.sample.rotation_series import RotationSeries
from nanobragg_kokkos.models.sample.specimen import NoCrystals, Specimen


@dataclass(frozen=True, eq=False)
class Experiment:
    """Everything that decides what the images of a job show.

    Image k follows from this object and k alone, so every rank can simulate it without messages. It can be pickled.

    Args:
        detector: dxtbx model; the beam comes from +z. Its trusted range is that of the counts.
        sensor: layers of the sensor; None: all photons are absorbed at the surface.
        response: the steps from photons to counts.
        saturation: highest trusted count, ADU.
        data_type: type of the counts.
        oversample: sub-pixels along each side of a pixel.
        pulses: the beam of each image.
        beam_size_mm: side of the beam's square cross-section.
        specimen: the crystals of each image.
        scattering: structure factors, which all crystals share.
        backgrounds: amorphous samples that scatter besides the crystals.
        seed: seed of all random numbers.
        scan, goniometer: dxtbx models of a rotation; None: stills.
        messages: choices that the parameters left open.
    """

    detector: Detector
    sensor: SensorLayers | None
    response: DetectorResponse
    saturation: int
    data_type: np.dtype
    oversample: int
    pulses: Pulses
    beam_size_mm: float
    specimen: Specimen | RotationSeries | NoCrystals
    scattering: CrystalScattering
    backgrounds: tuple[Amorphous, ...]
    seed: int
    scan: Scan | None = None
    goniometer: Goniometer | None = None
    messages: tuple[str, ...] = ()

    def exposure(self, image: int) -> Exposure:
        """Returns the pulse and the crystals of an image, counted from 0."""
        return Exposure(self.pulses.pulse(image, self.seed), self.specimen.crystals(image, self.seed))

    def blocks_at_datum(self) -> list[np.ndarray]:
        """Returns the mosaic blocks (n, 3, 3) of each crystal of the first image, of a rotation at angle 0."""
        specimen = self.specimen.specimen if isinstance(self.specimen, RotationSeries) else self.specimen
        return [np.asarray(crystal.mosaic_blocks) for crystal in specimen.crystals(0, self.seed)]

    @property
    def amplitudes(self) -> miller.array:
        """The true structure factor amplitudes at the mean energy."""
        return self.scattering.amplitudes

    def without_amplitudes(self) -> Experiment:
        """Returns a copy without amplitudes, for processes that share those of another."""
        return replace(self, scattering=self.scattering.without_amplitudes())

    def sources(self, pulse: Pulse) -> Sources:
        """Returns the plane waves of a pulse, each in the structure-factor channel of the nearest energy."""
        return pulse.sources.in_channels(self.scattering.channel_energies_eV)

    def fluence(self, pulse: Pulse) -> float:
        """Returns the fluence of a pulse, photons/mm²."""
        return pulse.photons / self.beam_size_mm**2

    @property
    def masks(self) -> list[np.ndarray] | None:
        """Pixels outside of all untrusted rectangles, a bool array (slow, fast) for each panel; None: all pixels."""
        masks = [flumpy.to_numpy(panel.get_untrusted_rectangle_mask()) for panel in self.detector]
        return None if all(mask.all() for mask in masks) else masks

    def simulation(self, pulse: Pulse) -> Simulation:
        """Returns a simulation of this experiment's detector and beam, whose image is dark."""
        return Simulation(
            self.detector,
            self.sources(pulse),
            fluence=self.fluence(pulse),
            beam_size_mm=self.beam_size_mm,
            oversample=self.oversample,
            sensor=self.sensor,
        )

    def readout(self, simulation: Simulation) -> Readout:
        """Returns the readout of a simulation of this experiment, which makes counts of its photons."""
        return Readout(simulation, self.response, saturation=self.saturation, dtype=self.data_type, mask=self.masks)
